"""A house with one of everything that can be asked for, and everybody who may come and ask for it.

Alice owns what is asked for. Sam sponsors the shared agent `helpdesk`, which answers the group -100 on telegram,
in which Erin writes, and a guest on the webhook. Dora is disabled; what is asked for in her name is hers.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlalchemy import Connection, insert, update

from rookery import ids, users
from rookery.agents import Verdict
from rookery.channels.contract import Outcome
from rookery.channels.terminal import typed
from rookery.config import Config
from rookery.gateway import deliveries, linking, pairing, routes
from rookery.gateway import tables as gateway_tables
from rookery.gateway.bind import Binding
from rookery.gateway.callers import DEVICE_LIFE
from rookery.gateway.inbound import NO_WISH, Wish
from rookery.gateway.providers import Provider, SharedKey
from rookery.ids import AgentId, UserId
from rookery.messages import Chat, ChatKind, Route
from rookery.models import Key
from rookery.policy import Member, principal
from rookery.sessions import Brains
from rookery.sessions.brain import Brain
from rookery.sessions.profiles import Profile
from rookery.storage import Database
from rookery.users import CredentialKind, credentials, passwords, spaces, tables
from rookery.users.hashing import Cost, Hasher
from rookery.users.shared_keys import put_shared_key
from tests.support.asgi import Client
from tests.support.house import MODEL
from tests.support.web_house import WebHouse

T = TypeVar("T")

HELPDESK = "helpdesk"
GROUP = "-100"
GUEST = "gus"
GUESTS = ("webhook", "default")
SHARED_KEY, GRANTED_KEY = "house", "lent"
"""Two keys of the house; Alice's agent may use the second."""

PASSWORD = "correct horse battery staple"

PEOPLE = {
    "owner": "alice",
    "owner by token": "alice",
    "other": "bob",
    "group member": "erin",
    "sponsor": "sam",
    "admin": "carol",
}
"""Who is behind each actor that may come in."""

NOBODIES = ("anonymous", "made-up token", "ended token", "ended device", "old device", "disabled", "wrong kind")
"""Who may not come in at all, whatever they ask for; a guest has no other way to the web than `anonymous`."""


@dataclass(frozen=True, slots=True)
class Things:
    """One of everything, and whose it is. A field holds the id it is asked for by."""

    whose: str
    agent: str
    friend: str
    session: str
    session_key: str
    turn: str
    shared_session: str
    shared_turn: str
    group_session: str
    group_turn: str
    token: str
    device: str
    attachment: str
    shared_attachment: str
    address: str
    space: str
    dead_letter: str
    spare_agent: str
    approval: str
    profile: str
    stored_key: str
    link: str
    pairing: str


class Scene(WebHouse):
    """The house."""

    def __init__(self, home: Path) -> None:
        self.work: Counter[str] = Counter()
        super().__init__(
            home,
            config=Config(),
            wrap_database=partial(_Counted, self.work),
            wrap_brains=partial(_CountedBrains, self.work),
        )
        self._clients: dict[str, Client] = {}
        self._said = 0

    async def open(self) -> None:
        await super().open()
        self.gateway.hasher = Hasher(Cost(memory=64, passes=1))
        shared = {name: SharedKey("test", Key("sk-not-used")) for name in (SHARED_KEY, GRANTED_KEY)}
        scripted = Provider("test", lambda: self.model, keyless=True)
        other = Provider("other", lambda: self.model, keyless=False)
        await self.gateway.providers.replace({"test": scripted, "other": other}, shared, MODEL)

    async def moves_in(self) -> None:
        """Let everybody be there, with what they show."""
        for person in ("alice", "bob", "dora", "erin", "sam"):
            await self.person(person)
        await self.person("carol", admin=True)
        await self.link("erin", "telegram", "e1")
        await self.shared_agent(
            HELPDESK, sponsor="sam", channel="telegram", peer_kind=ChatKind.GROUP, peer_id=GROUP
        )
        self.bind(Binding(AgentId(HELPDESK), *GUESTS))
        self.account_rule(*GUESTS, allow_from=frozenset({GUEST}))
        for actor, person in PEOPLE.items():
            self._clients[actor] = await (self.token(person) if actor == "owner by token" else self.device(person))
        await self._nobodies_move_in()
        await self._set_passwords()

    def somebody(self, **with_what: Any) -> Client:
        """Somebody from another machine."""
        return super().somebody(source="192.0.2.7", **with_what)

    def client(self, actor: str) -> Client:
        """The actor at the doors."""
        return self._clients[actor]

    async def comes_back(self, actor: str) -> None:
        """Let the actor be in once more, who may have been logged out by what they asked for."""
        person = PEOPLE[actor]
        await self._set_passwords()
        self._clients[actor] = await (self.token(person) if actor == "owner by token" else self.device(person))

    async def things(self, whose: str = "alice") -> Things:
        """Make one of everything, new."""
        turn = await self.says(whose, "something of my own")
        shared = await self.says(whose, "something between us", Wish(AgentId(HELPDESK)))
        await self.telegram.says("e1", "something in the group", group=GROUP)
        await self.idle()
        await self._lend_key(whose)
        token = await self.issued(whose, CredentialKind.TOKEN, "a token")
        device = await self.issued(whose, CredentialKind.DEVICE, "a browser")
        self._said += 1
        address = f"address-{self._said}"
        await self.link(whose, "email", address)
        sessions = {row["turn_id"]: row for row in self.rows("turns")}
        in_group = [row for row in sessions.values() if row["chat_kind"] == ChatKind.GROUP][-1]
        for agent in (whose, HELPDESK):
            async with self.gateway.brains.use(AgentId(agent)) as brain:
                await brain.workspace.write("AGENTS.md", b"as it is")
        return Things(
            whose=whose,
            agent=whose,
            friend=await self._friend(whose),
            session=sessions[turn]["session_id"],
            session_key=sessions[turn]["session_key"],
            turn=turn,
            shared_session=sessions[shared]["session_id"],
            shared_turn=shared,
            group_session=in_group["session_id"],
            group_turn=in_group["turn_id"],
            token=token.credential.id,
            device=device.credential.id,
            attachment=await self._file(whose, whose),
            shared_attachment=await self._file(whose, HELPDESK),
            address=address,
            space=await self._space(),
            dead_letter=await self._dead_letter(in_group["turn_id"]),
            spare_agent=await self._spare_agent(),
            link=await self._link(whose),
            pairing=await self._pairing(),
            approval=await self._approval(whose, turn, shared, in_group["turn_id"]),
            profile=await self._profile(whose),
            stored_key=await self._stored_key(),
        )

    async def says(self, person: str, text: str, wish: Wish = NO_WISH) -> str:
        """Somebody says something in their terminal and is answered; the turn."""
        self._said += 1
        receipt = await self.gateway.receive(typed(person, f"scene-{self._said}", text), wish)
        assert receipt.outcome is Outcome.ACCEPTED
        assert receipt.turn_id is not None
        await self.idle()
        return receipt.turn_id

    async def enable(self, person: str, enabled: bool) -> None:
        """Let a person come in, or not, telling nobody."""
        table = tables.users
        await self.database.write(
            lambda connection: connection.execute(
                update(table).where(table.c.id == person).values(enabled=enabled)
            )
        )

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of a table of the gateway's, as they are committed."""
        with closing(sqlite3.connect(f"file:{self.home / 'gateway.db'}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]

    def state(self) -> dict[str, Any]:
        """Everything that is kept, but for the record of who asked for what: a refusal changes nothing of it."""
        with closing(sqlite3.connect(f"file:{self.home / 'gateway.db'}?mode=ro", uri=True)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            kept: dict[str, Any] = {
                name: connection.execute(f'SELECT * FROM "{name}"').fetchall()
                for name in names
                if name not in ("audit", "sqlite_sequence")
            }
        for path in sorted((self.home / "agents").rglob("*")):
            if path.is_file() and path.suffix not in (".db", ".db-wal", ".db-shm"):
                kept[str(path)] = path.read_bytes()
        return kept

    async def _approval(self, whose: str, *turns: str) -> str:
        """Let each of these turns have had a call of a tool that was allowed; the number it was allowed by."""
        self._said += 1
        table, number, now = gateway_tables.approvals, self._said, self.clock.now()
        rows = {row["turn_id"]: row for row in self.rows("turns")}
        values = [
            {
                "turn_id": turn,
                "n": number,
                "agent_id": rows[turn]["agent_id"],
                "principal": rows[turn]["principal"],
                "entry_id": f"{turn}.1",
                "place": number,
                "tool": "time",
                "fingerprint": "-",
                "state": Verdict.ALLOWED.value,
                "asked_at": now,
                "expires_at": now,
                "answered_by": rows[turn]["principal"],
                "answered_at": now,
            }
            for turn in turns
        ]
        assert rows[turns[0]]["principal"] == principal(Member(UserId(whose)))
        await self.database.write(lambda connection: connection.execute(insert(table), values))
        return str(number)

    async def _link(self, whose: str) -> str:
        """Let a person ask for a code on the page, and an address say yes to it; the id of that."""
        self._said += 1
        sender = f"joins-{self._said}"
        page = Route("webchat", "default", Chat(ChatKind.DM, whose), None, whose, "m")
        there = Route("email", "default", Chat(ChatKind.DM, sender), None, sender, "m")

        def work(connection: Connection) -> str:
            now = self.clock.now()
            begun = linking.begin(connection, UserId(whose), page, now)
            claimed = linking.claim(connection, begun.code, there, now)
            assert claimed is not None
            return linking.agree(connection, claimed, now).id

        return await self.database.write(work)

    async def _profile(self, agent: str) -> str:
        """Let an agent have a key of its own; what it is called."""
        self._said += 1
        profile = Profile("test", f"profile-{self._said}", "sealed", "", self.clock.now())
        async with self.gateway.brains.use(AgentId(agent)) as brain:
            await brain.profiles.change(lambda known: [profile, *known[:9]])
        return profile.name

    async def _stored_key(self) -> str:
        """Let the store have a shared key; its name."""
        self._said += 1
        name, now = f"stored-{self._said}", self.clock.now()
        await self.database.write(
            lambda connection: put_shared_key(
                connection, name, provider="other", sealed="sealed", last_four="", added_by="operator", now=now
            )
        )
        return name

    async def _pairing(self) -> str:
        """Let a stranger have asked to be let in; the id of that."""
        self._said += 1
        sender, now = f"stranger-{self._said}", self.clock.now()
        id = ids.fresh(now)
        values = {
            "id": id,
            "kind": pairing.Kind.PERSON.value,
            "state": pairing.State.WAITING.value,
            "asked_at": now,
            "expires_at": now + pairing.CODE_LIFE,
            **routes.to_columns(Route("email", "default", Chat(ChatKind.DM, sender), None, sender, "m")),
        }
        await self.database.write(lambda c: c.execute(insert(gateway_tables.pairings), values))
        return id

    async def _spare_agent(self) -> str:
        """A shared agent nobody has talked to."""
        self._said += 1
        await self.shared_agent(f"spare-{self._said}", sponsor="sam")
        return f"spare-{self._said}"

    async def _friend(self, whose: str) -> str:
        """A friend of a person's; its id."""

        def work(connection: Connection) -> str:
            there = users.friends_of(connection, UserId(whose))
            if there:
                return there[-1].id
            self._said += 1
            now, id = self.clock.now(), f"friend{self._said}"
            return users.add_friend(connection, UserId(whose), id, name=id, persona="a secret", now=now).id

        return await self.database.write(work)

    async def _file(self, whose: str, agent: str) -> str:
        """Let a person send up a file; its id."""
        by = principal(Member(UserId(whose)))
        async with self.gateway.brains.use(AgentId(agent)) as brain:
            stored = await brain.attachments.add(
                "a.txt", "text/plain", b"hello", added_by=by, created_at=self.clock.now()
            )
        return stored.id

    async def _lend_key(self, agent: str) -> None:
        def work(connection: Connection) -> None:
            if GRANTED_KEY not in users.granted_keys(connection, AgentId(agent)):
                users.grant_key(connection, AgentId(agent), GRANTED_KEY, now=self.clock.now())

        await self.database.write(work)

    async def _space(self) -> str:
        """Let a group in; its chat."""
        self._said += 1
        chat = Chat(ChatKind.GROUP, f"-9{self._said}")
        await self.database.write(
            lambda connection: spaces.admit(
                connection, "telegram", None, chat, sponsor=UserId("sam"), by="operator", now=self.clock.now()
            )
        )
        return chat.id

    async def _dead_letter(self, turn: str) -> str:
        """Let a delivery of a turn be one that never arrived; its id."""
        table = gateway_tables.outbox
        id = next(row["delivery_id"] for row in self.rows("outbox") if row["turn_id"] == turn)
        dead = {"status": deliveries.Status.DEAD.value, "ended_at": self.clock.now(), "problem": "nobody there"}
        await self.database.write(
            lambda connection: connection.execute(update(table).where(table.c.delivery_id == id).values(**dead))
        )
        return id

    async def _nobodies_move_in(self) -> None:
        alive = self._clients
        for actor, kind in (("ended token", CredentialKind.TOKEN), ("ended device", CredentialKind.DEVICE)):
            issued = await self.issued("alice", kind, actor)
            shown = {kind.value: issued.secret}
            alive[actor] = self.somebody(**shown)
            await self.database.write(
                lambda connection, issued=issued, kind=kind: credentials.end(
                    connection, UserId("alice"), kind, issued.credential.id, now=self.clock.now()
                )
            )
        old = await self.issued("alice", CredentialKind.DEVICE, "old device")
        long_ago = self.clock.now() - DEVICE_LIFE - timedelta(seconds=1)
        table = tables.credentials
        await self.database.write(
            lambda connection: connection.execute(
                update(table).where(table.c.id == old.credential.id).values(created_at=long_ago)
            )
        )
        token = await self.issued("alice", CredentialKind.TOKEN, "a token")
        alive["old device"] = self.somebody(device=old.secret)
        alive["wrong kind"] = self.somebody(device=token.secret)  # a token is no cookie
        alive["made-up token"] = self.somebody(token="rk_" + "A" * 43)
        alive["anonymous"] = self.somebody()
        alive["disabled"] = await self.token("dora")
        await self.enable("dora", False)

    async def _set_passwords(self) -> None:
        hashed = await self.gateway.hasher.new(PASSWORD)
        now = self.clock.now()
        for person in set(PEOPLE.values()):
            await self.database.write(
                lambda connection, person=person: passwords.keep_password(
                    connection, UserId(person), hashed, must_change=False, now=now
                )
            )


class _Counted:
    """A database that counts what it is asked."""

    def __init__(self, work: Counter[str], database: Database) -> None:
        self._database = database
        self._work = work

    @property
    def dialect(self) -> Literal["sqlite", "postgresql"]:
        return self._database.dialect

    async def write(
        self, work: Callable[[Connection], T], *, then: Callable[[T], None] | None = None, relaxed: bool = False
    ) -> T:
        self._work["writes"] += 1
        return await self._database.write(work, then=then, relaxed=relaxed)

    async def read(self, work: Callable[[Connection], T]) -> T:
        self._work["reads"] += 1
        return await self._database.read(work)

    async def scrub(self, *, whole: bool = True) -> None:
        await self._database.scrub(whole=whole)

    async def close(self) -> None:
        await self._database.close()


class _CountedBrains:
    """Brains that are counted when they are used."""

    def __init__(self, work: Counter[str], brains: Brains) -> None:
        self._brains = brains
        self._work = work

    def use(self, agent_id: AgentId) -> AbstractAsyncContextManager[Brain]:
        self._work["brains"] += 1
        return self._brains.use(agent_id)

    async def erase(self, agent_id: AgentId) -> None:
        await self._brains.erase(agent_id)

    async def close(self) -> None:
        await self._brains.close()
