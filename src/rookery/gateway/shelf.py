"""What a lane does besides answering: write the beginning of a session, take it off the shelf, or purge it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import assert_never

from sqlalchemy import Connection

from rookery.errors import NotFound, StorageCorrupt
from rookery.gateway import entries, turn_facts, turns
from rookery.gateway.turns import Kind, Status, Turn
from rookery.gateway.watchers import SessionChanged, SessionRemoved, Watchers, Where
from rookery.messages import ChatKind, MessageEntry, Role
from rookery.messages.transcript import ImagePart
from rookery.policy import user_of
from rookery.sessions import Brain, Brains
from rookery.storage import Database


class Shelf:
    """Carries out the turns that answer nobody; one for the whole gateway."""

    def __init__(
        self, *, database: Database, brains: Brains, watchers: Watchers, now: Callable[[], datetime]
    ) -> None:
        self._database = database
        self._brains = brains
        self._watchers = watchers
        self._now = now

    async def keep(self, turn: Turn) -> None:
        """Do what a turn asks for and commit its end. Raises `StorageUnavailable`: then it is to be done again."""
        match turn.kind:
            case Kind.OPEN | Kind.OPEN_ONCE:
                await self._open(turn)
            case Kind.REMOVE if turn.body.purge:
                await self._purge(turn)
            case Kind.REMOVE:
                await self._put_away(turn)
            case Kind.MESSAGE | Kind.COMMAND:
                raise AssertionError(f"a {turn.kind} is no work for the shelf")
            case _:
                assert_never(turn.kind)

    async def _open(self, turn: Turn) -> None:
        """Write the first lines of a session that somebody opened."""
        async with self._brains.use(turn.agent_id) as brain:
            session = await brain.open_session(turn.session_id, turn.opened_key, turn.accepted_at)
            await session.append(entries.opening(turn, session, self._now()))
        await self._database.write(
            partial(self._finish, turn), then=lambda _: self._watchers.tell(where(turn), SessionChanged())
        )

    async def _put_away(self, turn: Turn) -> None:
        """Mark a session as deleted."""
        async with self._brains.use(turn.agent_id) as brain:
            session = await brain.open_session(turn.session_id, turn.opened_key, turn.accepted_at)
            await session.append(entries.removal(turn, session, self._now()))
        await self._database.write(
            partial(self._finish, turn), then=lambda _: self._watchers.tell(where(turn), SessionRemoved())
        )

    async def _purge(self, turn: Turn) -> None:
        """Delete a session with every word that was said in it, and the files that came with them.

        The files go first: whatever breaks in between, the transcript that names them is still there to do it
        again by. A file that was sent in two sessions goes with the first that is purged.
        """
        async with self._brains.use(turn.agent_id) as brain:
            await self._remove_files(brain, turn)
            await brain.remove(turn.session_id)

        def work(connection: Connection) -> None:
            self._finish(turn, connection)
            turns.forget_words(connection, turn.agent_id, turn.session_id)

        await self._database.write(work, then=lambda _: self._watchers.tell(where(turn), SessionRemoved()))

    async def _remove_files(self, brain: Brain, turn: Turn) -> None:
        sent, hands = await self._database.read(
            lambda connection: (
                turns.files_of(connection, turn.agent_id, turn.session_id),
                {principal for principal, _ in turn_facts.hands(connection, turn.session_id)},
            )
        )
        named = await _named(brain, turn)
        for attachment_id in named:
            await brain.attachments.remove(attachment_id)
        # What was sent and is in no entry: of a turn that ended before, or that nobody waited for. An id that a
        # message names may be anybody's, and only who wrote here has files to lose by it.
        for attachment_id in sent - named:
            try:
                stored = await brain.attachments.get(attachment_id)
            except (NotFound, StorageCorrupt):
                continue
            if stored.added_by in hands:
                await brain.attachments.remove(attachment_id)

    def _finish(self, turn: Turn, connection: Connection) -> None:
        turns.finish(connection, [turn], Status.DONE, now=self._now())


async def _named(brain: Brain, turn: Turn) -> set[str]:
    """The files that the entries of a session name: those of who sent them, as was seen to when it was written."""
    try:
        session = await brain.session(turn.session_id)
    except (NotFound, StorageCorrupt):
        return set()
    said = [entry for entry in session.entries if isinstance(entry, MessageEntry) and entry.role is Role.USER]
    pictures = {part.attachment_id for entry in said for part in entry.content if isinstance(part, ImagePart)}
    return pictures.union(*(entry.attachments for entry in said))


def where(turn: Turn) -> Where:
    """The session of a turn, and who may see on a page what happens in it: in a direct chat, who wrote.

    A question that came with no session of its own (`/v1` without a name) is on no page: whoever asked it holds
    the line to its answer.
    """
    on_a_page = turn.route.chat.kind is ChatKind.DM and not (turn.body.ephemeral and turn.body.attended)
    user_id = user_of(turn.principal) if on_a_page else None
    return Where(turn.agent_id, turn.session_id, turn.opened_key, user_id)
