"""Strangers who ask to be let in, guests with a limit, and an independent account of what becomes of each.

What is expected is kept in plain dictionaries, by the exact address; the gateway is only asked what it did.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from random import Random

from sqlalchemy import select

from rookery.channels.contract import Outcome
from rookery.channels.loopback import LoopbackNetwork
from rookery.config.words import DmPolicy
from rookery.errors import RookeryError
from rookery.gateway.operations import pairings
from rookery.gateway.shapes import PairingApprove, PairingReject
from rookery.messages import InboundMessage
from rookery.users import tables
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

PEOPLE = ("alice", "bob")
SENDERS = ("9", "99", "09", "alice", "Alice")
"""Strangers who are called almost like each other, and like people of the house."""

GUESTS = ("g", "G")
LIMIT = 2
HOUR = timedelta(hours=1)

Mouth = tuple[str, str, str]
"""Network, our account there, sender."""

_CODE = re.compile(r"\b[A-Z2-9]{4}-[A-Z2-9]{4}\b")


@dataclass
class Trial:
    """One house, its strangers and what is expected of it."""

    house: TestHouse
    rng: Random
    wrong: list[str] = field(default_factory=list[str])
    linked: dict[Mouth, str] = field(default_factory=dict[Mouth, str])
    codes: dict[Mouth, tuple[str, datetime, bool]] = field(default_factory=dict[Mouth, tuple[str, datetime, bool]])
    """The code each was told, when it ends, and whether it was rejected."""
    guests: Counter[str] = field(default_factory=Counter[str])
    told: set[str] = field(default_factory=set[str])
    day: date | None = None
    unheard: list[str] = field(default_factory=list[str])
    """What was said by whoever was not let in."""
    _words: int = 0

    async def run(self, steps: int) -> list[str]:
        """So many things happen, one after another; what was wrong."""
        for person in PEOPLE:
            await self.house.person(person)
        await self.house.shared_agent("desk", sponsor="alice", channel="email")
        self.house.rule(guest_limits={"desk": LIMIT})
        self.house.account_rule("email", dm_policy=DmPolicy.OPEN)
        for network in (self.house.telegram, self.house.webhook):
            for account in network.accounts:
                self.house.account_rule(network.name, account, dm_policy=DmPolicy.PAIRING)
        ways = (
            *(self._says,) * 5,
            self._again,
            self._approve,
            self._reject,
            self._guest,
            self._pass,
        )
        for step in range(steps):
            await self.rng.choice(ways)()
            await self.house.idle()
            if self.wrong:
                return [f"step {step}: {one}" for one in self.wrong]
        await self._look()
        return self.wrong

    # --- what happens ----------------------------------------------------------------------------------------

    async def _says(self) -> None:
        network = self.rng.choice((self.house.telegram, self.house.telegram, self.house.webhook))
        account = self.rng.choice((network.accounts[0], *network.accounts))
        mouth = (network.name, account, self.rng.choice(SENDERS))
        word, before = self._word(), self._heard(mouth)
        waiting = len([one for one in self.codes if one[:2] == mouth[:2] and self._waits(one)])
        living = mouth in self.codes and self._now < self.codes[mouth][1]
        receipt = await network.says(mouth[2], word, account=mouth[1])
        await self.house.idle()
        heard = self._heard(mouth)[len(before) :]
        if mouth in self.linked:
            if receipt.outcome is not Outcome.ACCEPTED or len(heard) != 1:
                self.wrong.append(f"{mouth} is {self.linked[mouth]}: {receipt.outcome}, heard {heard}")
            return
        self.unheard.append(word)
        found = [code for text in heard for code in _CODE.findall(text)]
        expected = 0 if living or waiting >= 3 else 1
        if receipt.outcome is not Outcome.REFUSED or len(heard) != expected or len(found) != expected:
            self.wrong.append(f"{mouth} is a stranger: {receipt.outcome}, heard {heard}, expected {expected}")
        if found:
            self.codes[mouth] = (found[0], self._now + HOUR, False)

    async def _again(self) -> None:
        network = self.rng.choice((self.house.telegram, self.house.webhook))
        if not network.said:
            return
        message: InboundMessage = self.rng.choice(network.said)
        sent = len(network.attempts)
        receipt = await network.offers(message)
        await self.house.idle()
        if receipt.outcome is not Outcome.DUPLICATE or len(network.attempts) != sent:
            self.wrong.append(f"a message that came twice: {receipt.outcome}, {len(network.attempts) - sent} sent")

    async def _approve(self) -> None:
        waiting = [mouth for mouth in self.codes if self._waits(mouth)]
        over = [mouth for mouth in self.codes if not self._waits(mouth) and mouth not in self.linked]
        if not waiting and not over:
            return
        mouth = self.rng.choice(waiting or over)
        person = self.rng.choice(PEOPLE)
        ask = PairingApprove(code=self.codes[mouth][0], user_id=person)
        try:
            await pairings.approve(AtTheDesk(self.house).operator, ask)
        except RookeryError as error:
            if waiting:
                self.wrong.append(f"{mouth} could not be let in: {error}")
            return
        if not waiting:
            self.wrong.append(f"{mouth} was let in by a code that was over")
        del self.codes[mouth]
        self.linked[mouth] = person

    async def _reject(self) -> None:
        waiting = [mouth for mouth in self.codes if self._waits(mouth)]
        if waiting:
            mouth = self.rng.choice(waiting)
            code, until, _ = self.codes[mouth]
            await pairings.reject(AtTheDesk(self.house).operator, PairingReject(code=code))
            self.codes[mouth] = (code, until, True)

    async def _guest(self) -> None:
        guest, word = self.rng.choice(GUESTS), self._word()
        if self.day != self._now.date():
            self.day = self._now.date()
            self.guests.clear()
            self.told.clear()
        before = len(self.house.email.heard_by(guest))
        receipt = await self.house.email.says(guest, word)
        await self.house.idle()
        heard = len(self.house.email.heard_by(guest)) - before
        self.guests[guest] += 1
        allowed = self.guests[guest] <= LIMIT
        expected = 1 if allowed or guest not in self.told else 0
        if not allowed:
            self.told.add(guest)
            self.unheard.append(word)
        if (receipt.outcome is Outcome.ACCEPTED) is not allowed or heard != expected:
            self.wrong.append(f"guest {guest}, message {self.guests[guest]}: {receipt.outcome}, heard {heard}")

    async def _pass(self) -> None:
        await self.house.clock.passes(self.rng.choice((60, 1500, 3600, 12 * 3600)))

    # --- what is there ---------------------------------------------------------------------------------------

    async def _look(self) -> None:
        rows = await self.house.database.read(
            lambda connection: connection.execute(select(tables.identities)).all()
        )
        there = {(row.channel, row.account, row.sender): row.user_id for row in rows}
        if there != self.linked:
            self.wrong.append(f"linked are {there}, let in were {self.linked}")
        asked = str(self.house.model.requests)
        _ = self.house.log_text  # which is on the disk then
        kept = b"".join(path.read_bytes() for path in _files(self.house.home))
        for word in self.unheard:
            if word in asked:
                self.wrong.append(f"a model was asked with {word}")
            if word.encode() in kept:
                self.wrong.append(f"{word} was kept")

    @property
    def _now(self) -> datetime:
        return self.house.clock.now()

    def _waits(self, mouth: Mouth) -> bool:
        _, until, rejected = self.codes[mouth]
        return self._now < until and not rejected and mouth not in self.linked

    def _word(self) -> str:
        self._words += 1
        return f"word-{self._words:04}-{self.rng.getrandbits(32):08x}"

    def _heard(self, mouth: Mouth) -> list[str]:
        network: LoopbackNetwork = getattr(self.house, mouth[0])
        return [one.text for one in network.heard if (one.route.account, one.route.sender_id) == mouth[1:]]


def _files(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


async def trial(home: Path, seed: int, steps: int = 25) -> list[str]:
    """What was wrong in the trial of this seed."""
    async with TestHouse(home) as house:
        return await Trial(house, Random(f"strangers {seed}")).run(steps)
