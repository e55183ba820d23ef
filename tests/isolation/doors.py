"""What people do at the doors of the web: REST, the live socket, `/v1`; and everything they are shown there.

Each person comes with tokens and devices that end in the middle of it. They name their own sessions, turns and
files, those of others, and things that others named alike; whatever an answer or a frame holds is kept with the
name of whom it was for.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from rookery.gateway import commands
from rookery.users import CredentialKind
from tests.isolation import canaries
from tests.isolation.cast import NOBODY
from tests.support.asgi import Answer, Client, Exchange, Socket

if TYPE_CHECKING:
    from tests.isolation.world import World

KEYS = (
    "1",
    "01",
    "k",
    "K",
    "\uff4b",
    "\u00e9",
    "e\u0301",
    "ann:1",
    "ann",
    "an:n:1",
    "a:1",
    "1:a",
    "k%",
    "k ",
    "main",
    None,
)
"""Idempotency keys that are one for whoever folds case, joins strings, trims or normalises."""

NAMES = (
    "chat",
    "Chat",
    "a",
    "ann",
    "Ann2",
    "an",
    "x",
    "x/chat",
    "ann/chat",
    "a:b",
    "main",
    "~61nn",
    "\u00e9",
    "e\u0301",
)
"""Names that several people give to sessions of theirs, among them names that begin with another's id."""

_LISTS = ("/api/me", "/api/agents", "/api/users", "/api/tokens", "/api/devices", "/v1/models")
_READINGS = ("", "/entries", "/export?format=jsonl", "/export?format=markdown")

_AT_ONCE = 30
"""Turns of the event loop in which a socket is closed whose right ended."""

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN, HTTPStatus.UNAUTHORIZED}


@dataclass(slots=True)
class Written:
    """One message that went in by a door, and what became of it."""

    person: str
    canary: str
    text: str
    turn: str | None = None
    session: str | None = None
    """The session the turn says it is in."""
    asked_session: str | None = None
    """The `sessionId` it was addressed to, where it was."""
    command: bool = False
    status: str = ""
    reply: str = ""
    nameless: bool = False
    """Whether nothing was to be remembered of it."""
    deleted: bool = False
    """Whether its session was deleted meanwhile."""
    given_up: bool = False
    """Whether the client hung up, or was logged out, before the answer came."""


@dataclass(frozen=True, slots=True)
class Shown:
    """Something a person was shown: by a request, or by a frame."""

    person: str
    what: str
    data: bytes


@dataclass(slots=True)
class Visitor:
    """One person's ways in, and what they know of by it."""

    person: str
    clients: list[tuple[str, Client]] = field(default_factory=list[tuple[str, Client]])
    """The ids of living credentials, with who shows them."""
    sessions: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    """Agent, `sessionId` and key of what they began by a door."""
    files: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """Agent and id of what they sent up."""
    turns: list[str] = field(default_factory=list[str])
    used: Counter[tuple[str, str | None]] = field(default_factory=Counter[tuple[str, str | None]])
    """How often they used an idempotency key, by route and key."""
    socket: Socket | None = None
    socket_by: str = ""
    epoch: str = ""
    seq: int = 0


class Doors:
    """Everybody's doors in one world."""

    def __init__(self, world: World, rng: Random) -> None:
        self.written: list[Written] = []
        self.shown: list[Shown] = []
        self.names: dict[str, str] = {}
        """Canaries in the names of people, which an admin is shown."""
        self.admins: set[str] = set()
        self.bills: list[tuple[str, list[Any]]] = []
        """The rows of usage, by session, that people who are no admins were shown."""
        self.uploads: dict[str, str] = {}
        """Whose each file is, by its id."""
        self.visitors: dict[str, Visitor] = {}
        self.purged: set[str] = set()
        """The sessions whose words somebody had destroyed."""
        self.stopped: set[str] = set()
        """Who stopped answers since everything was last answered."""
        self._names = rng.sample(NAMES, 3)
        self.began: set[str] = set()
        """Who began a new conversation at their agent's main place since then."""
        self._world = world
        self._rng = rng
        self._sockets: dict[asyncio.Task[None], Visitor] = {}
        self._under_way: dict[asyncio.Task[None], tuple[Exchange, Written]] = {}

    # --- coming and going ------------------------------------------------------------------------------------

    async def move_in(self) -> None:
        """Give everybody a token and a device."""
        for person in self._world.cast.people:
            visitor = self.visitors[person] = Visitor(person)
            for kind in CredentialKind:
                await self._let_in(visitor, kind)

    async def look_in(self) -> None:
        """The gateway is there: some of them look at their page."""
        for person in self.visitors:
            if self._rng.random() < 0.4:
                await self.looks_in(person)

    def leave(self) -> None:
        """The gateway is gone: what was under way breaks off."""
        for exchange, written in self._under_way.values():
            written.given_up = True
            exchange.hangs_up()
        for visitor in self.visitors.values():
            self._hang_up(visitor)

    async def ended(self) -> None:
        """Wait until everything that was under way has come to its end."""
        tasks = [*self._under_way, *self._sockets]
        if tasks:
            await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def answers(self) -> None:
        """Wait for what `/v1` still answers; sockets stay open."""
        if self._under_way:
            await asyncio.wait(list(self._under_way))

    async def catches_up(self) -> None:
        """Everybody reads how their messages were answered; everything is answered now."""
        for written in self.written:
            if written.turn is None or written.session is not None or written.given_up:
                continue
            visitor = self.visitors[written.person]
            answer = await self._asks(visitor, "GET", f"/api/turns/{written.turn}")
            if answer is None or (answer.status == HTTPStatus.NOT_FOUND and (written.deleted or written.nameless)):
                written.given_up = True
            elif answer.status != HTTPStatus.OK:
                written.status = f"{answer.status} {answer.body[:200]!r}"
            else:
                turn = answer.json
                written.status, written.reply = turn["status"], turn["reply"] or ""
                written.session = turn["sessionId"]

    async def read_their_bills(self) -> None:
        """Everybody looks at what they pay for."""
        for visitor in self.visitors.values():
            for _, client in visitor.clients[:1]:
                answer = await client.ask("GET", "/api/usage?by=session")
                if answer.status == HTTPStatus.OK and visitor.person not in self.admins:
                    self.bills.append((visitor.person, answer.json["items"]))

    async def _let_in(self, visitor: Visitor, kind: CredentialKind) -> None:
        canary = self._canary(visitor.person)
        issued = await self._world.issued(visitor.person, kind, f"{kind.value} {canary}")
        client = self._world.somebody(**{kind.value: issued.secret})
        visitor.clients.append((issued.credential.id, client))

    # --- what people do ----------------------------------------------------------------------------------------

    async def begins(self, person: str, agent: str) -> None:
        """Somebody opens a session; its title, label and a tag are words of theirs, and names that others use."""
        visitor = self.visitors[person]
        title, tag = self._canary(person), self._canary(person)
        label = self._rng.choice(self._names) if self._rng.random() < 0.6 else self._canary(person)
        asked = {"agentId": agent, "title": f"on {title}", "label": label, "tags": [tag]}
        once = self._key(visitor, "create")
        answer = await self._asks(visitor, "POST", "/api/sessions/create", asked, once=once)
        if answer is None:
            return
        if answer.status in (HTTPStatus.CREATED, HTTPStatus.OK):
            made = answer.json
            visitor.sessions.append((agent, made["sessionId"], made["sessionKey"]))
            if answer.status == HTTPStatus.CREATED and made["agentId"] != agent:
                self._wrong(f"GRANT: {person} asked for a session of {agent} and got one of {made['agentId']}")
        else:
            self._is_nobodys(title, tag, *canaries.found_in(label))
            if answer.status != HTTPStatus.UNPROCESSABLE_ENTITY or visitor.used["create", once] < 2:
                self._wrong(
                    f"refused: {person} begins a session of {agent}: {answer.status} {answer.body[:200]!r}"
                )

    async def writes(self, person: str, words: str, *, where: str | None = None, by: str = "rest") -> None:
        """Somebody writes in a session: one of theirs, or one that somebody else has (`where`)."""
        visitor = self.visitors[person]
        key, session = self._address(visitor) if where is None else (where, None)
        canary = self._canary(person)
        command = commands.parse(words) is not None
        text = words.format(title=canary) if command else f"{canary} {words}"
        if command:
            if canary not in text:
                self._is_nobodys(canary)
            if words == "/stop":
                self.stopped.add(person)
            if words.startswith("/new") and key == f"agent:{person}:main":
                self.began.add(person)
        written = Written(person, canary, text, asked_session=session, command=command)
        if by == "socket":
            await self._over_the_socket(visitor, written, key)
        else:
            await self._by_rest(visitor, written, key)

    async def renames(self, person: str) -> None:
        """Somebody calls a session of theirs otherwise."""
        visitor = self.visitors[person]
        if not visitor.sessions:
            return
        title = self._canary(person)
        session = self._rng.choice(visitor.sessions)[1]
        answer = await self._asks(visitor, "PATCH", f"/api/sessions/{session}", {"title": f"now {title}"})
        if answer is None or answer.status != HTTPStatus.OK:
            self._is_nobodys(title)

    async def deletes(self, person: str) -> None:
        """Somebody deletes a session of theirs; what is being answered there ends."""
        visitor = self.visitors[person]
        if len(visitor.sessions) < 2:
            return
        gone = visitor.sessions.pop(self._rng.randrange(len(visitor.sessions)))
        self.stopped.add(person)
        for written in self.written:
            written.deleted |= written.person == person
        purge = "?purge=true" if self._rng.random() < 0.5 else ""
        if purge:
            self.purged.add(gone[1])
        await self._asks(visitor, "DELETE", f"/api/sessions/{gone[1]}{purge}")

    async def stops(self, person: str) -> None:
        """Somebody stops what is being answered in a session of theirs."""
        visitor = self.visitors[person]
        key, _ = self._address(visitor)
        self.stopped.add(person)
        if visitor.socket is not None and self._rng.random() < 0.5:
            visitor.socket.says({"type": "stop", "sessionKey": key})
        else:
            await self._asks(visitor, "POST", f"/api/sessions/{quote(key, safe='')}/stop")

    async def completes(self, person: str, words: str, model: str) -> None:
        """Somebody asks `/v1`, by a name for the session that others use too, or by none; it may take its time."""
        visitor = self.visitors[person]
        if not visitor.clients:
            return
        client = self._rng.choice(visitor.clients)[1]
        canary, system, earlier = (self._canary(person) for _ in range(3))
        named = self._rng.random() < 0.6
        name = self._rng.choice(self._names)
        asked: dict[str, Any] = {
            "model": model,
            "stream": self._rng.random() < 0.5,
            "messages": [
                {"role": "system", "content": f"be brief {system}"},
                {"role": "user", "content": f"before {earlier}"},
                {"role": "assistant", "content": "so it was"},
                {"role": "user", "content": f"{canary} {words}"},
            ],
        }
        headers: dict[str, str] = {}
        if named and (self._rng.random() < 0.5 or not name.isascii()):
            asked["user"] = name
        elif named:
            headers["x-rookery-session-key"] = name
        written = Written(person, canary, words, nameless=not named)
        exchange = Exchange()
        task = asyncio.create_task(
            self._complete(client, written, exchange, asked, headers, (system, earlier)), name="v1 of a test"
        )
        self._under_way[task] = (exchange, written)
        task.add_done_callback(self._under_way.pop)
        await asyncio.sleep(0)
        if self._rng.random() < 0.1:
            written.given_up = True
            exchange.hangs_up()

    async def sends_up(self, person: str, agent: str) -> None:
        """Somebody sends up a file, whose name and bytes are words of theirs."""
        visitor = self.visitors[person]
        name, content = self._canary(person), self._canary(person)
        body = (
            f'--b\r\ncontent-disposition: form-data; name="file"; filename="{name}.txt"\r\n'
            f"content-type: text/plain\r\n\r\nit says {content}\r\n--b--\r\n"
        ).encode()
        answer = await self._asks(
            visitor,
            "POST",
            f"/api/attachments?agentId={quote(agent)}",
            body=body,
            headers={"content-type": "multipart/form-data; boundary=b"},
        )
        if answer is None or answer.status != HTTPStatus.CREATED:
            self._is_nobodys(name, content)
            return
        file = answer.json["attachmentId"]
        if file in self.uploads:
            self._wrong(f"GRANT: {person}'s file has the id of {self.uploads[file]}'s")
        self.uploads[file] = person
        visitor.files.append((agent, file))

    async def looks_in(self, person: str) -> None:
        """Somebody opens a socket, or comes back to the events they know of."""
        visitor = self.visitors[person]
        if visitor.socket is not None and self._rng.random() < 0.6:
            self._hang_up(visitor)
            await self._world.dawdle((20, 100))
        if visitor.socket is not None or not visitor.clients:
            return
        id, client = self._rng.choice(visitor.clients)
        since = self._rng.choice((visitor.seq, 0))
        query = f"since={since}&epoch={visitor.epoch}" if visitor.epoch and self._rng.random() < 0.8 else ""
        if self._rng.random() < 0.2:
            query += "&render=html"
        opened: asyncio.Future[Socket] = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._watch(visitor, client, query, opened), name="socket of a test")
        self._sockets[task] = visitor
        task.add_done_callback(self._sockets.pop)
        visitor.socket, visitor.socket_by = await opened, id
        if not visitor.socket.open:
            visitor.socket = None

    async def loses(self, person: str) -> None:
        """One of a person's credentials ends, while others of theirs and of others go on; a new one is made."""
        visitor = self.visitors[person]
        if len(visitor.clients) < 2:
            return
        socket, by = visitor.socket, visitor.socket_by
        looking = [one for one in visitor.clients if socket is not None and one[0] == by]
        gone = self._rng.choice(looking if looking and self._rng.random() < 0.7 else visitor.clients)
        visitor.clients.remove(gone)
        kind = CredentialKind.TOKEN if gone[1].token is not None else CredentialKind.DEVICE
        answer = await self._asks(visitor, "DELETE", f"/api/{kind.value}s/{gone[0]}")
        if answer is None:
            return
        if answer.status >= HTTPStatus.BAD_REQUEST:
            self._wrong(
                f"{person} could not end a {kind.value} of their own: {answer.status} {answer.body[:200]!r}"
            )
            return
        if socket is not None and by == gone[0]:
            for _ in range(_AT_ONCE):
                await asyncio.sleep(0)
            if socket.open:
                self._wrong(f"GRANT: a socket of {person} outlives what it was opened with")
        canary, path = self._canary(person), f"/api/sessions/agent:{person}:main/messages"
        self._is_nobodys(canary)
        for again in (await gone[1].ask("GET", "/api/me"), await gone[1].ask("POST", path, {"text": canary})):
            if again.status != HTTPStatus.UNAUTHORIZED:
                self._wrong(f"GRANT: an ended {kind.value} of {person} is answered {again.status}")
        await self._let_in(visitor, kind)

    async def looks(self, person: str) -> None:
        """Somebody looks at all that is theirs, and tries for what is not."""
        visitor = self.visitors[person]
        listed = await self._asks(visitor, "GET", "/api/sessions?status=all&limit=100")
        items: list[Any] = [] if listed is None or listed.status != HTTPStatus.OK else listed.json["items"]
        for one in self._some(items, 2):
            await self._reads(visitor, one["sessionId"])
        for path in self._some(_LISTS, 2):
            await self._asks(visitor, "GET", path)
        for turn in self._some(visitor.turns, 1):
            await self._asks(visitor, "GET", f"/api/turns/{turn}")
        for agent, file in self._some(visitor.files, 2):
            answer = await self._asks(visitor, "GET", f"/api/attachments/{file}")
            if answer is not None and answer.status != HTTPStatus.OK:
                self._wrong(
                    f"{person} cannot read their own file on {agent}: {answer.status} {answer.body[:200]!r}"
                )
        await self._tries(visitor)

    # --- what others have --------------------------------------------------------------------------------------

    async def _tries(self, visitor: Visitor) -> None:
        """What others have, named rightly: it is not there."""
        others = [other for other in self.visitors.values() if other is not visitor]
        if not others:
            return
        other = self._rng.choice(others)
        paths = [f"/api/turns/{turn}" for turn in self._some(other.turns, 1)]
        paths += [f"/api/attachments/{file}" for _, file in self._some(other.files, 1)]
        for _, session, key in self._some(other.sessions, 2):
            name = quote(self._rng.choice((session, key)), safe="")
            paths.append(f"/api/sessions/{name}{self._rng.choice(_READINGS)}")
        for path in paths:
            answer = await self._asks(visitor, "GET", path)
            if answer is not None and answer.status not in _GONE:
                self._wrong(f"GRANT: {visitor.person} asked for {other.person}'s {path}: {answer.status}")
        if other.clients:
            id, client = self._rng.choice(other.clients)
            sort = "tokens" if client.token is not None else "devices"
            answer = await self._asks(visitor, "DELETE", f"/api/{sort}/{id}")
            if answer is not None and answer.status not in _GONE:
                self._wrong(f"GRANT: {visitor.person} ended {other.person}'s way in: {answer.status}")

    async def _reads(self, visitor: Visitor, session: str) -> None:
        for reading in ("/entries?limit=200", self._rng.choice(_READINGS)):
            path = f"/api/sessions/{session}{reading}"
            answer = await self._asks(visitor, "GET", path)
            if answer is not None and answer.status != HTTPStatus.OK:
                self._wrong(f"{visitor.person} is shown a session that they cannot read: {path}: {answer.status}")

    # --- the doors themselves ----------------------------------------------------------------------------------

    async def _by_rest(self, visitor: Visitor, written: Written, key: str) -> None:
        path = f"/api/sessions/{quote(key, safe='')}/messages"
        asked: dict[str, Any] = {"text": written.text}
        if self._rng.random() < 0.2:
            files = [file for other in self.visitors.values() for _, file in other.files]
            asked["attachments"] = [{"attachmentId": file} for file in self._some(files, 1)]
        once = self._key(visitor, "messages")
        answer = await self._asks(visitor, "POST", path, asked, once=once)
        if answer is None:
            return  # they were logged out meanwhile: it went in before that, or not
        if answer.status == HTTPStatus.UNPROCESSABLE_ENTITY and visitor.used["messages", once] > 1:
            self._is_nobodys(written.canary)  # they used the key themselves, for something else
            return
        if answer.status not in (HTTPStatus.ACCEPTED, HTTPStatus.OK):
            self._refused(visitor, written, key, f"{answer.status} {answer.body[:200]!r}", answer.status)
            return
        self._accepted(visitor, written, answer.json["turnId"])

    async def _over_the_socket(self, visitor: Visitor, written: Written, key: str) -> None:
        socket = visitor.socket
        if socket is None or not socket.open:
            await self._by_rest(visitor, written, key)
            return
        once = self._key(visitor, "messages") or f"{self._rng.getrandbits(40)}"
        if visitor.used["messages", once] > 1:
            once = f"{once}{self._rng.getrandbits(40)}"
        socket.says({"type": "message", "sessionKey": key, "text": written.text, "idempotencyKey": once})
        frame = await _answer_to(socket, once)
        if frame is None:
            written.given_up = True  # it went in or not; whoever hung up does not know
            self.written.append(written)
        elif frame["type"] == "accepted":
            self._accepted(visitor, written, frame["turnId"])
        else:
            self._refused(visitor, written, key, str(frame), HTTPStatus.NOT_FOUND)

    async def _complete(
        self,
        client: Client,
        written: Written,
        exchange: Exchange,
        asked: dict[str, Any],
        headers: dict[str, str],
        around: Iterable[str],
    ) -> None:
        broken = await client.asks(exchange, "POST", "/v1/chat/completions", asked, headers=headers)
        self.shown.append(Shown(written.person, "/v1/chat/completions", bytes(exchange.body)))
        if broken is not None:
            self._wrong(f"broke: /v1 for {written.person}: {type(broken).__name__}: {broken}")
        if exchange.status == HTTPStatus.OK and not written.given_up:
            written.reply = _reply_of(bytes(exchange.body), stream=asked["stream"])
            written.turn = exchange.headers.get("x-request-id")
            written.status = "done"
            self.written.append(written)
        elif exchange.status == HTTPStatus.NOT_FOUND:
            self._is_nobodys(written.canary, *around)

    async def _watch(self, visitor: Visitor, client: Client, query: str, opened: asyncio.Future[Socket]) -> None:
        async with client.socket(query) as socket:
            opened.set_result(socket)
            await socket.closed()
        for frame in socket.frames:
            self.shown.append(Shown(visitor.person, "the live socket", msgspec.json.encode(frame)))
            visitor.epoch = frame.get("epoch", visitor.epoch)
            visitor.seq = frame.get("seq", visitor.seq)
        if socket.broken is not None:
            self._wrong(f"broke: the socket of {visitor.person}: {socket.broken!r}")
        if visitor.socket is socket:
            visitor.socket = None

    async def _asks(
        self,
        visitor: Visitor,
        method: str,
        path: str,
        json: Any = None,
        *,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        once: str | None = None,
    ) -> Answer | None:
        """Ask with one of their credentials; None when they have none that lives."""
        if not visitor.clients:
            return None
        id, client = self._rng.choice(visitor.clients)
        extra = dict(headers or {})
        if once is not None:
            extra["idempotency-key"] = quote(once) if not once.isascii() or once != once.strip() else once
        await self._world.dawdle()
        answer = await client.ask(method, path, json, body=body, headers=extra)
        self.shown.append(Shown(visitor.person, f"{method} {path}", answer.body))
        if answer.broken is not None or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._wrong(f"broke: {method} {path}: {answer.status} {answer.body[:300]!r} {answer.broken!r}")
        living = any(id == known for known, _ in visitor.clients)
        if answer.status == HTTPStatus.UNAUTHORIZED and not living:
            return None
        return answer

    # --- bookkeeping -------------------------------------------------------------------------------------------

    def _accepted(self, visitor: Visitor, written: Written, turn: str) -> None:
        """It was let in. No two messages of different people are one turn."""
        whose = next((one for one in self.visitors.values() if turn in one.turns), visitor)
        if whose is not visitor:
            self._wrong(f"LEAK: {visitor.person}'s message was taken for {whose.person}'s")
        written.turn = turn
        visitor.turns.append(turn)
        self.written.append(written)

    def _refused(self, visitor: Visitor, written: Written, key: str, why: str, status: int) -> None:
        self._is_nobodys(written.canary)
        own = any(key in (session, place) for _, session, place in visitor.sessions)
        if own and status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.SERVICE_UNAVAILABLE):
            self._wrong(f"refused: {visitor.person} in their own session {key}: {why}")

    def _address(self, visitor: Visitor) -> tuple[str, str | None]:
        """A session of theirs: by its id, by its key, or the one at the main place of their own agent."""
        if not visitor.sessions or self._rng.random() < 0.25:
            return f"agent:{visitor.person}:main", None
        _, session, key = self._rng.choice(visitor.sessions)
        return (session, session) if self._rng.random() < 0.5 else (key, None)

    def _key(self, visitor: Visitor, route: str) -> str | None:
        """An idempotency key that others use too; their own again now and then."""
        key = self._rng.choice(KEYS)
        if key is not None and visitor.used[route, key] and self._rng.random() < 0.8:
            return None
        if key is not None:
            visitor.used[route, key] += 1
        return key

    def _canary(self, person: str) -> str:
        canary = canaries.fresh(self._rng)
        self._world.canaries[canary] = f"user:{person}"
        return canary

    def _is_nobodys(self, *found: str) -> None:
        """What was not let in may be nowhere."""
        for canary in found:
            self._world.canaries[canary] = NOBODY

    def _some(self, of: Iterable[Any], most: int) -> list[Any]:
        known = list(of)
        return self._rng.sample(known, min(most, len(known)))

    def _hang_up(self, visitor: Visitor) -> None:
        if visitor.socket is not None:
            visitor.socket.hangs_up()
            visitor.socket = None

    def _wrong(self, line: str) -> None:
        self._world.wrong.append(line)


async def _answer_to(socket: Socket, key: str) -> Any:
    """What the socket says to the message under this key; None when it was closed instead."""
    while True:
        for frame in socket.frames:
            if frame.get("idempotencyKey") == key:
                return frame
        if not socket.open:
            return None
        await socket.news()


def _reply_of(body: bytes, *, stream: bool) -> str:
    """The words of a completion, whole or in events."""
    if not stream:
        return msgspec.json.decode(body)["choices"][0]["message"]["content"]
    words: list[str] = []
    for line in body.split(b"\n\n"):
        if line.startswith(b"data: {"):
            choices = msgspec.json.decode(line[6:]).get("choices", ())
            words += [choice["delta"].get("content") or "" for choice in choices]
    return "".join(words)
