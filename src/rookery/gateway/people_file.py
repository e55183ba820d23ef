"""Applying a people file: all of it in one transaction, or nothing.

What takes time is done before, so that nobody waits for it: first passwords are hashed, and the texts of friends
copied into their workspaces. A text lies there before the store says so; when the process ends in between, it is
copied again, and one that somebody has changed meanwhile stays as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Struct
from sqlalchemy import Connection

from rookery import users
from rookery.config import Config
from rookery.errors import Busy, NotFound
from rookery.gateway import audit
from rookery.gateway.audit import AuditRow
from rookery.gateway.operations.closing import narrowed
from rookery.gateway.people_changes import Change, Configured, Copy, Plan
from rookery.gateway.people_plan import plan
from rookery.ids import AgentId, TurnId, UserId
from rookery.sessions import Brains
from rookery.storage import Database
from rookery.users import put, stored
from rookery.users.described import DescribedPerson, Wrong
from rookery.users.hashing import Hasher

if TYPE_CHECKING:
    from rookery.gateway.gateway import Gateway

IDENTITY = "identity.md"
"""What a friend's text is called in its workspace."""

_ATTEMPTS = 5


class Progress(Struct, frozen=True, rename="camel", tag="progress", tag_field="event"):
    """What is being done, and how much of it is."""

    what: str
    done: int
    total: int


class Applied(Struct, frozen=True, rename="camel", kw_only=True, tag="applied", tag_field="event"):
    """What came of it. With `problems` nothing was changed, and nothing is when it was a rehearsal.

    `notes` say what the file did not decide, `left` who was described before and is not now.
    """

    people: int
    changes: tuple[Change, ...]
    problems: tuple[Wrong, ...] = ()
    notes: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    rehearsal: bool = False


class Parts(Struct, frozen=True):
    """What applying needs of an open house. `actor` does it; `still` asks in the transaction if they may."""

    database: Database
    brains: Brains
    hasher: Hasher
    now: Callable[[], datetime]
    config: Config
    actor: str
    still: Callable[[Connection], None] = lambda _: None
    tell: Callable[[Ended], None] = lambda _: None


class Ended(Struct, frozen=True):
    """Which tokens and devices are not let in any more, and which turns were stopped; told after the commit."""

    closed: tuple[tuple[UserId, str], ...] = ()
    stopped: tuple[TurnId, ...] = ()


def teller(gateway: Gateway) -> Callable[[Ended], None]:
    """Tells a running gateway, and through it whoever holds something open."""

    def tell(ended: Ended) -> None:
        gateway.lanes.stop(list(ended.stopped))
        for user_id, credential_id in ended.closed:
            gateway.revocations.tell(user_id, credential_id)

    return tell


@dataclass(slots=True)
class _Ready:
    """What was made ready before the transaction."""

    hashes: dict[UserId, str] = field(default_factory=dict[UserId, str])
    copied: set[AgentId] = field(default_factory=set[AgentId])


async def apply(
    parts: Parts,
    people: Sequence[DescribedPerson],
    texts: Mapping[str, str],
    *,
    rehearsal: bool = False,
    file: tuple[str, str | None] | None = None,
) -> AsyncGenerator[Progress | Applied]:
    """Bring the store to what is said of these people; the last event is `Applied`.

    `texts` are those that friends name, by their hash. `file` is the path and digest to remember as the one in
    force. Raises `StorageUnavailable`, and what `parts.still` raises.
    """
    configured = Configured.of(parts.config)
    ready = _Ready()
    for _ in range(_ATTEMPTS):
        yield Progress("comparing", 0, len(people))
        made = await parts.database.read(lambda connection: plan(people, stored.read(connection), configured))
        if made.problems or rehearsal:
            yield _outcome(people, made, rehearsal=rehearsal)
            return
        if made.does_nothing and (file is None or file[1] is None):
            yield _outcome(people, made)
            return
        async for progress in _prepare(parts, people, texts, made, ready):
            yield progress
        yield Progress("writing", 0, len(made.changes))
        done = await parts.database.write(
            lambda connection: _write(connection, parts, people, configured, ready, file),
            then=lambda written: None if written is None else parts.tell(written[1]),
        )
        if done is not None:
            yield _outcome(people, done[0])
            return
    raise Busy(
        "People were changed again and again while the file was being applied; try once more.", retry_after=1
    )


async def _prepare(
    parts: Parts, people: Sequence[DescribedPerson], texts: Mapping[str, str], made: Plan, ready: _Ready
) -> AsyncGenerator[Progress]:
    first = {UserId(one.id): one.password for one in people if one.password is not None}
    to_hash = [id for id, hash in made.passwords.items() if hash is None and id not in ready.hashes]
    for number, id in enumerate(to_hash):
        yield Progress("hashing passwords", number, len(to_hash))
        ready.hashes[id] = await parts.hasher.again(first[id] or "")
    to_copy = [copy for copy in made.copies if copy.agent_id not in ready.copied]
    for number, copy in enumerate(to_copy):
        if number % 20 == 0:
            yield Progress("copying texts", number, len(to_copy))
        await _copy(parts.brains, copy, texts[copy.digest])
        ready.copied.add(copy.agent_id)


async def _copy(brains: Brains, copy: Copy, text: str) -> None:
    async with brains.use(copy.agent_id) as brain:
        if not copy.anew:
            try:
                await brain.workspace.read(IDENTITY)
            except NotFound:
                pass
            else:
                return  # it is theirs by now
        await brain.workspace.write(IDENTITY, text.encode())


def _write(
    connection: Connection,
    parts: Parts,
    people: Sequence[DescribedPerson],
    configured: Configured,
    ready: _Ready,
    file: tuple[str, str | None] | None,
) -> tuple[Plan, Ended] | None:
    """Do it, if the store is still as it was when it was made ready; None when more has to be."""
    parts.still(connection)
    stored.alone(connection)
    before = stored.read(connection)
    made = plan(people, before, configured)
    if made.problems:
        return made, Ended()
    hashes = {id: hash or ready.hashes.get(id, "") for id, hash in made.passwords.items()}
    if not all(hashes.values()) or not {copy.agent_id for copy in made.copies} <= ready.copied:
        return None
    now = parts.now()
    put.unlink(connection, made.unlinked)
    put.people(connection, made.new_users, now)
    put.agents(connection, made.new_agents, now)
    put.change_people(connection, made.users)
    put.change_agents(connection, made.agents)
    put.link(connection, made.linked, now)
    put.budgets(connection, made.budgets)
    first = [id for id, hash in made.passwords.items() if hash is None]
    devices = put.passwords(connection, hashes, first, now)
    put.says(connection, made.says)
    if file is not None:
        put.keep_file(connection, *file, now)
    deeds = [AuditRow(now, parts.actor, id, action, object, "allowed") for id, action, object in made.deeds]
    if deeds:
        whole = AuditRow(now, parts.actor, None, "people.apply", f"{len(people)} people", "allowed")
        audit.keep_all(connection, [whole, *deeds])
    stopped: list[TurnId] = []
    for id, values in made.users.items():
        if "permissions" in values:
            turns, closed = narrowed(connection, before.users[id], users.get_user(connection, id))
            stopped += turns
            devices += [(id, one) for one in closed]
    return made, Ended(tuple(devices), tuple(stopped))


def _outcome(people: Sequence[DescribedPerson], made: Plan, *, rehearsal: bool = False) -> Applied:
    return Applied(
        people=len(people),
        changes=() if made.problems else tuple(made.changes),
        problems=tuple(made.problems),
        notes=tuple(made.notes),
        left=tuple(made.left),
        rehearsal=rehearsal,
    )
