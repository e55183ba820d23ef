"""What happens at the end of an interleaving: two people with friends of the same names, chosen chat by chat."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from random import Random
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from rookery import users
from rookery.channels.contract import Receipt
from rookery.config.words import QueueMode
from rookery.ids import UserId
from rookery.messages import Chat, ChatKind, InboundMessage
from rookery.models.words import everything_said
from tests.isolation import canaries

if TYPE_CHECKING:
    from tests.isolation.world import World

FRIENDS = ("sabrina", "coach")
"""What both of them call their friends."""

ALONE = "zelda"
"""A friend that only the first of them has."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A chat of one person's, in which they choose who answers; it is easily taken for another."""

    person: str
    channel: str
    account: str
    thread: str | None = None


def _spots(one: str, other: str) -> list[Spot]:
    return [
        Spot(one, "telegram", "default"),
        Spot(one, "telegram", "default", "7"),
        Spot(one, "telegram", "second"),
        Spot(one, "webhook", "default"),
        Spot(other, "webhook", "other"),  # the same sender and chat there are somebody else
    ]


SENDER = "pal"


async def befriends(world: World) -> list[str]:
    """Let two people choose and talk, and say what was wrong: everything is answered before and after."""
    people = sorted(world.cast.people)
    scene = _Scene(world, people[0], people[-1])
    await scene.moves_in()
    for _ in range(3):
        await scene.plays()
    await scene.asks_for_anothers()
    await world.settle()
    return scene.judges()


class _Scene:
    def __init__(self, world: World, one: str, other: str) -> None:
        self._world = world
        self._one, self._other = one, other
        self._rng = Random(f"{one} {other} {len(world.said)}")
        self._spots = _spots(one, other)
        self._answers = {spot: spot.person for spot in self._spots}
        self._knows: dict[str, str] = {}
        self._said: dict[str, str] = {}
        self._asked = len(world.requests)
        self._heard = len(world.heard)
        self._numbers = 0
        self.wrong: list[str] = []

    async def moves_in(self) -> None:
        """Both get their friends, and addresses that nobody had."""
        world = self._world
        world.queues(QueueMode.FOLLOWUP)
        now = world.clock.now()

        def work(connection: Connection) -> None:
            for person in (self._one, self._other):
                for id in FRIENDS if person == self._other else (*FRIENDS, ALONE):
                    agent = f"{person}--{id}"
                    users.add_friend(
                        connection,
                        UserId(person),
                        id,
                        name=id.title(),
                        relation=self._canary(person, agent),
                        persona=self._canary(person, agent),
                        now=now,
                    )

        await world.database.write(work)
        for person, channel, account in (
            (self._one, "telegram", None),
            (self._one, "webhook", "default"),
            (self._other, "webhook", "other"),
        ):
            await world.link(person, channel, SENDER, account)
            world.cast.links[channel, account, SENDER] = person

    async def plays(self) -> None:
        """In every chat at once: perhaps another is chosen, and then something is said."""
        choices = {spot: self._rng.choice((None, "main", *FRIENDS)) for spot in self._spots}
        await asyncio.gather(*(self._goes_on(spot, choice) for spot, choice in choices.items()))
        await self._world.settle()

    async def _goes_on(self, spot: Spot, choice: str | None) -> None:
        await self._world.dawdle()
        if choice is not None:
            await self._says(spot, f"/talk {choice}")
            self._answers[spot] = spot.person if choice == "main" else f"{spot.person}--{choice}"
        canary = self._canary(spot.person, self._answers[spot])
        self._said[canary] = self._answers[spot]
        await self._says(spot, f"{canary} and what do you know of me?")

    async def asks_for_anothers(self) -> None:
        """The second asks for the friend that only the first has, by every name it has, at every door."""
        spot, foreign = self._spots[-1], f"{self._one}--{ALONE}"
        for name in (ALONE, foreign, "4", *([] if self._one.isdecimal() else [self._one])):
            before = len(self._world.heard)
            await self._says(spot, f"/talk {name}")
            await self._world.settle()
            told = " ".join(heard.message.text for heard in self._world.heard[before:])
            if "You have no assistant called" not in told:
                self.wrong.append(f"GRANT: {self._other} asked for {name!r} and was told {told!r}")
        client = await self._world.token(self._other)
        for path in ("/api/agents", "/v1/models"):
            shown = await client.ask("GET", path)
            if foreign in str(shown.json) and self._other not in self._world.doors.admins:
                self.wrong.append(f"LEAK: {path} shows {foreign} to {self._other}")
        asked = await client.ask(
            "POST",
            "/v1/chat/completions",
            {"model": f"rookery/{foreign}", "messages": [{"role": "user", "content": "who are you?"}]},
        )
        if asked.status != HTTPStatus.NOT_FOUND:
            self.wrong.append(f"GRANT: {foreign} answered {self._other}: {asked.status}")

    async def _says(self, spot: Spot, text: str) -> Receipt:
        self._numbers += 1
        message = InboundMessage(
            spot.channel,
            spot.account,
            f"friends-{self._numbers}",
            SENDER,
            Chat(ChatKind.DM, SENDER),
            text,
            spot.thread,
        )
        return await self._world.gateway.receive(message)

    def _canary(self, person: str, agent: str) -> str:
        """A word of this person's, that this one agent of theirs may know."""
        canary = canaries.fresh(self._rng)
        self._world.canaries[canary] = f"user:{person}"
        self._world.belongs[canary] = self._knows[canary] = agent
        return canary

    def judges(self) -> list[str]:
        """Each was answered, by who was chosen there, from that one's words alone."""
        world = self._world
        answered: set[str] = set()
        for heard in world.heard[self._heard :]:
            speaker, found = heard.message.speaker.agent_id, self._known_in(heard.message.text)
            answered |= found
            foreign = {self._knows[canary] for canary in found} - {speaker}
            if foreign:
                self.wrong.append(f"LEAK: {speaker} says words of {sorted(foreign)}")
        for canary in self._said.keys() - answered:
            self.wrong.append(f"unanswered: what was said to {self._said[canary]}")
        for request in world.requests[self._asked :]:
            texts = list(everything_said(request))
            within = {self._knows[canary] for text in texts for canary in self._known_in(text)}
            if len(within) > 1:
                self.wrong.append(f"LEAK: one prompt holds words of {sorted(within)}")
        return self.wrong

    def _known_in(self, text: str) -> set[str]:
        return canaries.found_in(text) & self._knows.keys()
