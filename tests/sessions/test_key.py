"""Session keys: two places never share one, and each place has exactly one."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import FrozenInstanceError, replace
from typing import assert_never
from urllib.parse import quote, unquote, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rookery.errors import InvalidKey
from rookery.ids import AgentId
from rookery.sessions.key import (
    ACCOUNT_RESERVED,
    CHANNEL_RESERVED,
    Api,
    ByHand,
    Cron,
    Direct,
    Group,
    Hook,
    Known,
    Main,
    Peer,
    PerChannel,
    PerPeer,
    Place,
    Room,
    SessionKey,
    SessionKind,
    Stranger,
    Subagent,
    read_place,
)

ALICE = AgentId("alice")

# Pieces that look like something else once they are glued together: separators, escapes, marks, words of keys,
# two spellings of one letter, letters whose lower case is another's, and numbers that are equal as numbers.
SIGNS = [":", "/", "\\", ".", "..", "%", "%3A", "~", "~3A", "~7E", "~=", "=", "3A", "3a", "+", "-", "_", "@", "#"]
LETTERS = ["a", "A", "é", "e\u0301", "ß", "ss", "İ", "i\u0307", "\u212a", "K", "k", " ", "\n", "\x7f", "🙂"]
NUMBERS = ["0", "00", "7", "07"]
WORDS = ["dm", "direct", "main", "group", "channel", "room", "thread", "run", "cron", "agent", "alice", "telegram"]
PIECES = [*SIGNS, *LETTERS, *NUMBERS, *WORDS]
CHANNELS = ["telegram", "webhook", "x", "a3"]
AGENTS = [AgentId(name) for name in ("alice", "Alice", "alice--sabrina", "space--0123456789ab", "3A")]
NAMES = [
    "alice",
    "Alice",
    "3A",
    "3a",
    "F0x",
    "f0x",
    "7E",
    "7Ealice",
    "007",
    "07",
    "7",
    "A",
    "dm",
    "thread",
    "A_",
    "DEAD",
]


# The same oracle judges our spelling and the wrong ones below.


def confused(
    keys: Iterable[SessionKey], spell: Callable[[SessionKey], str]
) -> tuple[SessionKey, SessionKey] | None:
    """The first two different keys that `spell` writes alike."""
    seen: dict[str, SessionKey] = {}
    for key in keys:
        other = seen.setdefault(spell(key), key)
        if other != key:
            return other, key
    return None


def escaped(text: str, safe: str = "") -> str:
    """The design's escaping by way of the standard library's."""
    return quote(text, safe="@+=" + safe).replace("~", "%7E").replace("%", "~")


def marked(name: str) -> str:
    return f"~={name}" if re.match("[0-9A-F][0-9A-F]", name) else f"~{name}"


def spelled(
    key: SessionKey,
    escape: Callable[[str], str] = escaped,
    mark: Callable[[str], str] = marked,
    words: bool = True,
) -> str:
    """A second writer of keys, straight from the design's table, with parts that can be got wrong."""
    said = [word for word in _segments(key.place, escape, mark) if words or not word.startswith("<")]
    return ":".join(["agent", key.agent_id, *(word.strip("<>") for word in said)])


def _segments(place: Place, escape: Callable[[str], str], mark: Callable[[str], str]) -> list[str]:
    """The segments behind the agent; a word of the table stands in angle brackets."""

    def who(peer: Peer) -> str:
        return mark(peer.name) if isinstance(peer, Known) else escape(peer.sender_id)

    def maybe(word: str | None, text: str | None) -> list[str]:
        return [] if text is None else [*([word] if word else []), escape(text)]

    match place:
        case Main():
            return [place.key]
        case PerPeer():
            return [
                "<dm>",
                *([place.channel] if place.channel else []),
                *maybe(None, place.account),
                who(place.peer),
            ]
        case Direct():
            return [place.channel, *maybe(None, place.account), "<dm>", who(place.peer)]
        case PerChannel():
            return [place.channel, *maybe(None, place.account), "<main>"]
        case Group():
            chat = ["<group>", escape(place.id), *maybe("<thread>", place.thread)]
            return [place.channel, *maybe(None, place.account), *chat]
        case Room():
            chat = ["<channel>", escape(place.id), *maybe("<thread>", place.thread)]
            return [place.channel, *maybe(None, place.account), *chat]
        case Cron():
            return ["<cron>", escape(place.job_id), *maybe("<run>", place.run)]
        case Hook():
            return ["<hook>", escape(place.id)]
        case Api():
            return ["<api>", escape(place.id)]
        case Subagent():
            return ["<subagent>", escape(place.id)]
        case ByHand():
            return ["<chat>", escape(place.id)]
        case _:
            assert_never(place)


def a_key(dice: random.Random) -> SessionKey:
    """Any key at all, made of what collides."""

    def some_id() -> str:
        return "".join(dice.choices(PIECES, k=dice.choice((1, 1, 2, 2, 3))))

    def some_account() -> str | None:
        account = some_id()
        return None if account in ACCOUNT_RESERVED or dice.random() < 0.5 else account

    def some_thread() -> str | None:
        return some_id() if dice.random() < 0.5 else None

    known = Known(dice.choice(NAMES))
    peer = known if dice.random() < 0.3 else Stranger(dice.choice((dice.choice(NAMES), some_id())))
    channel = dice.choice(CHANNELS)
    makers: list[Callable[[], Place]] = [
        lambda: Main("".join(dice.choices(["main", "dm", "A", "a", "3A", "=", "+", "."], k=dice.choice((1, 2))))),
        lambda: PerPeer(peer) if isinstance(peer, Known) else PerPeer(peer, channel, some_account()),
        lambda: Direct(channel, peer, some_account()),
        lambda: PerChannel(channel, some_account()),
        lambda: Group(channel, some_id(), some_account(), some_thread()),
        lambda: Room(channel, some_id(), some_account(), some_thread()),
        lambda: Cron(some_id(), some_thread()),
        lambda: Hook(some_id()),
        lambda: Api(some_id()),
        lambda: Subagent(some_id()),
        lambda: ByHand(some_id()),
    ]
    weights = [1, 2, 8, 2, 8, 8, 4, 1, 1, 1, 1]
    return SessionKey(dice.choice(AGENTS), dice.choices(makers, weights)[0]())


@pytest.fixture(scope="module")
def many_keys() -> list[SessionKey]:
    """A hundred thousand different keys, the same ones every time."""
    dice = random.Random(20)
    keys: dict[SessionKey, None] = {}
    while len(keys) < 100_000:
        keys[a_key(dice)] = None
    return list(keys)


texts = st.lists(st.sampled_from(PIECES) | st.characters(exclude_characters="\0", exclude_categories=["Cs"])).map(
    "".join
)
ids = texts.filter(bool)
names = st.sampled_from(NAMES) | st.from_regex(r"[A-F0-9a-z][A-Za-z0-9_]{0,6}", fullmatch=True).filter(
    lambda name: name.casefold() not in {"main", "share", "system", "space"}
)
peers: st.SearchStrategy[Peer] = names.map(Known) | ids.map(Stranger)
channels = st.sampled_from(CHANNELS) | st.from_regex(r"[a-z][a-z0-9]{0,5}", fullmatch=True).filter(
    lambda name: name not in CHANNEL_RESERVED
)
accounts = st.none() | ids.filter(lambda account: account not in ACCOUNT_RESERVED)
threads = st.none() | ids
places: st.SearchStrategy[Place] = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.@+=-]{1,8}", fullmatch=True).map(Main),
    names.map(lambda name: PerPeer(Known(name))),
    st.builds(PerPeer, ids.map(Stranger), channels, accounts),
    st.builds(Direct, channels, peers, accounts),
    st.builds(PerChannel, channels, accounts),
    st.builds(Group, channels, ids, accounts, threads),
    st.builds(Room, channels, ids, accounts, threads),
    st.builds(Cron, ids, threads),
    st.builds(Hook, ids),
    st.builds(Api, ids),
    st.builds(Subagent, ids),
    st.builds(ByHand, ids),
)
keys = st.builds(SessionKey, st.sampled_from(AGENTS), places)


@pytest.mark.parametrize(
    ("place", "rest", "kind"),
    [
        (Main("main"), "main", SessionKind.DIRECT),
        (Main("home"), "home", SessionKind.DIRECT),
        (PerPeer(Known("bob")), "dm:~bob", SessionKind.DIRECT),
        (PerPeer(Stranger("+43660"), "whatsapp"), "dm:whatsapp:+43660", SessionKind.DIRECT),
        (PerPeer(Stranger("7"), "webhook", "shop"), "dm:webhook:shop:7", SessionKind.DIRECT),
        (Direct("telegram", Stranger("42")), "telegram:dm:42", SessionKind.DIRECT),
        (Direct("telegram", Known("bob")), "telegram:dm:~bob", SessionKind.DIRECT),
        (Direct("telegram", Known("bob"), "work"), "telegram:work:dm:~bob", SessionKind.DIRECT),
        (PerChannel("telegram"), "telegram:main", SessionKind.DIRECT),
        (PerChannel("webhook", "shop"), "webhook:shop:main", SessionKind.DIRECT),
        (Group("telegram", "-100123"), "telegram:group:-100123", SessionKind.GROUP),
        (Group("telegram", "-100123", thread="7"), "telegram:group:-100123:thread:7", SessionKind.GROUP),
        (Room("discord", "99"), "discord:channel:99", SessionKind.CHANNEL),
        (Room("feishu", "oc_1", "acme", "7"), "feishu:acme:channel:oc_1:thread:7", SessionKind.CHANNEL),
        (Cron("daily"), "cron:daily", SessionKind.CRON),
        (Cron("daily", "01j"), "cron:daily:run:01j", SessionKind.CRON),
        (Hook("build"), "hook:build", SessionKind.HOOK),
        (Api("my app"), "api:my~20app", SessionKind.API),
        (Subagent("01j"), "subagent:01j", SessionKind.SUBAGENT),
        (ByHand("01j"), "chat:01j", SessionKind.CHAT),
    ],
)
def test_every_row_of_the_table_has_its_spelling(place: Place, rest: str, kind: SessionKind) -> None:
    """A place is written as the design's table says, reads back as itself, and knows its kind."""
    key = SessionKey(ALICE, place)

    assert key.format() == str(key) == f"agent:alice:{rest}"
    assert SessionKey.parse(key.format()) == key
    assert key.kind is kind


@pytest.mark.parametrize(
    ("sender", "written"),
    [
        (":", "~3A"),
        ("a:b", "a~3Ab"),
        ("~", "~7E"),
        ("~alice", "~7Ealice"),
        ("/", "~2F"),
        ("é", "~C3~A9"),
        ("e\u0301", "e~CC~81"),
        ("=alice", "=alice"),
        ("007", "007"),
        ("Bob@Example.org", "Bob@Example.org"),
        ("100%", "100~25"),
        ("..", ".."),
    ],
)
def test_senders_ids_are_escaped_and_otherwise_kept(sender: str, written: str) -> None:
    """A byte outside the plain ones becomes `~XX`; nothing else about an id changes."""
    assert Direct("telegram", Stranger(sender)).rest == f"telegram:dm:{written}"


def test_a_name_that_looks_like_an_escape_is_marked_otherwise() -> None:
    """The person `3A` and the sender `:` would both be `~3A`; so the person is `~=3A`."""
    assert Direct("telegram", Stranger(":")).rest == "telegram:dm:~3A"
    assert Direct("telegram", Known("3A")).rest == "telegram:dm:~=3A"
    assert Direct("telegram", Known("F0x")).rest == "telegram:dm:~=F0x"
    assert Direct("telegram", Known("3a")).rest == "telegram:dm:~3a"

    assert SessionKey.parse("agent:alice:telegram:dm:~=3A").place == Direct("telegram", Known("3A"))
    assert SessionKey.parse("agent:alice:telegram:dm:~3A").place == Direct("telegram", Stranger(":"))
    assert SessionKey.parse("agent:alice:telegram:dm:=3A").place == Direct("telegram", Stranger("=3A"))


@given(keys)
@settings(max_examples=500)
@example(SessionKey(ALICE, Direct("telegram", Known("3A"))))
@example(SessionKey(ALICE, Direct("telegram", Stranger("~=3A"), "~3A")))
@example(SessionKey(ALICE, Group("telegram", "thread", "a:group", "thread:thread")))
def test_a_key_reads_back_as_itself(key: SessionKey) -> None:
    """Whatever the ids are, reading a key gives the place that was written, of the same sort."""
    back = SessionKey.parse(key.format())

    assert (back.agent_id, back.place) == (key.agent_id, key.place)
    assert back == key
    assert hash(back) == hash(key)


@given(keys)
def test_a_key_needs_no_encoding_in_a_url(key: SessionKey) -> None:
    """A key put into a URL's path as it is comes out as it was, one segment."""
    path = urlsplit(f"http://house/api/sessions/{key}/archive").path

    assert unquote(path).split("/") == ["", "api", "sessions", str(key), "archive"]


def test_a_hundred_thousand_places_have_a_hundred_thousand_keys(many_keys: list[SessionKey]) -> None:
    """Adversarial ids on all kinds of places: no two share a key, all read back, a second writer agrees."""
    assert confused(many_keys, SessionKey.format) is None
    for key in many_keys:
        text = key.format()
        assert SessionKey.parse(text).place == key.place
        assert spelled(key) == text


def _without(part: str) -> Callable[[SessionKey], str]:
    def spell(key: SessionKey) -> str:
        place = key.place
        if part == "account" and isinstance(place, (Direct, PerChannel, Group, Room)):
            place = replace(place, account=None)
        if part == "thread" and isinstance(place, (Group, Room)):
            place = replace(place, thread=None)
        return spelled(SessionKey(ALICE if part == "agent" else key.agent_id, place))

    return spell


def _escaping(escape: Callable[[str], str]) -> Callable[[SessionKey], str]:
    return lambda key: spelled(key, escape=escape)


def _marking(mark: Callable[[str], str]) -> Callable[[SessionKey], str]:
    return lambda key: spelled(key, mark=mark)


def _folding(key: SessionKey) -> str:
    return spelled(key).casefold()


def _joining(key: SessionKey) -> str:
    return spelled(key, words=False)


WRONG: dict[str, Callable[[SessionKey], str]] = {
    "case is folded": _folding,
    "nothing is escaped": _escaping(str),
    "the colon is not escaped": _escaping(lambda text: escaped(text, safe=":")),
    "only the colon is escaped": _escaping(lambda text: text.replace(":", "~3A")),
    "ids are made one in Unicode": _escaping(lambda text: escaped(unicodedata.normalize("NFC", text))),
    "ids are trimmed": _escaping(lambda text: escaped(text.strip() or text)),
    "ids are numbers": _escaping(lambda text: escaped(text.lstrip("0") or "0")),
    "ids are slugs": _escaping(lambda text: re.sub(r"[^\w.@+=-]", "_", text)),
    "ids are joined without the table's words": _joining,
    "the mark has no =": _marking(lambda name: f"~{name}"),
    "the mark is a plain byte": _marking(lambda name: f"={name}"),
    "nobody is marked": _marking(str),
    "the account is left out": _without("account"),
    "the thread is left out": _without("thread"),
    "the agent is left out": _without("agent"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_the_oracle_sees_wrong_spellings(many_keys: list[SessionKey], wrong: Callable[[SessionKey], str]) -> None:
    """Each mistake somebody could make in writing keys makes two different places share one, and is seen."""
    assert confused(many_keys, wrong) is not None


def _garbled(key: SessionKey, at: int, cut: int, new: str) -> str:
    text = str(key)
    at %= len(text) + 1
    return text[:at] + new + text[at + cut :]


near_keys = st.builds(
    _garbled,
    keys,
    st.integers(min_value=0),
    st.integers(min_value=0, max_value=3),
    st.sampled_from([*PIECES, "", "\0", "\ud800", "~2f", "~41", "~FF", "~C3", "~00", "::"]),
)
loose_keys = st.lists(
    st.sampled_from([*PIECES, *CHANNELS, *(f"~{name}" for name in NAMES), "hook", "api", "chat", "subagent", ""])
).map(lambda words: ":".join(["agent", "alice", *words]))


@given(st.text() | texts | near_keys | loose_keys)
@settings(max_examples=1500)
def test_what_is_read_was_written_the_one_way(text: str) -> None:
    """Any text is either refused with `InvalidKey` or is, but for `direct` and `room`, the key's own spelling."""
    try:
        key = SessionKey.parse(text)
    except InvalidKey:
        return
    aliases = {"direct": "dm", "room": "channel"}
    written = key.format().split(":")
    given_words = text.split(":")
    assert len(written) == len(given_words)
    assert all(mine in (word, aliases.get(word)) for mine, word in zip(written, given_words, strict=True))


@given(st.text() | texts | near_keys.map(lambda key: key.removeprefix("agent:alice:")))
@settings(max_examples=500)
def test_a_place_is_read_or_refused(text: str) -> None:
    """A place somebody names is read or refused with `InvalidKey`; nothing else happens."""
    try:
        key = read_place(text, ALICE, "main")
    except InvalidKey:
        return
    assert SessionKey.parse(str(key)) == key


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("agent:alice:telegram:dm:a~3ab", "agent:alice:telegram:dm:a~3Ab"),
        ("agent:alice:telegram:group:~2f", "agent:alice:telegram:group:~2F"),
        ("agent:alice:telegram:dm:~41lice", "agent:alice:telegram:dm:Alice"),
        ("agent:alice:telegram:dm:a~2Db", "agent:alice:telegram:dm:a-b"),
        ("agent:alice:telegram:dm:~=alice", "agent:alice:telegram:dm:~alice"),
        ("agent:alice:telegram:dm:a/b", "agent:alice:telegram:dm:a~2Fb"),
        ("agent:alice:telegram:dm:é", "agent:alice:telegram:dm:~C3~A9"),
        ("agent:alice:telegram:group:~x", "agent:alice:telegram:group:~7Ex"),
        ("agent:alice:dm:telegram:~bob", "agent:alice:dm:~bob"),
        ("agent:alice:telegram:direct:é", "agent:alice:telegram:dm:~C3~A9"),
        ("agent:alice:telegram:~41:room:x", "agent:alice:telegram:A:channel:x"),
    ],
)
def test_a_misspelled_key_is_refused_with_the_right_spelling(text: str, right: str) -> None:
    """Where a text can only have meant one key, the refusal says how that one is written."""
    with pytest.raises(InvalidKey, match=re.escape(f"write {right!r}")):
        SessionKey.parse(text)
    assert str(SessionKey.parse(right)) == right


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no session key"),
        ("main", "write 'agent:<agentId>:<place>'"),
        ("agent:alice", "write 'agent:<agentId>:<place>'"),
        ("Agent:alice:main", "write 'agent:<agentId>:<place>'"),
        ("agent::main", "agent id"),
        ("agent:main:main", "agent id"),
        ("agent:al ice:main", "agent id"),
        ("agent:alice:", "main place"),
        ("agent:alice:ma~69n", "main place"),
        ("agent:alice:main:", "no channel"),
        ("agent:alice:telegram:dm:", "sender id is empty"),
        ("agent:alice:telegram:group:", "chat id is empty"),
        ("agent:alice:telegram:group:1:thread:", "thread id is empty"),
        ("agent:alice:telegram:group:1:thread", "comes"),
        ("agent:alice:telegram::dm:1", "account is empty"),
        ("agent:alice::dm:1", "no channel"),
        ("agent:alice:cron:", "job id is empty"),
        ("agent:alice:cron:daily:run:", "run id is empty"),
        ("agent:alice:cron:daily:again", "'cron:<jobId>:run:<id>'"),
        ("agent:alice:chat:a:b", "'chat:<id>'"),
        ("agent:alice:telegram:dm:~", "user id"),
        ("agent:alice:telegram:dm:~=", "user id"),
        ("agent:alice:telegram:dm:~-x", "user id"),
        ("agent:alice:telegram:dm:~FF", "valid UTF-8"),
        ("agent:alice:telegram:dm:~C0~80", "valid UTF-8"),
        ("agent:alice:telegram:dm:~ED~A0~80", "valid UTF-8"),
        ("agent:alice:telegram:dm:\ud800", "valid UTF-8"),
        ("agent:alice:telegram:dm:a~00b", "NUL"),
        ("agent:alice:telegram:dm:a\0b", "NUL"),
        ("agent:alice:Telegram:dm:1", "no channel"),
        ("agent:alice:cron:dm:1", "'cron:<jobId>'"),
        ("agent:alice:internal:main:main", "no channel"),
        ("agent:alice:telegram:main:dm:1", "comes"),
        ("agent:alice:telegram:~64m:dm:1", "cannot be called 'dm'"),
        ("agent:alice:dm:bob", "only known within a channel"),
        ("agent:alice:dm:telegram:a:b:c", "'dm:<channel>:<sender>'"),
        ("agent:alice:telegram:DM:1", "comes"),
        (" agent:alice:main", "no session key"),
        ("agent:alice:main\n", "main place"),
    ],
)
def test_what_is_no_key_is_refused_with_the_reason(text: str, why: str) -> None:
    """A refusal says what is wrong; no text falls back to another place."""
    with pytest.raises(InvalidKey, match=re.escape(why)):
        SessionKey.parse(text)


@pytest.mark.parametrize(
    ("alias", "key"),
    [
        ("agent:alice:telegram:direct:1", "agent:alice:telegram:dm:1"),
        ("agent:alice:telegram:work:direct:~bob", "agent:alice:telegram:work:dm:~bob"),
        ("agent:alice:direct:telegram:1", "agent:alice:dm:telegram:1"),
        ("agent:alice:direct:~bob", "agent:alice:dm:~bob"),
        ("agent:alice:matrix:room:1", "agent:alice:matrix:channel:1"),
        ("agent:alice:matrix:home:room:1:thread:2", "agent:alice:matrix:home:channel:1:thread:2"),
    ],
)
def test_two_words_have_another_word(alias: str, key: str) -> None:
    """`direct` reads as `dm` and `room` as `channel`; both are written the one way again."""
    assert str(SessionKey.parse(alias)) == key


def test_the_words_are_only_words_in_their_place() -> None:
    """Ids that read like the table's words stay ids."""
    assert SessionKey.parse("agent:alice:telegram:dm:direct").place == Direct("telegram", Stranger("direct"))
    assert SessionKey.parse("agent:alice:telegram:dm:main").place == Direct("telegram", Stranger("main"))
    assert SessionKey.parse("agent:alice:telegram:work:main").place == PerChannel("telegram", "work")
    assert SessionKey.parse("agent:alice:matrix:room:room:thread:thread").place == Room(
        "matrix", "room", thread="thread"
    )
    assert SessionKey.parse("agent:alice:direct").place == Main("direct")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Stranger(""),
        lambda: Stranger("a\0"),
        lambda: Stranger("\udcff"),
        lambda: Known(""),
        lambda: Known("al ice"),
        lambda: Known("main"),
        lambda: Known("=3A"),
        lambda: Main(""),
        lambda: Main("a:b"),
        lambda: Main("~a"),
        lambda: PerPeer(Stranger("1")),
        lambda: PerPeer(Known("bob"), "telegram"),
        lambda: PerPeer(Known("bob"), account="work"),
        lambda: PerPeer(Stranger("1"), "telegram", ""),
        lambda: PerChannel(""),
        lambda: PerChannel("Telegram"),
        lambda: PerChannel("3com"),
        lambda: PerChannel("tele-gram"),
        lambda: PerChannel("telegram", ""),
        lambda: Group("telegram", ""),
        lambda: Group("telegram", "1", thread=""),
        lambda: Room("discord", ""),
        lambda: Room("discord", "1", thread=""),
        lambda: Cron(""),
        lambda: Cron("daily", ""),
        lambda: Hook(""),
        lambda: Api(""),
        lambda: Subagent(""),
        lambda: ByHand(""),
        lambda: SessionKey(AgentId("main"), Main()),
        lambda: SessionKey(AgentId("a:b"), Main()),
    ],
)
def test_an_invalid_place_cannot_be_made(make: Callable[[], object]) -> None:
    """A missing or impossible part is an error when the place is made, never a fallback to another place."""
    with pytest.raises(InvalidKey):
        make()


@pytest.mark.parametrize("word", sorted(CHANNEL_RESERVED))
def test_a_channel_is_not_called_by_a_word_of_keys(word: str) -> None:
    """A place that begins with such a word means something else, so no channel has it."""
    for make in (lambda: PerChannel(word), lambda: Direct(word, Stranger("1")), lambda: Group(word, "1")):
        with pytest.raises(InvalidKey, match="means something else"):
            make()


@pytest.mark.parametrize("word", sorted(ACCOUNT_RESERVED))
def test_an_account_is_not_called_by_a_word_of_keys(word: str) -> None:
    """`<channel>:<account>:main` would be the direct conversation with `main`; so no account is called `dm`."""
    for make in (
        lambda: PerChannel("telegram", word),
        lambda: Direct("telegram", Stranger("1"), word),
        lambda: PerPeer(Stranger("1"), "telegram", word),
        lambda: Room("telegram", "1", word),
    ):
        with pytest.raises(InvalidKey, match="rename it"):
            make()


def test_a_key_stays_as_it_is() -> None:
    """A place cannot be changed, and a changed copy is checked and spelled anew."""
    place = Group("telegram", "1", thread="2")
    with pytest.raises(FrozenInstanceError):
        place.id = "2"  # pyright: ignore[reportAttributeAccessIssue]

    assert replace(place, thread="a:b").rest == "telegram:group:1:thread:a~3Ab"
    with pytest.raises(InvalidKey):
        replace(place, id="")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("whatsapp:dm:+1234567890", "agent:alice:whatsapp:dm:+1234567890"),
        ("telegram:group:123456", "agent:alice:telegram:group:123456"),
        ("discord:channel:987654", "agent:alice:discord:channel:987654"),
        ("matrix:room:~21a~3Ab", "agent:alice:matrix:channel:~21a~3Ab"),
        ("internal:main:main", "agent:alice:home"),
        ("main", "agent:alice:home"),
        ("home", "agent:alice:home"),
        ("chat:01j", "agent:alice:chat:01j"),
        ("dm:~bob", "agent:alice:dm:~bob"),
        ("agent:alice:main", "agent:alice:main"),
        ("agent:bob:telegram:direct:1", "agent:bob:telegram:dm:1"),
    ],
)
def test_a_place_can_be_named_shortly(text: str, key: str) -> None:
    """A whole key, the part behind the agent, or the ADR's short form; the main place by either of its names."""
    assert str(read_place(text, ALICE, "home")) == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("elsewhere", "the main place is called 'home'"),
        ("", "main place"),
        ("Main", "the main place is called 'home'"),
        ("internal:main:other", "no channel"),
        ("telegram:group:a/b", "write 'telegram:group:a~2Fb'"),
        ("agent:alice:telegram:group:a/b", "write 'agent:alice:telegram:group:a~2Fb'"),
        ("telegram:dm:", "sender id is empty"),
        ("agent:", "write 'agent:<agentId>:<place>'"),
    ],
)
def test_a_name_for_no_place_is_refused(text: str, why: str) -> None:
    """A word no message would ever arrive at names no place, and a misspelling is told as it was written."""
    with pytest.raises(InvalidKey, match=re.escape(why)):
        read_place(text, ALICE, "home")
