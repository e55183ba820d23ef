"""Who asks to be let in, and what is decided about it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from msgspec import Struct

from rookery.gateway.shapes.common import Secret

PairingKind = Literal["person", "group"]


class NewUser(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """A person to be added; `name` None is the id."""

    id: str
    name: str | None = None


class PairingApprove(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Let somebody in. `id` or `code` says who asks, and when both are given they have to belong together.

    A person is `user_id`, who is there, or `new_user`; for a group it is `sponsor`, who pays for it.
    """

    id: str | None = None
    code: Secret | None = None
    user_id: str | None = None
    new_user: NewUser | None = None
    sponsor: str | None = None


class PairingReject(Struct, frozen=True, rename="camel", kw_only=True, forbid_unknown_fields=True):
    """Let somebody not in. `id` or `code` says who asks."""

    id: str | None = None
    code: Secret | None = None


class Pairing(Struct, frozen=True, rename="camel", kw_only=True):
    """Somebody who waits to be let in: a person by the address they wrote from, or a group by its chat.

    `asked_by` is the user who spoke in the group.
    """

    id: str
    kind: PairingKind
    channel: str
    account: str
    sender: str
    chat_kind: str
    chat: str
    asked_by: str | None
    asked_at: datetime
    expires_at: datetime


class LetIn(Struct, frozen=True, rename="camel", kw_only=True):
    """What an approval made: the address is the user's, or the agent answers the group and they pay for it.

    `closed`: why what they write from that address is not answered all the same; null when it is.
    """

    id: str
    kind: PairingKind
    channel: str
    account: str
    sender: str
    chat: str
    user_id: str
    agent_id: str
    closed: str | None = None
