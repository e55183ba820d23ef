"""Addresses are joined to people, and taken off, in any order: whose each is stays what both sides said."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config.words import DmPolicy
from rookery.errors import InvalidInput
from rookery.gateway import codes, inbound, linking, schema
from rookery.gateway.inbound import NO_WISH
from rookery.gateway.linking import State
from rookery.gateway.rules import AccountRules, Rules
from rookery.ids import UserId
from rookery.messages import Chat, ChatKind, InboundMessage, Route
from rookery.storage.sqlite import SqliteDatabase
from tests.isolation import senders
from tests.isolation.join_mistakes import MISTAKES
from tests.isolation.joining import play
from tests.isolation.mistakes import Mistake
from tests.isolation.trials import in_memory
from tests.support.clock import Clock
from tests.support.databases import fresh_database
from tests.support.house import TestHouse

PLAYS = {"sqlite": 12, "postgresql": 3}
TRIES = 60
SENDERS = 10_000


async def wrong_in(seed: int, database: str = "sqlite") -> Sequence[str]:
    """What is wrong at the end of one play."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=in_memory())))
        postgres = stack.enter_context(fresh_database()) if database == "postgresql" else None
        async with TestHouse(home, postgres=postgres) as house:
            return (await play(house, seed)).wrong


@pytest.mark.parametrize("database", PLAYS)
async def test_an_address_is_whose_both_sides_said_and_nobody_elses(database: str) -> None:
    """Codes right, wrong, late and typed elsewhere, yes and no on both sides, unlinking, an admin in between, all
    of it offered twice: never joined without both, never twice, never somebody's; nothing heard by another."""
    assert [wrong for seed in range(PLAYS[database]) for wrong in await wrong_in(seed, database)] == []


async def test_of_ten_thousand_who_type_codes_none_becomes_somebody_by_it() -> None:
    """Senders who resemble known ones type codes that are right, almost right or wrong, and say yes: who is who
    stays as it was, but for an address that typed the right code, said yes, and that Alice confirmed."""
    rng, clock = Random("codes"), Clock()
    rules = Rules(accounts={("telegram", "default"): AccountRules(dm_policy=DmPolicy.ALLOWLIST)})
    owners = {"1234": "alice", "Al:ice": "alice", "123": "bob", "é": "bob"}
    database = SqliteDatabase(None)
    seen: Counter[str] = Counter()

    def look(connection: Connection) -> dict[str, str]:
        return {one.sender: str(one.user_id) for one in users.list_identities(connection)}

    def say(connection: Connection, sender: str, text: str) -> Outcome | None:
        seen["messages"] += 1
        try:
            message = InboundMessage(
                "telegram", "default", str(seen.total()), sender, Chat(ChatKind.DM, sender), text
            )
        except InvalidInput:
            return None
        return inbound.take_in(connection, message, rules, 4000, clock.now(), NO_WISH).receipt.outcome

    def people_move_in(connection: Connection) -> None:
        schema.prepare(connection)
        for person in ("alice", "bob"):
            users.add_user(connection, person, name=None, role="member", now=clock.now())
        for sender, person in owners.items():
            users.link(connection, UserId(person), "telegram", None, sender, now=clock.now())

    def try_some(connection: Connection) -> None:
        """A code, and fifty who type at it."""
        page = Route("webchat", "default", Chat(ChatKind.DM, "alice"), None, "alice", "m")
        code = linking.begin(connection, UserId("alice"), page, clock.now()).code
        for _ in range(50):
            sender = senders.almost(rng.choice(list(owners)), rng)
            typed = rng.choice((codes.spoken(code), senders.almost(code, rng), codes.spoken(codes.fresh())))
            outcome = say(connection, sender, f"/link {typed}")
            seen["known" if sender in owners else "taken" if outcome is Outcome.ACCEPTED else "refused"] += 1
            if rng.random() < 0.2:
                say(connection, sender, "/link yes")
        asked = linking.of_user(connection, UserId("alice"), clock.now())
        if asked is None or asked.state is not State.AGREED:
            return
        assert asked.address.sender not in owners
        if rng.random() < 0.5:
            seen["joined"] += 1
            assert linking.join(connection, asked, clock.now()) is not None
            owners[asked.address.sender] = "alice"

    await database.write(people_move_in)
    for _ in range(SENDERS // 50):
        await database.write(try_some)
        assert await database.read(look) == owners
        await clock.passes(601)
    await database.close()
    assert min(seen["known"], seen["taken"], seen["refused"]) > SENDERS // 20, seen
    assert seen["joined"] > 3, seen


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
async def test_a_seeded_mistake_is_caught(mistake: Mistake) -> None:
    """A gateway that makes this mistake does not pass."""
    with mistake.apply():
        for seed in (mistake.shown_by, *range(TRIES)):
            if await wrong_in(seed):
                return
    pytest.fail("nothing was noticed")
