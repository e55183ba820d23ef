"""People who used every surface there is, with words in each that are nobody else's; and finding them again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from random import Random

from sqlalchemy import Connection, insert, select

from rookery import users
from rookery.gateway import schema, tables
from rookery.gateway.inbound import Wish
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind
from rookery.models import ModelRequest
from rookery.models.scripted import ScriptedModel, echo
from rookery.sessions.profiles import Profile
from rookery.sessions.tables import content_metadata
from rookery.storage import as_agent, metadata
from rookery.users import CredentialKind, credentials, passwords, spaces
from rookery.users import tables as user_tables
from tests.isolation import canaries
from tests.support.house import TestHouse

GROUP = Chat(ChatKind.GROUP, "-100")


@dataclass
class Life:
    """One person's words, by where they stand."""

    user_id: str
    rng: Random
    sender: str = ""
    said: dict[str, str] = field(default_factory=dict[str, str])

    def word(self, where: str) -> str:
        """A canary for one surface."""
        self.said[where] = canaries.fresh(self.rng)
        return self.said[where]

    @property
    def words(self) -> set[str]:
        """All of them as `canaries.found_in` has them."""
        return {word.lower() for word in self.said.values()}


async def live(house: TestHouse, user_id: str, seed: int) -> Life:
    """Let somebody use everything: own agent, friend, group, shared agent, files, keys, codes, what failed."""
    life = Life(user_id, Random(seed))
    life.sender = f"s{life.word('sender id')}"
    now = house.clock.now()

    def begin(connection: Connection) -> None:
        users.add_user(connection, user_id, name=f"Jo {life.word('name')}", role="member", now=now)
        users.link(connection, UserId(user_id), "telegram", None, life.sender, now=now)
        friend = users.add_friend(
            connection,
            UserId(user_id),
            "pal",
            name=f"Pal {life.word('friend')}",
            persona=life.word("persona"),
            now=now,
        )
        passwords.keep_password(connection, UserId(user_id), "$hash", must_change=False, now=now)
        credentials.issue(connection, UserId(user_id), CredentialKind.TOKEN, life.word("token"), now=now)
        connection.execute(insert(user_tables.budgets).values(user_id=user_id, per_day_tokens=5))
        connection.execute(
            insert(user_tables.key_grants).values(agent_id=user_id, shared_key="family", granted_at=now)
        )
        connection.execute(
            insert(user_tables.chat_agents).values(
                user_id=user_id,
                channel="email",
                account="default",
                chat_id=life.word("chat"),
                thread_id="",
                agent_id=friend.id,
                chosen_at=now,
            )
        )
        connection.execute(
            insert(tables.idempotency).values(
                user_id=user_id,
                route="POST /x",
                key=life.word("idempotency"),
                request_hash="h",
                object_id="o",
                used_at=now,
            )
        )
        connection.execute(
            insert(tables.approvals).values(
                turn_id=f"approval-{user_id}",
                n=1,
                agent_id=user_id,
                principal=f"user:{user_id}",
                entry_id="e",
                place=0,
                tool=life.word("tool"),
                fingerprint="f",
                state="asked",
                asked_at=now,
                expires_at=now,
            )
        )

    await house.database.write(begin)
    await house.telegram.says(life.sender, f"hello {life.word('message')}")
    await house.telegram.says(life.sender, f"/new about {life.word('title')}")
    await house.telegram.says(life.sender, f"more {life.word('second session')}")
    await house.idle()
    await house.receive(
        "terminal", user_id, f"psst {life.word('to the friend')}", Wish(AgentId(f"{user_id}--pal"))
    )
    await house.idle()
    await house.receive("terminal", user_id, f"help {life.word('to the shared')}", Wish(AgentId("helpdesk")))
    await house.telegram.says(life.sender, f"all {life.word('in the group')}", chat=GROUP)
    await house.idle()
    async with house.gateway.brains.use(AgentId(user_id)) as brain:
        await brain.attachments.add(
            f"{life.word('file name')}.txt",
            "text/plain",
            f"file {life.word('file')}".encode(),
            added_by=f"user:{user_id}",
            created_at=now,
        )
        key = Profile(provider="test", name=life.word("profile"), sealed="sealed", last_four="1234", added_at=now)
        await brain.profiles.change(lambda _: (key,))
        if brain.home is not None:
            for path in ("workspace/notes/a.md", "memory/facts.jsonl", "logs/trace.jsonl"):
                file = brain.home / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(f"{life.word(path)}\n")
    async with house.gateway.brains.use(AgentId("helpdesk")) as brain:
        await brain.attachments.add(
            "b.txt", "text/plain", life.word("file for all").encode(), added_by=f"user:{user_id}", created_at=now
        )
    return life


async def furnish(house: TestHouse) -> None:
    """An admin, a shared agent, and a group: what people live beside."""
    house.model = ScriptedModel(repeat(_answer))
    await house.person("carol", admin=True)
    await house.person("dan", admin=True)
    await house.shared_agent("helpdesk", sponsor="carol")

    def admit(connection: Connection) -> None:
        spaces.admit(
            connection,
            "telegram",
            None,
            GROUP,
            sponsor=UserId("carol"),
            by="operator",
            name="All",
            now=house.clock.now(),
        )

    await house.database.write(admit)


def _answer(request: ModelRequest) -> str:
    """Everything that was said, to who talks alone; where several do an answer quotes nobody."""
    said = echo(request)
    return "All right." if "several people" in said else said


async def rows(house: TestHouse) -> dict[str, list[str]]:
    """Every row of every table, as text: also behind row-level security, agent by agent."""

    def look(connection: Connection) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        agents = [agent.id for agent in users.list_agents(connection)]
        mine = {table.name for table in schema.content_tables()}
        parts = [metadata, *([content_metadata] if connection.dialect.name == "postgresql" else [])]
        for table in [table for part in parts for table in part.sorted_tables]:
            behind = table.name in mine and connection.dialect.name == "postgresql"
            for agent_id in {*agents, "alice", "alice--pal"} if behind else {None}:
                if agent_id is not None:
                    as_agent(connection, AgentId(agent_id))
                for row in connection.execute(select(table)):
                    found.setdefault(table.name, []).append(repr(tuple(row)))
        return found

    return await house.database.read(look)


def bytes_under(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every byte of every file, and every name, below a directory."""
    for path in sorted(home.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        yield str(path.relative_to(home)), path.name.encode() + b"\n" + data


def found_under(home: Path) -> dict[str, set[str]]:
    """The canaries below a directory, by file."""
    looked = {name: canaries.found_in(data) for name, data in bytes_under(home)}
    return {name: found for name, found in looked.items() if found}
