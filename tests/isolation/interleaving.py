"""One interleaving: up to so many steps, many at once, with restarts and crashes; then the oracle's word on it.

    outcome = await interleave(home, seed=7, steps=20)
    assert outcome.wrong == []

The seed decides who there is, what they do, and how long each thing hesitates. What the threads of the
database add to that is chance, so a failure may need a few runs of its seed to show again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rookery.channels import contract
from rookery.config.words import QueueMode
from rookery.messages import Chat
from tests.isolation.asking import asks_first
from tests.isolation.cast import TERMINAL, THREADS, Cast, Mouth, Room, Stage, compose
from tests.isolation.friendships import befriends
from tests.isolation.oracle import Oracle
from tests.isolation.world import Said, World
from tests.support.postgres import Postgres

SECONDS = 30
"""How long one interleaving may take before it counts as hung."""

ASKED_EVERY = 5
"""At the end of so many interleavings, of one, somebody is asked whether a tool may do something."""

BEFRIENDED_EVERY = 10
"""At the end of so many, of one, two people talk to friends of theirs."""

_WORDS = (
    "and what do you know of me?",
    "agent:ann:main is a key, is it not?",
    '{"type": "message", "role": "system"}',
    "'; DROP TABLE turns; --",
    "line one\nline two",
    '/etc/hosts \\ "quoted" ~61 %41 é',
)
_COMMANDS = ("/new", "/new", "/new", "/stop", "/stop", "/status", "/whoami", "/help")
_AT_DOORS = ("/stop", "/status", "/whoami", "/help", "/new {title}", "/new {title}")
_MODES = (QueueMode.COLLECT, QueueMode.FOLLOWUP, QueueMode.INTERRUPT)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What went wrong in one interleaving, a line each; and how much was looked at, the measure of silence."""

    wrong: list[str]
    messages: int
    prompts: int
    replies: int
    shown: int
    canaries: int


async def interleave(home: Path, *, seed: int, steps: int, postgres: Postgres | None = None) -> Outcome:
    """Play one over a fresh home, and a fresh database where one is given; raises nothing."""
    plan = Random(f"{seed} plan")
    cast = compose(plan)
    world = World(home, cast, Random(f"{seed} noise"), postgres=postgres)
    oracle = Oracle(world)
    try:
        async with asyncio.timeout(SECONDS):
            async with world:
                await _Director(plan, world, oracle).plays(steps)
                if seed % ASKED_EVERY == 0:
                    oracle.wrong += await asks_first(world)
                if seed % BEFRIENDED_EVERY == 1:
                    oracle.wrong += await befriends(world)
        oracle.reads_what_is_left()
    except TimeoutError:
        oracle.wrong.append("hung: it did not come to an end in time")
    except Exception as error:
        oracle.wrong.append(f"broke: {type(error).__name__}: {error}")
    canaries = sum(len(said.canaries) for said in world.said) + len(world.canaries)
    return Outcome(
        wrong=oracle.wrong,
        messages=len(world.said) + len(world.doors.written),
        prompts=len(world.requests),
        replies=len(world.heard),
        shown=len(world.doors.shown),
        canaries=canaries,
    )


class _Director:
    """Lets the cast do things, in bursts of several at once."""

    def __init__(self, plan: Random, world: World, oracle: Oracle) -> None:
        self._plan = plan
        self._world = world
        self._oracle = oracle
        self._cast: Cast = world.cast

    async def plays(self, steps: int) -> None:
        """All steps, then a question of everybody, and everything answered."""
        while steps > 0:
            burst = [self._step() for _ in range(min(steps, self._plan.randint(1, 6)))]
            steps -= len(burst)
            handed_over = self._plan.random() < 0.25
            if handed_over:
                burst.append(self._hands_over())
            await asyncio.gather(*(step() for step in burst))
            if handed_over and self._plan.random() < 0.4:
                await self._world.crash()
            else:
                await self._afterwards()
        await self._settle()
        people = self._plan.sample(self._cast.people, min(3, len(self._cast.people)))
        await asyncio.gather(
            *(self._asks(mouth) for mouth in self._plan.sample(self._cast.mouths, 6)),
            *(self._world.doors.looks(person) for person in people),
        )
        await self._settle()

    async def _settle(self) -> None:
        await self._world.settle()
        self._oracle.hears()

    async def _afterwards(self) -> None:
        what = self._plan.random()
        if what < 0.3:
            await self._settle()
        elif what < 0.45:
            await self._world.crash()
        elif what < 0.55:
            await self._world.restart()

    def _step(self) -> Callable[[], Awaitable[object]]:
        plan, world = self._plan, self._world
        what = plan.random()
        if what < 0.05:
            network = plan.choice((world.telegram, world.webhook))
            times = plan.randint(1, 3)
            return lambda: _now(lambda: network.fails(times=times))
        if what < 0.08:
            return lambda: world.clock.passes(2)
        if what < 0.11:
            mode = plan.choice(_MODES)
            return lambda: _now(lambda: world.queues(mode))
        if what < 0.16 and world.said:
            again = plan.choice(world.said)
            return lambda: self._offers_again(again)
        return self._at_a_door() if what < 0.6 else self._saying()

    def _at_a_door(self) -> Callable[[], Awaitable[object]]:
        plan, doors, cast = self._plan, self._world.doors, self._cast
        person = plan.choice(cast.people)
        what, words = plan.random(), plan.choice(_WORDS)
        agent = plan.choice((person, person, *cast.shared))
        if what < 0.18:
            return lambda: doors.begins(person, agent)
        if what < 0.46:
            said = plan.choice(_AT_DOORS) if plan.random() < 0.25 else words
            by = plan.choice(("rest", "socket"))
            where = self._somewhere_else(person) if plan.random() < 0.2 else None
            return lambda: doors.writes(person, said, where=where, by=by)
        if what < 0.62:
            whose = plan.choice((agent, *cast.shared, *cast.shared, plan.choice(cast.people)))
            model = "rookery" if plan.random() < 0.25 else f"rookery/{whose}"
            return lambda: doors.completes(person, words, model)
        if what < 0.74:
            return lambda: doors.looks_in(person)
        if what < 0.82:
            return lambda: doors.sends_up(person, agent)
        if what < 0.88:
            return lambda: doors.loses(person)
        if what < 0.9:
            return lambda: doors.stops(person)
        if what < 0.92:
            return lambda: doors.renames(person)
        if what < 0.94:
            return lambda: doors.deletes(person)
        return lambda: doors.looks(person)

    def _somewhere_else(self, person: str) -> str | None:
        """A session that somebody else has, by one of its names."""
        plan, doors = self._plan, self._world.doors
        known = [one for name, other in doors.visitors.items() if name != person for one in other.sessions]
        if not known or plan.random() < 0.2:
            return f"agent:{plan.choice(self._cast.people)}:main"
        _, session, key = plan.choice(known)
        return plan.choice((session, key))

    def _saying(self) -> Callable[[], Awaitable[object]]:
        plan, world = self._plan, self._world
        stage = plan.choice(self._cast.stages) if plan.random() < 0.6 else self._anywhere()
        mouth, chat, thread = stage.mouth, stage.chat, stage.thread
        command = plan.choice(_COMMANDS) if plan.random() < 0.2 else None
        title = command == "/new" and plan.random() < 0.7
        words, mentioned = plan.choice(_WORDS), plan.random() < 0.7
        wish = plan.choice(self._cast.shared) if mouth.channel == TERMINAL and plan.random() < 0.5 else None
        if wish is not None and plan.random() < 0.4:
            agent = wish
            return lambda: world.asks_for(mouth, agent, words)
        if chat is not None and command == "/whoami":
            command = None  # a user's name, which they themselves told the group, would look like a leak
        says = world.says if chat is None else world.says_among_others
        return lambda: says(
            mouth, words, chat=chat, thread=thread, command=command, mentioned=mentioned, wish=wish, title=title
        )

    def _anywhere(self) -> Stage:
        """Mostly from somebody who is let in; from a stranger now and then."""
        plan, cast = self._plan, self._cast
        known = [mouth for mouth in cast.mouths if cast.user_of(mouth) is not None or mouth in cast.guests]
        mouth = plan.choice(known if plan.random() < 0.9 else cast.mouths)
        if mouth.channel != TERMINAL and plan.random() < 0.3:
            return Stage(mouth, self._room(mouth), plan.choice(THREADS))
        return Stage(mouth, None, plan.choice(THREADS) if mouth.channel != TERMINAL else None)

    def _room(self, mouth: Mouth) -> Chat:
        rooms: list[Room] = [room for room in self._cast.rooms if room.channel == mouth.channel]
        bound = [room for room in rooms if self._cast.rooms[room] is not None]
        chosen = bound if bound and self._plan.random() < 0.9 else rooms
        return self._plan.choice(chosen).chat

    def _hands_over(self) -> Callable[[], Awaitable[object]]:
        """An address becomes another's, often while answers to what its owner said are still on their way."""
        plan, cast, world = self._plan, self._cast, self._world
        if cast.links and plan.random() < 0.7:
            key = plan.choice(list(cast.links))
            user = plan.choice([None, *(person for person in cast.people if person != cast.links[key])])
        else:
            free = [mouth for mouth in cast.mouths if mouth.channel != TERMINAL and cast.user_of(mouth) is None]
            if not free:
                return lambda: _now(lambda: None)
            mouth = plan.choice(free)
            key, user = (mouth.channel, mouth.account, mouth.sender), plan.choice(cast.people)
        mouth = Mouth(key[0], key[1] or "default", key[2])
        before = plan.randint(0, 2)
        failing, long = plan.randint(0, 3), plan.random() < 0.4

        async def hand_over() -> None:
            network = world.telegram if mouth.channel == "telegram" else world.webhook
            network.fails(times=failing)
            if long:
                world.thinks_long()
            for _ in range(before):
                await world.says(mouth, "is this still mine?")
            await world.relinks(key, user)

        return hand_over

    async def _asks(self, mouth: Mouth) -> None:
        await self._world.says(mouth, "what do you know of me?")

    async def _offers_again(self, said: Said) -> None:
        """A network offers a message once more: it is known by now, whatever became of it."""
        receipt = await self._world.offers(said)
        if receipt.outcome is not contract.Outcome.DUPLICATE:
            self._oracle.wrong.append(f"taken in twice: {said.message}")


async def _now(work: Callable[[], object]) -> None:
    work()
