"""A house full of people who look alike, and everything that happens in it, written down for the oracle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from random import Random
from typing import Any

from sqlalchemy import Connection

from rookery import users
from rookery.channels.contract import Ids, Receipt
from rookery.channels.loopback import LoopbackNetwork
from rookery.channels.terminal import ACCOUNT, TerminalLine, typed
from rookery.config.words import DmPolicy, GroupPolicy, QueueMode
from rookery.errors import NotFound
from rookery.gateway import places
from rookery.gateway.bind import Binding, Bindings
from rookery.gateway.inbound import Wish
from rookery.gateway.rules import AccountRules, QueueRules, Rules
from rookery.ids import AgentId, UserId
from rookery.messages import Attachment, Chat, ChatKind, InboundMessage, OutboundMessage, Role, text_of
from rookery.models import ModelEvent, ModelRequest
from rookery.models.scripted import ScriptedModel
from rookery.sessions.scope import IdentityLinks
from rookery.users import spaces
from tests.isolation import canaries
from tests.isolation.asking import Favour, echo_or_favour
from tests.isolation.cast import NETWORKS, NOBODY, TERMINAL, Cast, Mouth, Owner, Rule
from tests.isolation.doors import Doors
from tests.support.postgres import Postgres
from tests.support.web_house import WebHouse


@dataclass(slots=True)
class Said:
    """One message as it was said, and what became of it."""

    mouth: Mouth
    message: InboundMessage
    command: str | None
    canaries: tuple[str, ...]
    wish: str | None = None
    session: str | None = None
    """The session asked for by its name, as only a terminal can; it has to be the sender's own."""
    spoken_to: bool = True
    users: set[str | None] = field(default_factory=set[str | None])
    """Whom the gateway could take the sender for while it decided."""
    receipt: Receipt | None = None
    excused: bool = False
    """Whether an answer may rightly be missing: stopped, interrupted, or the address changed hands."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something the gateway tried to send, and to whom the chat belonged at that moment."""

    message: OutboundMessage
    owners: frozenset[Owner]


class World(WebHouse):
    """The cast's house: two networks, the terminal and the doors, with everything that goes in and out noted."""

    __test__ = False

    def __init__(self, home: Path, cast: Cast, rng: Random, *, postgres: Postgres | None = None) -> None:
        super().__init__(home, postgres=postgres, rules=_rules(cast))
        self.cast = cast
        self.wrong: list[str] = []
        self.said: list[Said] = []
        self.heard: list[Heard] = []
        self.requests: list[ModelRequest] = []
        self.canaries: dict[str, Owner] = {}
        """Canaries whose owner does not depend on what becomes of a message: people's names."""
        self.belongs: dict[str, str] = {}
        """Canaries that one agent alone of its owner's may know."""
        self.postgres = postgres
        self.interrupting = False
        """Whether messages have interrupted answers at some time since everything was last answered."""
        self.process_log: list[str] = []
        self._rng = rng
        self._since_start: dict[Mouth, set[str | None]] = {}
        self._hold = asyncio.Event()
        self._numbers: dict[tuple[str, str], int] = {}
        self.favour = Favour()
        self.tools.append(self.favour)
        self.telegram = _Listening(self, "telegram")
        self.webhook = _Listening(self, "webhook")
        self.networks = [self.telegram, self.webhook]
        self._lines: list[tuple[TerminalLine, asyncio.Task[None]]] = []
        self._handler = _Keep(self.process_log)
        self.doors = Doors(self, rng)

    # --- what people do ----------------------------------------------------------------------------------------

    async def says(
        self,
        mouth: Mouth,
        words: str,
        *,
        chat: Chat | None = None,
        thread: str | None = None,
        command: str | None = None,
        mentioned: bool = True,
        wish: str | None = None,
        title: bool = False,
    ) -> Said:
        """Somebody writes; every text, name and file of it carries a canary of its own."""
        text, name, file = (canaries.fresh(self._rng) for _ in range(3))
        named = chat is not None and self._rng.random() < 0.5
        attached = command is None and self._rng.random() < 0.2
        words = f"{command} {text if title else ''}".strip() if command else f"{text} {words}"
        number = self._number(mouth)
        if mouth.channel == TERMINAL:
            message = typed(mouth.sender, number, words)
        else:
            message = InboundMessage(
                mouth.channel,
                mouth.account,
                number,
                mouth.sender,
                chat or Chat(ChatKind.DM, mouth.sender),
                words,
                thread,
                f"Jo {name}" if named else None,
                mentioned,
                (Attachment(f"{file}.txt", "text/plain", url="https://example.org/f"),) if attached else (),
            )
        said = Said(mouth, message, command, (text, name, file), wish, spoken_to=mentioned or command is not None)
        self.said.append(said)
        await self.dawdle()
        said.users |= self.cast.users_of(mouth)
        said.receipt = await self.offers(said)
        said.users |= self.cast.users_of(mouth)
        if command == "/stop":
            self.doors.stopped |= {user for user in said.users if user is not None}
        return said

    async def says_among_others(self, mouth: Mouth, words: str, **more: Any) -> None:
        """Somebody writes in a group, often after a line of somebody who is nobody here, and speaks to nobody."""
        if self._rng.random() < 0.5:
            passing = Mouth(mouth.channel, mouth.account, "somebody passing")
            where = {name: more[name] for name in ("chat", "thread")}
            await self.says(passing, "is this seat free?", **where, mentioned=False)
        await self.says(mouth, words, **more)

    async def asks_for(self, mouth: Mouth, agent: str, words: str) -> None:
        """A user asks for some session of a shared agent by its name; it is turned away unless it is their own."""
        there = await self.database.read(lambda connection: places.of_agent(connection, AgentId(agent)))
        if not there:
            return
        place = self._rng.choice(there)
        session = self._rng.choice((place.session_key, place.session_id))
        text = canaries.fresh(self._rng)
        message = typed(mouth.sender, self._number(mouth), f"{text} {words}")
        said = Said(mouth, message, None, (text,), agent, session, users={mouth.sender})
        try:
            said.receipt = await self.offers(said)
        except NotFound:
            self.canaries[text] = NOBODY
            return
        self.said.append(said)

    async def offers(self, said: Said) -> Receipt:
        """Hand the message in, by the ways of the network it is said on; again, when it was before."""
        mouth, message = said.mouth, said.message
        if mouth.channel != TERMINAL:
            network = self.telegram if mouth.channel == "telegram" else self.webhook
            return await network.offers(message)
        if said.wish is not None:
            return await self.gateway.receive(message, Wish(AgentId(said.wish), said.session))
        return await self.terminal.take(mouth.sender, message.message_id, message.text)

    async def relinks(self, key: tuple[str, str | None, str], user: str | None) -> None:
        """An address is taken from a user, given to one, or goes from one to another."""
        channel, account, sender = key
        accounts = NETWORKS[channel] if account is None else (account,)
        mouths = [Mouth(channel, one, sender) for one in accounts]
        before = self.cast.links.get(key)
        for mouth in mouths:
            # Between the two commits it is nobody's.
            self.cast.loosening.setdefault(mouth, set()).update({before, None, user})
            self._since_start.setdefault(mouth, {before}).update({None, user})
            for said in self.said:
                said.excused |= said.mouth == mouth
        if before is not None:
            await self.unlink(before, channel, sender, account)
            await self.dawdle()
        if user is not None:
            await self.link(user, channel, sender, account)
            self.cast.links[key] = user
        else:
            del self.cast.links[key]
        for said in self.said:
            said.excused |= said.mouth in mouths

    def queues(self, mode: QueueMode) -> None:
        """From now on a busy lane treats messages so."""
        self.interrupting |= mode is QueueMode.INTERRUPT
        self.rule(queue=QueueRules(mode=mode, debounce=0))

    def is_asked(self, request: ModelRequest) -> None:
        """The model is asked; not for somebody who had lost the right to it before this gateway started."""
        asked = next(one.entry for one in reversed(request.history) if one.entry.role is Role.USER)
        words = text_of(asked)
        for said in (said for said in self.said if said.canaries[0] in words):
            since = self._since_start.get(said.mouth, {self.cast.user_of(said.mouth)})
            if since.isdisjoint(said.users):
                self.wrong.append(f"LEAK: asked for {said.mouth}, which is no longer {said.users}'s")

    def thinks_long(self) -> None:
        """Whatever the model is asked from now on, it answers when everybody waits for it."""
        self._hold.clear()

    async def waits_to_think(self) -> None:
        """Until then."""
        await self._hold.wait()

    async def dawdle(self, turns: Sequence[int] = (0, 0, 1, 3, 20)) -> None:
        """Let others go first, for a moment that the seed decides."""
        for _ in range(self._rng.choice(turns)):
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Wait until everything is answered and every answer has arrived."""
        for _ in range(20):
            self._hold.set()
            await self.idle()
            await self.doors.answers()
            self.cast.loosening.clear()  # nothing is under way: what is tried from now on asks anew
            if not self.gateway.outbox.waiting:
                break
            await self.clock.passes(400)
        else:
            raise AssertionError(f"{self.gateway.outbox.waiting} deliveries never arrive")
        await self.doors.catches_up()

    # --- opening and ending ------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Start a gateway, and sit everybody down at their terminal."""
        self._hold.set()
        self._since_start = {}
        self.model = _Hesitant(self)
        await super().open()
        self.terminal.on_attach = lambda user: self.gateway.outbox.wake(TERMINAL, ACCOUNT, user)
        if not self.canaries:
            await self._move_in()
        for person in self.cast.people:
            line = self.terminal.attach(person)
            self._lines.append((line, asyncio.create_task(self._listen(line), name=f"terminal of {person}")))
        await self.doors.look_in()

    async def close(self, grace: float = 0.05) -> None:
        await self.doors.read_their_bills()
        self.doors.leave()
        await super().close(grace)
        await self._leave()
        await self.doors.ended()

    async def kill(self) -> None:
        self.doors.leave()
        await self._leave()
        await super().kill()
        await self.doors.ended()

    async def __aenter__(self) -> World:
        logging.getLogger().addHandler(self._handler)
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()
        logging.getLogger().removeHandler(self._handler)

    # --- helpers -----------------------------------------------------------------------------------------------

    async def _move_in(self) -> None:
        cast = self.cast

        def work(connection: Connection) -> None:
            now = self.clock.now()
            for person in cast.people:
                canary = canaries.fresh(self._rng)
                self.canaries[canary] = f"user:{person}"
                self.doors.names[canary] = person
                role = "admin" if self._rng.random() < 0.2 else "member"
                if role == "admin":
                    self.doors.admins.add(person)
                users.add_user(connection, person, name=f"Jo {canary}", role=role, now=now)
            for agent in cast.shared:
                users.add_shared_agent(connection, agent, sponsor=UserId(cast.sponsor), name=agent, now=now)
            for (channel, account, sender), person in cast.links.items():
                users.link(connection, UserId(person), channel, account, sender, now=now)
            for room, agent in cast.admitted.items():
                space = spaces.admit(
                    connection,
                    room.channel,
                    room.account,
                    room.chat,
                    sponsor=UserId(cast.sponsor),
                    agent_id=None if agent is None else AgentId(agent),
                    name=None,
                    by="operator",
                    now=now,
                )
                cast.rooms[room] = Rule(space.agent_id)

        await self.database.write(work)
        for person in cast.people:
            canary = canaries.fresh(self._rng)
            self.canaries[canary] = f"user:{person}"
            async with self.gateway.brains.use(AgentId(person)) as brain:
                await brain.workspace.write("USER.md", canary.encode())
        await self.doors.move_in()

    async def _leave(self) -> None:
        for line, listening in self._lines:
            line.detach()
            await listening
        self._lines.clear()

    async def _listen(self, line: TerminalLine) -> None:
        async for message in line:
            self.heard.append(Heard(message, frozenset({f"user:{line.user_id}"})))

    def _number(self, mouth: Mouth) -> str:
        """Messages are numbered in each account, and on each terminal, so that ids collide wherever they can."""
        where = (mouth.channel, mouth.sender if mouth.channel == TERMINAL else mouth.account)
        self._numbers[where] = self._numbers.get(where, 0) + 1
        return str(self._numbers[where])


class _Listening(LoopbackNetwork):
    """A network that notes whose each chat is at the moment something is sent there."""

    def __init__(self, world: World, name: str) -> None:
        ids = Ids.ACCOUNT if name == "webhook" else Ids.NETWORK
        super().__init__(name, ids=ids, accounts=NETWORKS[name], idempotent=name == "webhook")
        self._world = world

    async def carry(self, message: OutboundMessage) -> str | None:
        self._world.heard.append(Heard(message, self._owners(message)))
        await self._world.dawdle()
        return await super().carry(message)

    def _owners(self, message: OutboundMessage) -> frozenset[Owner]:
        cast, route = self._world.cast, message.route
        if route.chat.kind is not ChatKind.DM:
            return frozenset({cast.space(route.channel, route.account, route.chat, route.thread_id)})
        mouth = Mouth(route.channel, route.account, route.chat.id)
        return frozenset(cast.owner(mouth, user) for user in cast.users_of(mouth))


class _Hesitant(ScriptedModel):
    """Echoes its whole prompt, or asks for a favour, after a pause that the seed decides."""

    def __init__(self, world: World) -> None:
        super().__init__(repeat(echo_or_favour))
        self.requests = world.requests
        self._world = world

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self._world.is_asked(request)
        await self._world.dawdle((0, 0, 2, 20, 200))
        await self._world.waits_to_think()
        async with aclosing(super().stream(request)) as events:
            async for event in events:
                yield event


class _Keep(logging.Handler):
    """Everything that any library logs."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


def _rules(cast: Cast) -> Rules:
    accounts = {
        (channel, account): AccountRules(
            dm_policy=DmPolicy.ALLOWLIST,
            allow_from=_senders(cast.guests, channel, account),
            group_policy=GroupPolicy.OPEN if (channel, account) in cast.open_groups else GroupPolicy.ALLOWLIST,
            group_allow_from=_senders(cast.guests, channel, account),
            require_mention=(channel, account) in cast.mention,
            session_binding=cast.bindings.get((channel, account)),
        )
        for channel, names in NETWORKS.items()
        for account in names
    }
    bindings = [
        Binding(AgentId(rule.agent), channel, account, session=rule.session)
        for (channel, account), rule in cast.accounts.items()
    ]
    for room, rule in cast.rooms.items():
        if rule is not None:
            chat = room.chat
            bindings.append(
                Binding(AgentId(rule.agent), room.channel, room.account, peer_kind=chat.kind, peer_id=chat.id)
            )
    links = {
        name: [(mouth.channel, mouth.account, mouth.sender) for mouth in mouths]
        for name, mouths in cast.names.items()
    }
    return Rules(
        accounts=accounts,
        bindings=Bindings(bindings),
        links=IdentityLinks(links),
        dm_scope=cast.dm_scope,
        isolation_scope=cast.isolation,
        queue=QueueRules(debounce=0),
    )


def _senders(mouths: Iterable[Mouth], channel: str, account: str) -> frozenset[str]:
    return frozenset(mouth.sender for mouth in mouths if (mouth.channel, mouth.account) == (channel, account))
