"""The session key: the name of a place where messages arrive, and the one way it is written.

`agent:<agentId>:<rest>`, where `<rest>` names the place; each class below says which row it is. Written and
read here and nowhere else. Two different places never share a key, and `parse(format(key)) == key`, because:

- Segments are joined by `:`. Every byte of an id outside `A-Z a-z 0-9 - _ . @ + =` is written `~XX` (UTF-8,
  upper-case hex), every other byte stands for itself. Nothing is lower-cased, trimmed or normalised.
- A `~` that begins no escape marks a known person: `~alice`. A name that begins with two upper-case hex
  digits would make that mark an escape (`~3A` is the spelling of a sender called `:`), so for exactly these
  names the mark is `~=`: the person `3A` is `~=3A`. No escape begins so, and no user id holds a `=`.
- A channel's name is none of the words a place may begin with, and an account's name none of the words that
  may follow a channel, so that `<channel>:<account>:main` and `<channel>:dm:main` stay apart.

Any other spelling is refused, never mended; only `direct` reads as `dm`, and `room` as `channel`. A key needs
no further encoding in a URL path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

from rookery.errors import InvalidId, InvalidKey
from rookery.ids import AgentId, user_id
from rookery.ids import agent_id as check_agent_id

CHANNEL_RESERVED = frozenset(
    {"agent", "dm", "direct", "main", "cron", "hook", "api", "subagent", "chat"}
    | {"group", "channel", "room", "thread", "run", "internal"}
)
"""Words that no channel may be called in a place, because a place may begin with them or they name a part."""

ACCOUNT_RESERVED = frozenset({"dm", "direct", "group", "channel", "room", "main", "thread"})
"""Words that no account may be called in a place, because they may follow a channel's name."""


class SessionKind(StrEnum):
    """What sort of conversation a place holds, as the API names it; main and per-channel count as direct."""

    DIRECT = "direct"
    GROUP = "group"
    CHANNEL = "channel"
    CRON = "cron"
    HOOK = "hook"
    API = "api"
    SUBAGENT = "subagent"
    CHAT = "chat"


@dataclass(frozen=True, slots=True)
class SessionKey:
    """One place of one agent. Raises `InvalidKey` when `agent_id` is no agent id.

    `text` is the key as it is written, made once; `format()` and `str()` give the same.
    """

    agent_id: AgentId
    place: Place
    text: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        try:
            check_agent_id(self.agent_id)
        except InvalidId as error:
            raise InvalidKey(error.detail) from None
        _set(self, "text", f"agent:{self.agent_id}:{self.place.rest}")

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def format(self) -> str:
        """The key's one spelling."""
        return self.text

    @property
    def kind(self) -> SessionKind:
        return self.place.kind

    @classmethod
    def parse(cls, text: str) -> SessionKey:
        """Read a key. Raises `InvalidKey` when it is not written the one way it can be.

        The error names what is wrong and, where the text can only have meant one key, that key's spelling.
        """
        head, _, tail = text.partition(":")
        agent, colon, rest = tail.partition(":")
        if head != "agent" or not colon:
            raise InvalidKey(f"{text!r} is no session key; write 'agent:<agentId>:<place>'.")
        try:
            place, canonical = _read(rest)
            key = cls(AgentId(agent), place)
        except InvalidKey as error:
            raise InvalidKey(f"{text!r} is no session key. {error.detail}") from None
        if not canonical:
            raise _misspelled(text, key.text)
        return key


def read_place(text: str, agent_id: AgentId, main_key: str) -> SessionKey:
    """Read what a person or a client wrote to name a place. Raises `InvalidKey`.

    `text` is a whole key, which is returned as it stands even when it names another agent (whether the actor
    may go there is asked elsewhere), or a place of `agent_id`: what stands behind the agent in a key, or the
    ADR's short form `{provider}:{scope}:{identifier}`, which is the same except that the main place reads
    `internal:main:main`. A single word is `main` or `main_key` and always means the main place, `main_key`;
    any other word is refused, because no message would ever arrive there.
    """
    if text.startswith("agent:"):
        return SessionKey.parse(text)
    if text in ("main", "internal:main:main", main_key):
        return SessionKey(agent_id, Main(main_key))
    try:
        place, canonical = _read(text)
    except InvalidKey as error:
        raise InvalidKey(f"{text!r} names no place. {error.detail}") from None
    if isinstance(place, Main):
        raise InvalidKey(f"{text!r} names no place; the main place is called {main_key!r}.")
    if not canonical:
        raise _misspelled(text, place.rest)
    return SessionKey(agent_id, place)


@dataclass(frozen=True, slots=True)
class Known:
    """A person known beyond one network: a user, or a name in `identityLinks`. Written `~<name>`.

    Raises `InvalidKey` when `name` does not fit the alphabet of user ids.
    """

    name: str
    written: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        try:
            user_id(self.name)
        except InvalidId as error:
            raise InvalidKey(error.detail) from None
        _set(self, "written", f"~={self.name}" if _HEX.match(self.name) else f"~{self.name}")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A sender known only to their network, by its id for them. Raises `InvalidKey` when the id is empty."""

    sender_id: str
    written: str = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _set(self, "written", _spell("sender id", self.sender_id))


Peer = Known | Stranger
"""Whom a direct conversation is with."""


# Each place spells itself once, when it is made, into `rest`: what stands behind the agent in its key. Spelling
# is also what checks the parts, so a place that cannot be written cannot exist (`InvalidKey`). `account` is set
# exactly where the key names one: where the channel's ids are unique only per account, or the scope asks for it.


@dataclass(frozen=True, slots=True)
class Main:
    """The agent's main place: `<mainKey>`, one word without escapes."""

    key: str = "main"
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.DIRECT

    def __post_init__(self) -> None:
        if not _PLAIN.fullmatch(self.key):
            raise InvalidKey(f"{self.key!r} cannot name the main place: letters, digits and '-_.@+=' only.")
        _set(self, "rest", self.key)


@dataclass(frozen=True, slots=True)
class PerPeer:
    """One person, wherever they write: `dm:~<name>`; a stranger is one only within their channel.

    `dm:<channel>[:<account>]:<sender>`: a stranger needs `channel`, a known person has none.
    """

    peer: Peer
    channel: str | None = None
    account: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.DIRECT

    def __post_init__(self) -> None:
        if isinstance(self.peer, Known):
            if self.channel is not None or self.account is not None:
                raise InvalidKey(
                    f"{self.peer.name!r} is one person on every channel; their place names no channel: "
                    f"'dm:{self.peer.written}'."
                )
            rest = f"dm:{self.peer.written}"
        elif self.channel is None:
            raise InvalidKey(
                f"The sender {self.peer.sender_id!r} is only known within a channel; "
                "write 'dm:<channel>:<sender>', or 'dm:~<userId>' for a known person."
            )
        else:
            rest = f"dm:{_origin(self.channel, self.account)}:{self.peer.written}"
        _set(self, "rest", rest)


@dataclass(frozen=True, slots=True)
class Direct:
    """One person on one channel, or on one account of it: `<channel>[:<account>]:dm:<peer>`."""

    channel: str
    peer: Peer
    account: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.DIRECT

    def __post_init__(self) -> None:
        _set(self, "rest", f"{_origin(self.channel, self.account)}:dm:{self.peer.written}")


@dataclass(frozen=True, slots=True)
class PerChannel:
    """Everybody's direct messages on one channel together: `<channel>[:<account>]:main`."""

    channel: str
    account: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.DIRECT

    def __post_init__(self) -> None:
        _set(self, "rest", f"{_origin(self.channel, self.account)}:main")


@dataclass(frozen=True, slots=True)
class Group:
    """A group chat: `<channel>[:<account>]:group:<id>[:thread:<thread>]`."""

    channel: str
    id: str
    account: str | None = None
    thread: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.GROUP

    def __post_init__(self) -> None:
        _set(self, "rest", f"{_origin(self.channel, self.account)}:group:{_chat(self.id, self.thread)}")


@dataclass(frozen=True, slots=True)
class Room:
    """A channel or room in the network's own sense: `<channel>[:<account>]:channel:<id>[:thread:<thread>]`."""

    channel: str
    id: str
    account: str | None = None
    thread: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.CHANNEL

    def __post_init__(self) -> None:
        _set(self, "rest", f"{_origin(self.channel, self.account)}:channel:{_chat(self.id, self.thread)}")


@dataclass(frozen=True, slots=True)
class Cron:
    """A scheduled job, or one run of it: `cron:<jobId>[:run:<run>]`."""

    job_id: str
    run: str | None = None
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.CRON

    def __post_init__(self) -> None:
        rest = f"cron:{_spell('job id', self.job_id)}"
        _set(self, "rest", rest if self.run is None else f"{rest}:run:{_spell('run id', self.run)}")


@dataclass(frozen=True, slots=True)
class Hook:
    """What comes in by one hook: `hook:<id>`."""

    id: str
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.HOOK

    def __post_init__(self) -> None:
        _set(self, "rest", f"hook:{_spell('hook id', self.id)}")


@dataclass(frozen=True, slots=True)
class Api:
    """A session named by a client of the API: `api:<id>`."""

    id: str
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.API

    def __post_init__(self) -> None:
        _set(self, "rest", f"api:{_spell('API session name', self.id)}")


@dataclass(frozen=True, slots=True)
class Subagent:
    """A task the agent gave to a helper of its own: `subagent:<id>`."""

    id: str
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.SUBAGENT

    def __post_init__(self) -> None:
        _set(self, "rest", f"subagent:{_spell('subagent id', self.id)}")


@dataclass(frozen=True, slots=True)
class ByHand:
    """A session somebody opened by hand: `chat:<id>`."""

    id: str
    rest: str = field(init=False, compare=False, repr=False)
    kind: ClassVar[SessionKind] = SessionKind.CHAT

    def __post_init__(self) -> None:
        _set(self, "rest", f"chat:{_spell('chat id', self.id)}")


Place = Main | PerPeer | Direct | PerChannel | Group | Room | Cron | Hook | Api | Subagent | ByHand
"""Every place there is; equal places have equal `rest`, and no others do."""

_PLAIN = re.compile(r"[A-Za-z0-9_.@+=-]+")
_CHANNEL = re.compile(r"[a-z][a-z0-9]*")
_HEX = re.compile(r"[0-9A-F]{2}")
_ANY_ESCAPE = re.compile(rb"~([0-9A-Fa-f]{2})")
_SPELLING = tuple(chr(byte) if _PLAIN.match(chr(byte)) else f"~{byte:02X}" for byte in range(256))

_set = object.__setattr__


def _spell(what: str, text: str) -> str:
    """One segment. Raises `InvalidKey`, naming it as `what`, for an empty id and for what is no valid text."""
    if _PLAIN.fullmatch(text):
        return text
    if not text:
        raise InvalidKey(f"The {what} is empty; there is no place without one.")
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        raise InvalidKey(f"The {what} {text!r} is not valid UTF-8; it holds a lone surrogate.") from None
    if 0 in raw:
        raise InvalidKey(f"The {what} {text!r} holds a NUL character, which no id may.")
    return "".join([_SPELLING[byte] for byte in raw])


def _origin(channel: str, account: str | None) -> str:
    if not _CHANNEL.fullmatch(channel):
        raise InvalidKey(
            f"{channel!r} is no channel: a channel is called by lower-case letters and digits, a letter first."
        )
    if channel in CHANNEL_RESERVED:
        raise InvalidKey(f"{channel!r} is no channel; in a key that word means something else.")
    if account is None:
        return channel
    if account in ACCOUNT_RESERVED:
        raise InvalidKey(
            f"An account of {channel!r} cannot be called {account!r}, which is a key's word; rename it."
        )
    return f"{channel}:{_spell('account', account)}"


def _chat(chat_id: str, thread: str | None) -> str:
    spelled = _spell("chat id", chat_id)
    return spelled if thread is None else f"{spelled}:thread:{_spell('thread id', thread)}"


def _read(rest: str) -> tuple[Place, bool]:
    """The place that `rest` can only mean, and whether it is written the way that place is.

    Reads more than it should (escapes nobody needs, in either case; bytes that should have been escaped) so
    that the right spelling can be told; spelling the place again is what finds the difference. Raises
    `InvalidKey` where there is nothing to tell.
    """
    words = rest.split(":")
    if words[0] == "direct" and len(words) > 1:
        words[0] = "dm"
    place: Place
    match words:
        case [key]:
            place = Main(key)
        case ["dm", peer]:
            place = PerPeer(_read_peer(peer))
        case ["dm", channel, *account, peer] if len(account) < 2:
            place = _read_per_peer(channel, account, _read_peer(peer))
        case ["cron", job_id]:
            place = Cron(_unspell(job_id))
        case ["cron", job_id, "run", run]:
            place = Cron(_unspell(job_id), _unspell(run))
        case ["hook", name]:
            place = Hook(_unspell(name))
        case ["api", name]:
            place = Api(_unspell(name))
        case ["subagent", name]:
            place = Subagent(_unspell(name))
        case ["chat", name]:
            place = ByHand(_unspell(name))
        case [word, *_] if word in _FORMS:
            raise InvalidKey(
                f"A place that begins with {word!r} is written {_FORMS[word]}; a ':' in an id is '~3A'."
            )
        case _:
            place = _read_on_channel(words)
    return place, place.rest == ":".join(words)


def _read_per_peer(channel: str, account: list[str], peer: Peer) -> PerPeer:
    if isinstance(peer, Known):
        return PerPeer(peer)
    return PerPeer(peer, channel, _unspell(account[0]) if account else None)


def _read_on_channel(words: list[str]) -> Place:
    """A place that begins with a channel. Writes `dm` and `channel` into `words` where they stood as aliases."""
    channel = words[0]
    at = 1 if words[1] in ACCOUNT_RESERVED else 2
    account = _unspell(words[1]) if at == 2 else None
    if at < len(words):
        words[at] = _ALIASES.get(words[at], words[at])
    match words[at:]:
        case ["main"]:
            return PerChannel(channel, account)
        case ["dm", peer]:
            return Direct(channel, _read_peer(peer), account)
        case ["group", chat_id]:
            return Group(channel, _unspell(chat_id), account)
        case ["group", chat_id, "thread", thread]:
            return Group(channel, _unspell(chat_id), account, _unspell(thread))
        case ["channel", chat_id]:
            return Room(channel, _unspell(chat_id), account)
        case ["channel", chat_id, "thread", thread]:
            return Room(channel, _unspell(chat_id), account, _unspell(thread))
        case _:
            _origin(channel, account)
            raise InvalidKey(
                f"Behind {channel!r} comes, with or without an account, one of 'dm:<peer>', 'main', 'group:<id>' "
                "and 'channel:<id>', the last two with ':thread:<id>' or without; a ':' in an id is written '~3A'."
            )


_FORMS = {
    "dm": "'dm:~<userId>' or 'dm:<channel>:<sender>', with the account behind the channel where its ids need it",
    "cron": "'cron:<jobId>' or 'cron:<jobId>:run:<id>'",
    "hook": "'hook:<id>'",
    "api": "'api:<id>'",
    "subagent": "'subagent:<id>'",
    "chat": "'chat:<id>'",
}
_ALIASES = {"direct": "dm", "room": "channel"}


def _read_peer(segment: str) -> Peer:
    if not segment.startswith("~") or _HEX.match(segment, 1):
        return Stranger(_unspell(segment))
    return Known(segment[2:] if segment.startswith("~=") else segment[1:])


def _unspell(segment: str) -> str:
    """The id a segment stands for. Raises `InvalidKey` when its escapes do not make up valid UTF-8."""
    if _PLAIN.fullmatch(segment):
        return segment
    try:
        return _ANY_ESCAPE.sub(lambda escape: bytes.fromhex(escape[1].decode()), segment.encode()).decode()
    except UnicodeError:
        raise InvalidKey(f"{segment!r} does not stand for valid UTF-8.") from None


def _misspelled(text: str, right: str) -> InvalidKey:
    return InvalidKey(f"{text!r} is not how this place is written; write {right!r}.")
