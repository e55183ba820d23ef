"""Who is who in one interleaving, and whose conversation each message belongs to.

This is a second, independent account of what `docs` promise about identities, bindings and scopes: plain
dictionaries and exact comparison. The oracle believes it, and not the gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from random import Random

from rookery.messages import Chat, ChatKind

TERMINAL = "terminal"
OWN_CHANNELS = frozenset({TERMINAL, "webchat", "api"})
NETWORKS = {"telegram": ("default", "second"), "webhook": ("default", "other")}
PER_ACCOUNT = frozenset({"webhook"})

Owner = str
"""Whose a word is: `user:…`, `guest:…`, `link:…`, `space:…`, or nobody's."""

NOBODY: Owner = "nobody"

PEOPLE = (
    "ann",
    "Ann2",
    "an",
    "anna",
    "ann-2",
    "ANN_2",
    "x",
    "a",
    "1",
    "01",
    "3A",
    "dm",
    "group",
    "telegram",
    "local",
)
"""User ids that begin like each other, are words of a key, or are spelled like a sender."""

LOOKALIKES: tuple[tuple[str, ...], ...] = (
    ("a", "A", "ａ", "а"),  # the third is full-width, the fourth Cyrillic
    ("a:b", "a", "b", "a:b:c"),
    ("x", " x", "x ", "x\u200b"),
    ("1", "12", "123", "2"),
    ("1", "01", "001", "+1"),
    ("\u00e9", "e\u0301", "e", "\u00c9"),
    ("ß", "ss", "SS", "ẞ"),
    ("I", "ı", "i", "İ"),
    ("a/b", "a%2Fb", "a~2Fb", "a~2fb"),
    ("~pat", "pat", "~=pat", "=pat"),
    ("~ann", "ann", "~=ann", "~61nn"),
    ("default:x", "x", "other:x", "dm:x"),
    ("dm", "main", "thread", "group"),
    ("3A", "~3A", ":", "~=3A"),
    ("x", "x%", "_", "%"),
    ("x", "x'", 'x"', "x\\"),
)
"""Senders that are one for whoever folds case, joins strings, trims, compares prefixes or normalises."""

CHATS: tuple[tuple[str, ...], ...] = (
    ("-100", "-100:thread:7"),
    ("-100:thread:7", "-100", "-1001"),
    ("g", "G", "g "),
    ("\u00e9", "e\u0301"),
    ("x", "a", "1"),  # spelled like senders
)
THREADS = (None, None, "7", "7", "07", "7:x")


@dataclass(frozen=True, slots=True)
class Mouth:
    """Where somebody can write from: a sender on one account of ours, or a user's terminal."""

    channel: str
    account: str
    sender: str


@dataclass(frozen=True, slots=True)
class Room:
    """A group chat of one network; where ids are per account, of one account."""

    channel: str
    account: str | None
    chat: Chat


@dataclass(frozen=True, slots=True)
class Rule:
    """Which shared agent answers, and the binding's own word on places."""

    agent: str
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Somewhere that is easily taken for somewhere else: a mouth's direct chat, or a group it speaks in."""

    mouth: Mouth
    chat: Chat | None = None
    thread: str | None = None


@dataclass(slots=True)
class Cast:
    """Everything that decides whose a message is. `links` changes while the interleaving runs."""

    people: Sequence[str]
    stages: Sequence[Stage]
    sponsor: str
    shared: Sequence[str]
    mouths: Sequence[Mouth]
    links: dict[tuple[str, str | None, str], str]
    guests: frozenset[Mouth]
    names: dict[str, tuple[Mouth, ...]]
    accounts: dict[tuple[str, str], Rule]
    rooms: dict[Room, Rule | None]
    admitted: dict[Room, str | None]
    """The groups that are let in by name and not by a rule: each with the agent said for it, None for its own."""
    open_groups: frozenset[tuple[str, str]]
    mention: frozenset[tuple[str, str]]
    bindings: dict[tuple[str, str], str | None]
    dm_scope: str | None
    isolation: str | None
    loosening: dict[Mouth, set[str | None]] = field(default_factory=dict[Mouth, set[str | None]])
    """Whom an address may still belong to, or may already, while a change of it is under way."""

    def user_of(self, mouth: Mouth) -> str | None:
        """The user behind an address; None for anybody else."""
        if mouth.channel in OWN_CHANNELS:
            return mouth.sender if mouth.sender in self.people else None
        exact = self.links.get((mouth.channel, mouth.account, mouth.sender))
        if exact is not None or mouth.channel in PER_ACCOUNT:
            return exact
        return self.links.get((mouth.channel, None, mouth.sender))

    def users_of(self, mouth: Mouth) -> set[str | None]:
        """Every user the address may be taken for now: one, but for the moments in which it changes hands."""
        return {self.user_of(mouth)} | self.loosening.get(mouth, set())

    def guest(self, mouth: Mouth) -> Owner:
        """Who a sender is to a shared agent: the name they were linked under, or their address."""
        for name, mouths in self.names.items():
            if mouth in mouths and name.casefold() not in {person.casefold() for person in self.people}:
                return f"link:{name}"
        account = mouth.account if mouth.channel in PER_ACCOUNT else ""
        return f"guest:{mouth.channel}:{account!r}:{mouth.sender!r}"

    def owner(self, mouth: Mouth, user: str | None) -> Owner:
        """Whose direct messages from this address are, taken for this user."""
        return self.guest(mouth) if user is None else f"user:{user}"

    def rule_in(self, channel: str, account: str, chat: Chat) -> Rule | None:
        """Who answers in a group: what its own rule says; a rule for the whole account admits none."""
        room = Room(channel, account if channel in PER_ACCOUNT else None, chat)
        return self.rooms.get(room)

    def space(self, channel: str, account: str, chat: Chat, thread: str | None) -> Owner:
        """Whose words in a group are: the group's own, and each thread's apart."""
        where = account if channel in PER_ACCOUNT else ""
        return f"space:{channel}:{where!r}:{chat.kind}:{chat.id!r}:{thread!r}"

    def outcome(self, mouth: Mouth, user: str | None, chat: Chat, *, spoken_to: bool) -> str:
        """What becomes of a message: accepted, refused, ignored."""
        if chat.kind is ChatKind.DM:
            guest = mouth in self.guests and (mouth.channel, mouth.account) in self.accounts
            return "accepted" if user is not None or guest else "refused"
        here = (mouth.channel, mouth.account)
        if user is None and mouth not in self.guests and here not in self.open_groups:
            return "refused"
        if not spoken_to and here in self.mention:
            return "ignored"
        return "accepted" if self.rule_in(*here, chat) is not None else "refused"

    def agent(self, mouth: Mouth, user: str | None, chat: Chat, wish: str | None) -> str:
        """Who answers an accepted message."""
        if wish is not None:
            return wish
        if chat.kind is not ChatKind.DM:
            rule = self.rule_in(mouth.channel, mouth.account, chat)
            assert rule is not None, "where nobody answers, nothing is accepted"
            return rule.agent
        return self.accounts[mouth.channel, mouth.account].agent if user is None else user

    def conversation(
        self, mouth: Mouth, user: str | None, chat: Chat, thread: str | None, wish: str | None
    ) -> tuple[str, ...] | None:
        """Which messages are one conversation with this one; None when each is one of its own."""
        agent = self.agent(mouth, user, chat, wish)
        if chat.kind is not ChatKind.DM:
            return agent, self.space(mouth.channel, mouth.account, chat, thread)
        own = agent == user
        rule = None if own or wish is not None else self.accounts[mouth.channel, mouth.account]
        scope = self._scope(mouth, rule, own=own)
        if scope == "ephemeral":
            return None
        whom = "" if own else self.owner(mouth, user)
        network = (mouth.channel, mouth.account) if mouth.channel in PER_ACCOUNT else (mouth.channel,)
        match scope:
            case "main":
                return agent, "main"
            case "per-peer":
                stranger = not own and whom.startswith("guest:")
                return (agent, "peer", whom, *(network if stranger else ()))
            case "per-channel":
                return agent, "channel", *network
            case "per-channel-peer":
                return agent, "direct", *network, whom
            case _:
                return agent, "direct", mouth.channel, mouth.account, whom

    def _scope(self, mouth: Mouth, rule: Rule | None, *, own: bool) -> str:
        each = "per-account-channel-peer"
        words = {"isolated": each, "global": "main", "per-sender": "per-peer"}
        if rule is not None and rule.session is not None:
            return words.get(rule.session, rule.session)
        account = self.bindings.get((mouth.channel, mouth.account))
        further = [None if account == "shared" else account, self.dm_scope, self.isolation]
        scope = next((words.get(word, word) for word in further if word is not None), "main")
        return each if not own and scope in {"main", "per-channel"} else scope


def compose(rng: Random) -> Cast:
    """A cast made to be confused: few people, many addresses that look alike."""
    people = _people(rng)
    senders = list(dict.fromkeys(sender for group in rng.sample(LOOKALIKES, 2) for sender in group))[
        : rng.randint(4, 6)
    ]
    senders += [person for person in people if person not in senders][: rng.randint(0, 1)]
    mouths = [
        Mouth(channel, account, sender)
        for channel, accounts in NETWORKS.items()
        for account in accounts
        for sender in senders
    ]
    rooms = _rooms(rng, shared := ["desk", "club"][: rng.randint(1, 2)])
    stages = [*_stages(rng, mouths, senders, rooms), *_stages(rng, mouths, senders, rooms)]
    links = _links(rng, people, senders)
    free = [mouth for mouth in mouths if not any(_covers(key, mouth) for key in links)]
    guests = {*(stage.mouth for stage in stages), *rng.sample(mouths, k=len(mouths) // 4)}
    names = _names(rng, people, [stage.mouth for stage in stages if stage.mouth in free] or free)
    return Cast(
        people=people,
        stages=stages,
        sponsor=rng.choice(people),
        shared=shared,
        mouths=[*mouths, *(Mouth(TERMINAL, "local", person) for person in people)],
        links=links,
        guests=frozenset(guests),
        names=names,
        accounts={
            (channel, account): Rule(rng.choice(shared), rng.choice(_GUEST_WORDS))
            for channel, accounts in NETWORKS.items()
            for account in accounts
            if rng.random() < 0.9
        },
        rooms=rooms,
        admitted={
            room: rng.choice((None, *shared))
            for room, rule in rooms.items()
            if rule is None and rng.random() < 0.6
        },
        open_groups=_some_accounts(rng, 0.3),
        mention=_some_accounts(rng, 0.3),
        bindings={
            (channel, account): rng.choice((None, None, None, None, "isolated", "shared", "ephemeral"))
            for channel, accounts in NETWORKS.items()
            for account in accounts
        },
        dm_scope=rng.choice((None, "main", "per-peer", "per-peer", "per-channel", "per-channel-peer", *_EACH)),
        isolation=rng.choice((None, None, "global", "per-sender", "per-channel")),
    )


def _stages(
    rng: Random, mouths: Sequence[Mouth], senders: Sequence[str], rooms: Mapping[Room, Rule | None]
) -> list[Stage]:
    """A few stages that only one thing tells apart: the sender, the account, or the group and thread."""
    kind = rng.choice(("senders", "senders", "accounts", "rooms"))
    if kind == "rooms":
        channel, account, _ = astuple(rng.choice(mouths))
        here = [mouth for mouth in mouths if (mouth.channel, mouth.account) == (channel, account)]
        chats = [room.chat for room in rooms if room.channel == channel and room.account in (None, account)]
        return [Stage(rng.choice(here), rng.choice(chats), rng.choice(THREADS)) for _ in range(6)]
    if kind == "accounts":
        channel, sender = rng.choice(list(NETWORKS)), rng.choice(senders)
        return [Stage(mouth) for mouth in mouths if (mouth.channel, mouth.sender) == (channel, sender)]
    channel, account, _ = astuple(rng.choice(mouths))
    return [Stage(mouth) for mouth in mouths if (mouth.channel, mouth.account) == (channel, account)][:4]


def _covers(key: tuple[str, str | None, str], mouth: Mouth) -> bool:
    return (key[0], key[2]) == (mouth.channel, mouth.sender) and key[1] in (None, mouth.account)


_EACH = ("per-account-channel-peer",)
_GUEST_WORDS = (None, None, "per-peer", "per-channel-peer", *_EACH, "isolated", "ephemeral")


def _people(rng: Random) -> list[str]:
    chosen: list[str] = []
    for person in rng.sample(PEOPLE, len(PEOPLE)):
        if person.casefold() not in {other.casefold() for other in chosen}:
            chosen.append(person)
    return chosen[: rng.choice((2, 3, 3, 4, 4, 5, 8))]


def _links(rng: Random, people: Sequence[str], senders: Sequence[str]) -> dict[tuple[str, str | None, str], str]:
    share = rng.choice((0.15, 0.4, 0.7))
    links: dict[tuple[str, str | None, str], str] = {}
    for channel, accounts in NETWORKS.items():
        for sender in senders:
            everywhere = channel not in PER_ACCOUNT and rng.random() < 0.6
            for account in (None,) if everywhere else accounts:
                if rng.random() < share:
                    links[channel, account, sender] = rng.choice(people)
    return links


def _names(rng: Random, people: Sequence[str], strangers: Sequence[Mouth]) -> dict[str, tuple[Mouth, ...]]:
    """Names in `identityLinks`: one of its own, and sometimes one that is a user's already."""
    free = list(dict.fromkeys(strangers))
    rng.shuffle(free)
    names: dict[str, tuple[Mouth, ...]] = {}
    for name in ("pat", rng.choice(people)):
        count = rng.randint(0, 2)
        if free[:count]:
            names[name] = tuple(free[:count])
        del free[:count]
    return names


def _rooms(rng: Random, shared: Sequence[str]) -> dict[Room, Rule | None]:
    rooms: dict[Room, Rule | None] = {}
    kinds = rng.choice(((ChatKind.GROUP,), (ChatKind.CHANNEL,), (ChatKind.GROUP, ChatKind.CHANNEL)))
    names = rng.choice(CHATS)
    for id in rng.sample(names, rng.randint(2, len(names))):
        chat = Chat(rng.choice(kinds), id)
        for channel, accounts in NETWORKS.items():
            for account in accounts if channel in PER_ACCOUNT else (None,):
                rooms[Room(channel, account, chat)] = Rule(rng.choice(shared)) if rng.random() < 0.8 else None
    return rooms


def _some_accounts(rng: Random, share: float) -> frozenset[tuple[str, str]]:
    return frozenset(
        (channel, account)
        for channel, accounts in NETWORKS.items()
        for account in accounts
        if rng.random() < share
    )
