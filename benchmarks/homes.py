"""Homes to measure with: people, and what they said so far, made through the code that keeps them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from sqlalchemy import Connection

from benchmarks.load import ANTHROPIC, OPENAI, WORDS
from rookery import ids, users
from rookery.gateway import places, schema
from rookery.gateway.home import Home
from rookery.gateway.places import Place
from rookery.ids import AgentId, EntryId, SessionId, TurnId, UserId
from rookery.messages import MessageEntry, Role, StopReason, TextPart, Usage
from rookery.sessions import FileBrains
from rookery.sessions.disk import FileOps
from rookery.sessions.key import Api, ByHand, Main, SessionKey
from rookery.storage.sqlite import SqliteDatabase
from rookery.storage.threads import WriterThreads
from rookery.users import CredentialKind, credentials

SECRET = "the benchmarks' own webhook secret"

_TOKENS = "tokens.json"
_MAIN = Main()
_MODEL = f"{OPENAI}/instant:20"


@dataclass(frozen=True, slots=True)
class People:
    """`count` people named `<name>0`, `<name>1`, …, each with a webhook address of that name.

    `model` answers them; `sessions` is how many they have, each with `history` messages. The first lives at
    `place`. With `tokens` each has one, which `tokens_of` reads.
    """

    name: str
    count: int
    model: str = _MODEL
    sessions: int = 0
    history: int = 0
    tokens: bool = False
    place: Main | Api = _MAIN

    @property
    def ids(self) -> tuple[str, ...]:
        return tuple(f"{self.name}{number}" for number in range(self.count))


def make(
    path: Path, groups: Sequence[People], *, endpoint: str, callback_port: int, more: Mapping[str, Any]
) -> Path:
    """Make a home whose people are answered by the endpoint and called back on loopback; returns it.

    `more` is the rest of its configuration; what it says of `models` stands beside who the endpoint is.
    """
    home = Home(path)
    home.prepare()
    account = {"secret": SECRET, "callbackUrl": f"http://127.0.0.1:{callback_port}/reply"}
    providers = {
        OPENAI: {"api": "openai", "baseUrl": f"{endpoint}/v1"},
        ANTHROPIC: {"api": "anthropic", "baseUrl": endpoint},
    }
    models = more.get("models", {})
    config = {
        **more,
        "models": {
            "default": _MODEL,
            **models,
            "providers": providers | models.get("providers", {}),
        },
        "channels": {"webhook": {"accounts": {"default": account}}},
    }
    home.config.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2))  # JSON is YAML too
    home.config.chmod(0o600)
    uvloop.run(_fill(home, groups))
    return path


def tokens_of(path: Path) -> dict[str, str]:
    """The tokens of a home's people, by user id."""
    return msgspec.json.decode((path / _TOKENS).read_bytes(), type=dict[str, str])


def answers(tokens: int, form: str = OPENAI, how: str = "instant") -> str:
    """The endpoint's model that answers with so many tokens, each a delta of its own."""
    return f"{form}/{how}:{tokens}"


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
                users.set_model(connection, AgentId(id), group.model)
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


def sessions_of(agent_id: AgentId, count: int, now: datetime, first: Main | Api = _MAIN) -> Iterator[Place]:
    """So many sessions of one agent, a minute after each other; the first lives at a place that is given."""
    for number in range(count):
        opened_at = now - timedelta(days=30) + timedelta(minutes=number)
        session_id = SessionId(ids.fresh(opened_at))
        key = str(SessionKey(agent_id, ByHand(session_id) if number else first))
        yield Place(key, agent_id, session_id, key, opened_at)


def _sessions(group: People, now: datetime) -> Iterator[Place]:
    for id in group.ids:
        yield from sessions_of(AgentId(id), group.sessions, now, group.place)


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
