"""What is kept of somebody, in numbers and in plain words."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import Connection, func, select

from rookery import users
from rookery.gateway import tables
from rookery.gateway.leaving.erasing import counted
from rookery.gateway.leaving.people import of_person
from rookery.ids import UserId
from rookery.usage.ledger import ledger
from rookery.users import CredentialKind, credentials


class Kept(Struct, frozen=True, rename="camel", kw_only=True):
    """What is kept of a person. `providers` are the model providers their words went to."""

    since: datetime
    agents: tuple[str, ...]
    conversations: int
    messages: int
    addresses: tuple[str, ...]
    tokens: int
    devices: int
    calls: int
    providers: tuple[str, ...]
    on_record: int


def kept_of(connection: Connection, user_id: UserId) -> Kept:
    """What is kept of somebody, of the database as it is now. Raises `NotFound`."""
    user = users.get_user(connection, user_id)
    who = of_person(connection, user)
    rows = counted(connection, who)
    t = tables.turns.c
    theirs = t.principal.in_(who.principals) | t.agent_id.in_(who.agents)
    conversations = connection.execute(select(func.count(t.session_id.distinct())).where(theirs)).scalar_one()
    asked = select(ledger.c.provider).where(ledger.c.user_id == user_id).distinct().order_by(ledger.c.provider)
    addresses = users.list_identities(connection, user_id)
    return Kept(
        since=user.created_at,
        agents=tuple(who.agents),
        conversations=conversations,
        messages=rows.get("turns", 0),
        addresses=tuple(str(one) for one in addresses),
        tokens=len(credentials.list_credentials(connection, user_id, CredentialKind.TOKEN)),
        devices=len(credentials.list_credentials(connection, user_id, CredentialKind.DEVICE)),
        calls=rows.get("ledger", 0),
        providers=tuple(connection.execute(asked).scalars()),
        on_record=rows.get("audit", 0),
    )


def in_words(kept: Kept) -> str:
    """The same for a person, with what they can do about it."""
    said, written = _many(kept.conversations, "conversation"), _many(kept.messages, "message")
    return f"""Since {kept.since:%Y-%m-%d} this is kept of you:
- {said} with {written}, at {_many(len(kept.agents), "assistant")} of yours and at shared ones, with the files
- {_many(len(kept.addresses), "address")}: {", ".join(kept.addresses) or "none"}
- {_many(kept.tokens, "token")} and {_many(kept.devices, "device")}; of their secrets only hashes
- {_many(kept.calls, "model call")}: how much each used and cost, and no words
- {_many(kept.on_record, "line")} of who did what for you, and no words

What you write goes to the model providers that answer you: {", ".join(kept.providers) or "nobody so far"}.
Nobody else of this house can read it, admins neither. Whoever runs the machine could; when they look with \
Rookery's own commands, /status shows it to you. In a group, what is said is the group's.

/export says how to get all of it as one file, and how to have all of it erased."""


def how_to_leave(user_id: str) -> str:
    """The answer to /export."""
    return f"""All of yours comes as one archive, which no chat can carry. Logged in on the web page, open \
/api/me/export there; or ask whoever runs this house for it: rookery user export {user_id} FILE

To have everything of yours erased for good, ask them, or send DELETE /api/me with your password. What you spent \
stays in the sums, under no name. Backups hold what they held until they are deleted."""


def _many(count: int, what: str) -> str:
    plural = f"{what}es" if what.endswith("s") else f"{what}s"
    return f"{count} {what if count == 1 else plural}"
