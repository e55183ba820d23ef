"""Every place where something of a person is kept: what it is, how it comes out, and how it goes.

The one table that export and erasure go by. A test fails for a table of the database, or a path of a brain, that
is not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Column, ColumnElement, Table, false, or_, select, tuple_

from rookery.gateway import tables as gateway_tables
from rookery.gateway.leaving.people import Who

Mine = Callable[[Table, Who], ColumnElement[bool]]
"""Which rows of a table are somebody's."""


class End(StrEnum):
    """What becomes of something when its person is erased."""

    DELETED = "deleted"
    """It goes."""

    TOMBSTONE = "tombstone"
    """It stays, with a random word in the place of the person: what was spent stays true."""

    NAMES_GO = "names go"
    """It stays where it is somebody else's too, and no longer says who they were."""

    WITH_THE_BRAIN = "with the brain"
    """It goes with the brains of their agents."""

    NOTHING = "nothing"
    """There is nothing of a person in it."""


class Store(Struct, frozen=True):
    """One table. `holds` says what of a person; `file` is where it is in an export, None where it is not.

    `hidden` are columns that are kept from an export: they stand for secrets, and say nothing to a person.
    """

    holds: str
    end: End
    mine: Mine | None = None
    file: str | None = None
    hidden: tuple[str, ...] = ()


def _user(table: Table, who: Who) -> ColumnElement[bool]:
    return false() if who.user_id is None else table.c.user_id == who.user_id


def _id(table: Table, who: Who) -> ColumnElement[bool]:
    return false() if who.user_id is None else table.c.id == who.user_id


def _agent(table: Table, who: Who) -> ColumnElement[bool]:
    return table.c.agent_id.in_(who.agents)


def _agents_themselves(table: Table, who: Who) -> ColumnElement[bool]:
    return table.c.id.in_(who.agents)


def _said(table: Table, who: Who) -> ColumnElement[bool]:
    """What they caused wherever it was, and what anybody caused at agents of theirs."""
    return or_(table.c.agent_id.in_(who.agents), table.c.principal.in_(who.principals))


def _paid(table: Table, who: Who) -> ColumnElement[bool]:
    return or_(_user(table, who), table.c.principal.in_(who.principals))


def _turn_words(table: Table, who: Who) -> ColumnElement[bool]:
    turns = gateway_tables.turns.c
    return or_(
        table.c.agent_id.in_(who.agents),
        table.c.turn_id.in_(select(turns.turn_id).where(turns.principal.in_(who.principals))),
    )


def _delivery_words(table: Table, who: Who) -> ColumnElement[bool]:
    outbox = gateway_tables.outbox.c
    return or_(
        table.c.agent_id.in_(who.agents),
        table.c.delivery_id.in_(select(outbox.delivery_id).where(outbox.principal.in_(who.principals))),
    )


def _seen(table: Table, who: Who) -> ColumnElement[bool]:
    turns = gateway_tables.turns
    return table.c.turn_id.in_(select(turns.c.turn_id).where(_said(turns, who)))


def _group(table: Table, who: Who) -> ColumnElement[bool]:
    """Groups that nobody lets in any more and they alone answered for; others have another sponsor by then."""
    return false() if who.user_id is None else table.c.sponsor == who.user_id


def _sender(table: Table, who: Who) -> ColumnElement[bool]:
    return from_addresses(table.c.channel, table.c.account, table.c.sender, who)


def _sender_id(table: Table, who: Who) -> ColumnElement[bool]:
    return from_addresses(table.c.channel, table.c.account, table.c.sender_id, who)


def _pairing(table: Table, who: Who) -> ColumnElement[bool]:
    named = _user(table, who) if "user_id" in table.c else false()
    return or_(named, _sender_id(table, who))


def _link_code(table: Table, who: Who) -> ColumnElement[bool]:
    c = table.c
    claimed = from_addresses(c.claimed_channel, c.claimed_account, c.claimed_sender_id, who)
    return or_(_user(table, who), _sender_id(table, who), claimed)


def _audited(table: Table, who: Who) -> ColumnElement[bool]:
    concerns = false() if who.user_id is None else table.c.on_behalf_of == who.user_id
    return or_(concerns, table.c.actor.in_(who.principals))


def from_addresses(
    channel: Column[Any], account: Column[Any], sender: Column[Any], who: Who
) -> ColumnElement[bool]:
    """Whether something came from an address of theirs."""
    everywhere = [(ch, se) for ch, ac, se in who.addresses if not ac]
    there = [address for address in who.addresses if address[1]]
    return or_(
        tuple_(channel, sender).in_(everywhere) if everywhere else false(),
        tuple_(channel, account, sender).in_(there) if there else false(),
    )


TABLES: Mapping[str, Store] = {
    # Who they are.
    "users": Store("who they are", End.DELETED, _id, "person/person.jsonl", ("id_folded",)),
    "passwords": Store("the hash of their password", End.DELETED, _user, "person/password.jsonl", ("hash",)),
    "credentials": Store(
        "their tokens and devices by name; of the secrets the hashes",
        End.DELETED,
        _user,
        "person/credentials.jsonl",
        ("secret_hash",),
    ),
    "setup_codes": Store("the hash of a code that is nobody's yet", End.NOTHING),
    "identities": Store("their addresses", End.DELETED, _user, "person/addresses.jsonl"),
    "described": Store("what the people file said of them", End.DELETED, _user, "person/people-file.jsonl"),
    "people_files": Store("the hash of the people file", End.NOTHING),
    "budgets": Store("what they may spend", End.DELETED, _user, "person/budgets.jsonl"),
    "agents": Store(
        "their agents: names, personas, who they are",
        End.DELETED,
        _agents_themselves,
        "person/agents.jsonl",
        ("id_folded",),
    ),
    # A friend that goes alone leaves these: the chats it answered are told so once, and forget it then.
    "chat_agents": Store("who answers in which chat", End.DELETED, _user, "person/chosen-agents.jsonl"),
    "key_grants": Store("which shared keys their agents may use", End.DELETED, _agent, "person/key-grants.jsonl"),
    "key_states": Store(
        "what failed of their keys, and until when", End.DELETED, _agent, "person/key-states.jsonl", ("mark",)
    ),
    "shared_keys": Store("who added a key that is shared out", End.NAMES_GO),
    "spaces": Store("groups they answered for", End.DELETED, _group, "person/groups.jsonl"),
    # How they came in.
    "pairings": Store(
        "that an address of theirs asked to be let in",
        End.DELETED,
        _pairing,
        "person/pairings.jsonl",
        ("code_hash",),
    ),
    "link_codes": Store(
        "addresses they joined, or began to", End.DELETED, _link_code, "person/links.jsonl", ("code_hash",)
    ),
    "link_guesses": Store("wrong codes typed from their addresses", End.DELETED, _sender, "person/guesses.jsonl"),
    "guest_days": Store(
        "how much an address of theirs wrote before it was theirs", End.DELETED, _sender, "person/guest-days.jsonl"
    ),
    # What they said, on its way.
    "seen": Store("the networks' numbers of their messages", End.DELETED, _seen, "messages/seen.jsonl"),
    "places": Store("which session lives where", End.DELETED, _agent, "messages/places.jsonl"),
    "turns": Store("that they wrote, when, by which route", End.DELETED, _said, "messages/turns.jsonl"),
    "turn_bodies": Store("what they wrote", End.DELETED, _turn_words, "messages/words.jsonl"),
    "outbox": Store("that they were answered, and where", End.DELETED, _said, "messages/deliveries.jsonl"),
    "outbox_bodies": Store("what they were answered", End.DELETED, _delivery_words, "messages/answers.jsonl"),
    "approvals": Store(
        "what tools they were asked about", End.DELETED, _said, "messages/approvals.jsonl", ("fingerprint",)
    ),
    "idempotency": Store(
        "keys of requests they made", End.DELETED, _user, "messages/idempotency.jsonl", ("request_hash",)
    ),
    # What stays true.
    "ledger": Store("what their model calls used and cost", End.TOMBSTONE, _paid, "usage/calls.jsonl"),
    "audit": Store("what they did, and what was done for them", End.TOMBSTONE, _audited, "person/on-record.jsonl"),
    "erasures": Store("that they are being erased", End.DELETED),
    # On PostgreSQL, the content of brains.
    "entries": Store("what was said", End.WITH_THE_BRAIN),
    "sessions": Store("their conversations, by title", End.WITH_THE_BRAIN),
    "attachments": Store("files they sent", End.WITH_THE_BRAIN),
    "auth_profiles": Store("their own keys, sealed", End.WITH_THE_BRAIN),
    "workspace_files": Store("their assistants' files", End.WITH_THE_BRAIN),
}
"""Every table. What lies in brains comes out as the files below `agents/`."""

BRAIN: Mapping[str, Store] = {
    "sessions": Store("what was said: one file a conversation", End.WITH_THE_BRAIN, file="sessions"),
    "archived": Store("conversations that were put away", End.WITH_THE_BRAIN, file="files"),
    "bin": Store("conversations that were deleted and can come back", End.WITH_THE_BRAIN, file="files"),
    "attachments": Store("files they sent", End.WITH_THE_BRAIN, file="attachments"),
    "workspace": Store(
        "what their assistant is told about itself, and its files", End.WITH_THE_BRAIN, file="files"
    ),
    "memory": Store("what their assistant remembers", End.WITH_THE_BRAIN, file="files"),
    "logs": Store("traces of what was asked of models", End.WITH_THE_BRAIN, file="files"),
    "auth-profiles.json": Store(
        "their own keys, sealed: out come names and last four", End.WITH_THE_BRAIN, file="keys.jsonl"
    ),
    "agent.db": Store("an index of the sessions, made of them", End.WITH_THE_BRAIN),
}
"""Every path of a brain's directory, by its first part; `agent.db` stands for what SQLite puts beside it, too."""

UNFINISHED = ".unfinished"
"""What the name of a file ends in that was being written when a process was killed."""


def part_of_brain(name: str) -> str | None:
    """Which part of a brain a name in its directory belongs to; None for one that nobody named."""
    if name.startswith("agent.db"):
        return "agent.db"
    whole = name.removesuffix(UNFINISHED)
    return whole if whole in BRAIN else None


ELSEWHERE: Mapping[str, str] = {
    "logs/rookery.jsonl": "ids, senders and durations; lines that name them are taken out, in rotated files too",
    "logs/audit-heads.jsonl": "numbers and hashes of rows; nobody's name",
    "open sockets, rings of events, watchers": "in memory; closed with their tokens and devices",
    "queued turns, deliveries on their way": "in memory; stopped and dropped before anything is deleted",
    "what a group said while nobody was asked": "in memory; their lines are let go of",
    "keys that were opened": "in memory; let go of, and never written",
    "open brains": "in memory; closed before their files are deleted",
    "sessions on shared agents": "those they alone wrote in are deleted; in others their words are taken out",
    "sessions of groups": "their words are taken out; what others said, and what everybody was answered, stays",
    "files they sent to shared agents": "deleted",
    "backups": "they hold what they held until they are deleted; the gateway has no hand in them",
    "public knowledge": "there is none yet; what somebody published will be listed for a decision",
}
"""Where else something of a person is, and what becomes of it."""
