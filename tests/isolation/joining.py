"""Two people who join addresses to themselves, and a third party who gets in between, in any order.

    wrong = await play(house, seed=7)

A play keeps its own account of whose each address is, and says where the gateway's differs: an address is joined
only after both sides said yes in time, never twice, and never somebody's; and nothing that belongs to one person
is heard where they are not.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from sqlalchemy import Connection

from rookery import users
from rookery.errors import Conflict
from rookery.gateway import codes
from rookery.gateway.operations import people
from rookery.gateway.shapes import UserChange
from rookery.ids import UserId
from rookery.messages import Address
from rookery.policy import Permission
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

ADDRESSES = ("x", "y", "z")
FIRST = {"alice": ("telegram", "a"), "bob": ("email", "b")}
LIFE = timedelta(minutes=10)
GUESSES = 5
STEPS = 60

_CODE = re.compile(rf"[{codes.ALPHABET}]{{4}}-[{codes.ALPHABET}]{{4}}")
_WRONG = "AAAA-BBBB"


@dataclass(slots=True)
class Asked:
    """A code as the play has it: who asked, until when it counts, where it was typed, if that said yes."""

    person: str
    code: str
    until: datetime
    address: str | None = None
    agreed: bool = False


@dataclass(slots=True)
class Play:
    """One play in one house."""

    house: TestHouse
    rng: Random
    owner: dict[str, str | None] = field(default_factory=lambda: dict.fromkeys(ADDRESSES))
    asked: dict[str, Asked] = field(default_factory=dict[str, Asked])
    old: list[str] = field(default_factory=list[str])
    wrong_codes: dict[str, tuple[int, datetime]] = field(default_factory=dict[str, tuple[int, datetime]])
    chatting: bool = True
    """Whether Bob may use chat networks, of which the webhook is one."""
    heard: int = 0
    said: int = 0
    wrong: list[str] = field(default_factory=list[str])

    # --- what can happen --------------------------------------------------------------------------------------

    async def asks_for_a_code(self) -> None:
        person = self._somebody()
        answer = await self._writes(person, "/link")
        found = _CODE.search(answer)
        if found is None:
            self.wrong.append(f"{person} asked for a code and heard {answer!r}")
            return
        self._ends(person)
        self.asked[person] = Asked(person, found[0], self._now + LIFE)

    async def types_a_code(self) -> None:
        known = [one.code for one in self.asked.values()]
        await self._types(self.rng.choice(ADDRESSES), self.rng.choice([*known, *known, *self.old[-2:], _WRONG]))

    async def goes_on_guessing(self) -> None:
        address = self.rng.choice(ADDRESSES)
        for _ in range(GUESSES):
            await self._types(address, _WRONG)
        await self._types(address, self.rng.choice([_WRONG, *(one.code for one in self.asked.values())]))

    async def _types(self, address: str, code: str) -> None:
        answer = await self._says(address, f"/link {code}")
        if self.owner[address] is not None:
            self._check(address, "I know you here already" in answer or not self._let_in(address), answer)
            return
        count = self._guessed(address)
        if count >= GUESSES:
            self._check(address, answer == "", answer)
            return
        one = next((one for one in self._living() if one.code == code), None)
        if one is None or one.address not in (None, address):
            since = self.wrong_codes[address][1] if count else self._now
            self.wrong_codes[address] = (count + 1, since)
            self._check(address, "not valid" in answer, answer)
            return
        for other in self._living():
            if other is not one and other.address == address:
                self._ends(other.person)
        if one.address is None:
            one.address, one.until = address, self._now + LIFE
        if not one.agreed:
            self._check(address, f"({one.person})" in answer, answer)

    async def says_yes(self) -> None:
        address = self.rng.choice(ADDRESSES)
        await self._says(address, "/link yes")
        one = self._typed_at(address)
        if one is not None and self.owner[address] is None:
            one.agreed = True

    async def says_no(self) -> None:
        address = self.rng.choice(ADDRESSES)
        await self._says(address, "/link no")
        one = self._typed_at(address)
        if one is not None and self.owner[address] is None:
            self._ends(one.person)

    async def confirms(self) -> None:
        person = self._somebody()
        answer = await self._writes(person, "/link confirm")
        one = self.asked.get(person)
        if one is None or one not in self._living() or not one.agreed or one.address is None:
            return
        if self.owner[one.address] is None:
            self.owner[one.address] = person
        elif "belongs to somebody already" not in answer:
            self.wrong.append(f"{person} was told of what is somebody's: {answer!r}")
        self._ends(person)

    async def takes_it_back(self) -> None:
        person = self._somebody()
        await self._writes(person, "/link no")
        self._ends(person)

    async def unlinks(self) -> None:
        person, address = self._somebody(), self.rng.choice(ADDRESSES)
        await self._writes(person, f"/unlink webhook@default:{address}")
        if self.owner[address] == person:
            self.owner[address] = None

    async def is_linked_by_an_admin(self, address: str | None = None) -> None:
        person, address = self._somebody(), address or self.rng.choice(ADDRESSES)
        try:
            await self.house.link(person, "webhook", address, "default")
        except Conflict:
            if self.owner[address] in (None, person):
                self.wrong.append(f"{address} could not be linked to {person}")
            return
        if self.owner[address] not in (None, person):
            self.wrong.append(f"{address} was taken from {self.owner[address]}")
        self.owner[address] = person

    async def is_permitted(self) -> None:
        self.chatting = not self.chatting
        words = None if self.chatting else (Permission.EMAIL,)
        if self.rng.random() < 0.5:
            await people.change(AtTheDesk(self.house).operator, UserChange(user_id="bob", permissions=words))
            return

        def quietly(connection: Connection) -> None:
            users.set_permissions(connection, UserId("bob"), words)

        await self.house.database.write(quietly)

    async def talks(self) -> None:
        """The network may take the reply late, and whose the address is may change before it does."""
        address = self.rng.choice(ADDRESSES)
        late = self.owner[address] is not None and self._let_in(address) and self.rng.random() < 0.7
        if late:
            self.house.webhook.fails(times=1)
        self.said += 1
        await self._says(address, f"{self.owner[address] or 'nobody'}-secret {self.said}")
        if late:
            owner = self.owner[address]
            match self.rng.randrange(4):
                case 0:
                    await self._writes(owner or "", f"/unlink webhook@default:{address}")
                    self.owner[address] = None
                case 1:
                    await self._writes(owner or "", f"/unlink webhook@default:{address}")
                    self.owner[address] = None
                    await self.is_linked_by_an_admin(address)
                case 2:
                    await self.is_permitted()
                case _:
                    pass
            await self.house.clock.passes(5)

    async def is_asked_late(self) -> None:
        """The question waits for its network, and the address is given to somebody before it goes."""
        address = self.rng.choice(ADDRESSES)
        one = next((one for one in self._living() if one.address in (None, address)), None)
        if one is None or self.owner[address] is not None or self._guessed(address) >= GUESSES or one.agreed:
            return
        for other in self._living():
            if other is not one and other.address == address:
                self._ends(other.person)
        self.house.webhook.fails(times=1)
        await self._says(address, f"/link {one.code}")
        if one.address is None:
            one.address, one.until = address, self._now + LIFE
        await self.is_linked_by_an_admin(address)
        await self.house.clock.passes(5)

    async def hears_a_message_twice(self) -> None:
        network = self.rng.choice((self.house.webhook, self.house.telegram, self.house.email))
        if network.said:
            await network.offers(self.rng.choice(network.said))

    async def time_passes(self) -> None:
        await self.house.clock.passes(self.rng.choice((5, 5, 60, 300, 601)))

    # --- the play's own account -------------------------------------------------------------------------------

    @property
    def _now(self) -> datetime:
        return self.house.clock.now()

    def _somebody(self) -> str:
        return self.rng.choice(tuple(FIRST))

    def _let_in(self, address: str) -> bool:
        return self.owner[address] != "bob" or self.chatting

    def _living(self) -> list[Asked]:
        return [one for one in self.asked.values() if one.until > self._now]

    def _typed_at(self, address: str) -> Asked | None:
        return next((one for one in self._living() if one.address == address), None)

    def _guessed(self, address: str) -> int:
        """How many wrong codes count that were typed there."""
        count, since = self.wrong_codes.get(address, (0, self._now))
        return 0 if self._now - since > LIFE else count

    def _ends(self, person: str) -> None:
        one = self.asked.pop(person, None)
        if one is not None:
            self.old.append(one.code)

    def _check(self, address: str, right: bool, answer: str) -> None:
        if not right:
            self.wrong.append(f"{address}, which is {self.owner[address]}, heard {answer!r}")

    async def _writes(self, person: str, text: str) -> str:
        channel, sender = FIRST[person]
        network = self.house.telegram if channel == "telegram" else self.house.email
        before = len(network.heard_by(sender))
        await network.says(sender, text)
        await self.house.idle()
        return "\n".join(network.heard_by(sender)[before:])

    async def _says(self, address: str, text: str) -> str:
        before = len(self.house.webhook.heard_by(address))
        await self.house.webhook.says(address, text)
        await self.house.idle()
        return "\n".join(self.house.webhook.heard_by(address)[before:])

    async def look(self, step: str) -> None:
        """Whose the addresses are, and what was heard since the last look."""

        def whose(connection: Connection) -> dict[str, str | None]:
            found = {
                address: users.identify(connection, Address("webhook", "default", address))
                for address in ADDRESSES
            }
            return {address: None if user is None else user.id for address, user in found.items()}

        found = await self.house.database.read(whose)
        if found != self.owner:
            self.wrong.append(f"after {step}: {found} instead of {self.owner}")
        heard = self.house.webhook.heard
        for message in heard[self.heard :]:
            address = message.route.sender_id
            for person in FIRST:
                mine = self.owner[address] == person and self._let_in(address)
                if f"{person}-secret" in message.text and not mine:
                    self.wrong.append(f"after {step}: {address} heard what is {person}'s: {message.text!r}")
            if "would join this chat" in message.text and self.owner[address] is not None:
                self.wrong.append(f"after {step}: {self.owner[address]} heard what was for a stranger")
        self.heard = len(heard)


_ACTS: tuple[tuple[Callable[[Play], Awaitable[None]], int], ...] = (
    (Play.asks_for_a_code, 3),
    (Play.types_a_code, 5),
    (Play.goes_on_guessing, 1),
    (Play.says_yes, 4),
    (Play.says_no, 1),
    (Play.confirms, 4),
    (Play.takes_it_back, 1),
    (Play.unlinks, 3),
    (Play.is_linked_by_an_admin, 1),
    (Play.is_permitted, 2),
    (Play.talks, 5),
    (Play.is_asked_late, 2),
    (Play.hears_a_message_twice, 2),
    (Play.time_passes, 3),
)


async def play(house: TestHouse, seed: int, steps: int = STEPS) -> Play:
    """Let anything happen, in an order that the seed decides; what was wrong stands in its `wrong`."""
    for person, (channel, sender) in FIRST.items():
        await house.person(person)
        await house.link(person, channel, sender)
    one = Play(house, Random(seed))
    acts, often = zip(*_ACTS, strict=True)
    for number in range(steps):
        [act] = one.rng.choices(acts, often)
        await act(one)
        await house.idle()
        await one.look(f"step {number} ({act.__name__})")
        if one.wrong:
            break
    return one
