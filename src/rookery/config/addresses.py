"""How an address is written by people: `channel[@account]:sender`."""

from __future__ import annotations

from difflib import get_close_matches
from typing import NamedTuple

from rookery.errors import InvalidInput

CHANNEL_NAMES = (
    "webchat",
    "webhook",
    "terminal",
    "cron",
    "telegram",
    "discord",
    "slack",
    "matrix",
    "xmpp",
    "feishu",
    "whatsapp",
    "email",
    "sms",
    "voice",
)
"""Every channel a configuration or an address may name."""

ACCOUNT_SCOPED = frozenset({"webhook", "feishu"})
"""The channels whose sender ids are unique only within one account: there an address says which account."""

RESERVED_ACCOUNTS = frozenset({"dm", "direct", "group", "channel", "room", "main", "thread"})
"""Words that stand after a channel in a session key, so no account may be called by them."""


class WrittenAddress(NamedTuple):
    """An address as a person wrote it; `account` None holds for every account of the channel."""

    channel: str
    account: str | None
    sender: str

    def __str__(self) -> str:
        account = "" if self.account is None else f"@{self.account}"
        return f"{self.channel}{account}:{self.sender}"


def parse_address(text: str) -> WrittenAddress:
    """Read `channel[@account]:sender`; everything after the first ':' is the sender, kept as written.

    Raises `InvalidInput` for an unknown channel, an empty part, a word no account may have, and a missing
    account on a channel whose ids are unique only within one.
    """
    head, colon, sender = text.partition(":")
    if not colon:
        raise InvalidInput(f"{text!r} is not an address: write channel:sender, such as 'telegram:12345'.")
    channel, at, account = head.partition("@")
    return check_address(channel, account if at else None, sender)


def check_address(channel: str, account: str | None, sender: str) -> WrittenAddress:
    """Check the three parts of an address. Raises `InvalidInput` as `parse_address` does."""
    address = WrittenAddress(check_channel(channel), account, sender)
    if account is not None:
        check_account(account)
    if not sender:
        raise InvalidInput(f"The address {str(address)!r} names no sender.")
    if account is None and channel in ACCOUNT_SCOPED:
        raise InvalidInput(
            f"The address {str(address)!r} needs an account, because the ids of {channel} are unique only "
            f"within one: write '{channel}@<account>:…'."
        )
    return address


def check_channel(name: str) -> str:
    """A channel's name. Raises `InvalidInput` with the nearest one for a word that is none."""
    if name in CHANNEL_NAMES:
        return name
    near = get_close_matches(name.lower(), CHANNEL_NAMES, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(CHANNEL_NAMES)}"
    raise InvalidInput(f"{name!r} is not a channel; {hint}")


def check_account(name: str) -> str:
    """An account's name. Raises `InvalidInput` when it cannot stand in an address or a session key."""
    if not name:
        raise InvalidInput("An account's name cannot be empty.")
    if name in RESERVED_ACCOUNTS:
        raise InvalidInput(
            f"{name!r} cannot name an account: the word has a meaning in session keys; choose another."
        )
    if ":" in name or "/" in name or not name.isprintable() or name != name.strip():
        raise InvalidInput(
            f"{name!r} cannot name an account: no ':', '/', control characters or spaces around it."
        )
    return name
