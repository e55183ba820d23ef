"""By which kinds of channel a person may come in, and which kind a channel is of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rookery.channels import webchat
from rookery.errors import InvalidInput
from rookery.messages.permission import Permission
from rookery.policy.gate import Decision

_KINDS = {
    "email": Permission.EMAIL,
    "sms": Permission.PHONE,
    "voice": Permission.PHONE,
    webchat.CHANNEL: Permission.WEB,
    "terminal": Permission.WEB,
    "api": Permission.API,
}

_WORDS = {
    Permission.IM: "in chat networks",
    Permission.EMAIL: "by mail",
    Permission.PHONE: "by phone",
    Permission.WEB: "on the web page and in the terminal",
    Permission.API: "with tokens and through /v1",
}


def permission_for(channel: str, account: str = "") -> Permission:
    """The kind of a channel; whatever is none of the others is a chat network.

    The account counts on the page's own channel alone, where it says whether a token wrote.
    """
    if (channel, account) == (webchat.CHANNEL, webchat.BY_TOKEN):
        return Permission.API
    return _KINDS.get(channel, Permission.IM)


def let_in(permissions: Sequence[str] | None, needed: Permission) -> Decision:
    """Whether somebody with these permissions may come in this way; None is every way, and empty is none."""
    if permissions is None or needed in permissions:
        return Decision(True, "")
    return Decision(False, f"You may not use this assistant {_WORDS[needed]}; an admin can allow it.")


def read_permissions(words: Iterable[str]) -> tuple[Permission, ...]:
    """The words in the order of the enum, each once. Raises `InvalidInput` for any other."""
    wanted = set(words)
    unknown = sorted(wanted - set(Permission))
    if unknown:
        raise InvalidInput(f"{unknown[0][:80]!r} is no permission; there is {', '.join(Permission)}.")
    return tuple(one for one in Permission if one in wanted)
