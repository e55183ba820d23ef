"""Homes to measure with: people, and what they said so far, made through the code that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import uvloop
from sqlalchemy import Connection

from benchmarks.load import WORDS
from rookery import ids, users
from rookery.gateway import places, schema
from rookery.gateway.home import Home
from rookery.gateway.places import Place
from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.messages import MessageEntry, Role, StopReason, TextPart, Usage
from rookery.sessions import FileBrains
from rookery.sessions.disk import FileOps
from rookery.sessions.key import ByHand, Main, SessionKey
from rookery.storage.sqlite import SqliteDatabase
from rookery.storage.threads import WriterThreads
from rookery.users import CredentialKind, credentials

SECRET = "the benchmarks' own webhook secret"

_TOKENS = "tokens.json"


@dataclass(frozen=True, slots=True)
class People:
    """`count` people named `<name>0`, `<name>1`, …, each with a webhook address of that name.

    `words` is how many the model answers them with, `sessions` how many they have, each with `history`
    messages. The first is their main one. With `tokens` each has one, which `tokens_of` reads.
    """

    name: str
    count: int
    words: int = 20
    sessions: int = 0
    history: int = 0
    tokens: bool = False

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{number}" for number in range(self.count))


def make(path: Path, groups: Sequence[People], *, endpoint: str, callback_port: int) -> Path:
    """Make a home whose people are answered by the instant endpoint and called back on loopback; returns it."""
    home = Home(path)
    home.prepare()
    home.config.write_text(
        f"models:\n  default: bench/{model(20)}\n"
        f"  providers:\n    bench:\n      api: openai\n      baseUrl: {endpoint}\n"
        "channels:\n  webhook:\n    accounts:\n      default:\n"
        f'        secret: "{SECRET}"\n        callbackUrl: http://127.0.0.1:{callback_port}/reply\n'
    )
    home.config.chmod(0o600)
    uvloop.run(_fill(home, groups))
    return path


def tokens_of(path: Path) -> dict[str, str]:
    """The tokens of a home's people, by user id."""
    return msgspec.json.decode((path / _TOKENS).read_bytes(), type=dict[str, str])


def model(words: int) -> str:
    """The endpoint's model that answers at once with so many words, each a delta of its own."""
    return f"instant:{words}"


async def _fill(home: Home, groups: Sequence[People]) -> None:
    now = datetime.now(UTC)
    database = SqliteDatabase(home.database)
    await database.write(schema.prepare)
    tokens: dict[str, str] = {}
    for group in groups:
        opened = list(_sessions(group, now))

        def work(connection: Connection, group: People = group, opened: list[Place] = opened) -> None:
            for id in group.ids:
                users.add_user(connection, id, name=None, role="member", now=now)
                users.link(connection, UserId(id), "webhook", "default", id, now=now)
                users.set_model(connection, AgentId(id), f"bench/{model(group.words)}")
                if group.tokens:
                    made = credentials.issue(connection, UserId(id), CredentialKind.TOKEN, "bench", now=now)
                    tokens[id] = made.secret
            for place in opened:
                places.move(connection, place)

        await database.write(work)
        await write_transcripts(home.agents, opened, group.history)
    await database.close()
    home.config.with_name(_TOKENS).write_bytes(msgspec.json.encode(tokens))


async def write_transcripts(agents: Path, opened: Sequence[Place], history: int) -> None:
    """Write a transcript of `history` messages for each session, unsynced, because nobody will miss them."""
    threads = WriterThreads(1)
    brains = FileBrains(agents, threads, ops=FileOps(sync_data=_nothing, sync=_nothing))
    for place in opened:
        async with brains.use(place.agent_id) as brain:
            session = await brain.open_session(place.session_id, place.opened_key, place.moved_at)
            await session.append(*_history(place, history))
    await brains.close()
    await threads.close()


def sessions_of(agent_id: AgentId, count: int, now: datetime) -> Iterator[Place]:
    """So many sessions of one agent, a minute after each other; the first lives at its main place."""
    for number in range(count):
        opened_at = now - timedelta(days=30) + timedelta(minutes=number)
        session_id = SessionId(ids.fresh(opened_at))
        key = str(SessionKey(agent_id, ByHand(session_id) if number else Main()))
        yield Place(key, agent_id, session_id, key, opened_at)


def _sessions(group: People, now: datetime) -> Iterator[Place]:
    for id in group.ids:
        yield from sessions_of(AgentId(id), group.sessions, now)


def said(place: Place, turn: str, number: int = 0, *, answer: bool = False) -> MessageEntry:
    """One message of a session, 20 words long; `number` seconds after the session began."""
    return MessageEntry(
        id=EntryId(f"{turn}.{int(answer)}"),
        timestamp=place.moved_at + timedelta(seconds=number),
        turn_id=TurnId(turn),
        role=Role.ASSISTANT if answer else Role.USER,
        content=(TextPart(WORDS),),
        usage=Usage(20 * number, 20) if answer else None,
        stop_reason=StopReason.STOP if answer else None,
    )


def _history(place: Place, count: int) -> Iterator[MessageEntry]:
    for number in range(count):
        yield said(place, f"{place.session_id}-{number // 2}", number, answer=number % 2 == 1)


def _nothing(_: int) -> None:
    """In place of a sync."""
