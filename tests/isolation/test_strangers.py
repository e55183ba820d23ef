"""Whoever is nobody we know gets a code at the most: no agent, no token, nothing kept, and nobody else's place."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection, func, select

from rookery import users
from rookery.channels.contract import Outcome
from rookery.config.words import DmPolicy
from rookery.errors import InvalidInput
from rookery.gateway import inbound, pairing, rights, schema, tables
from rookery.gateway.rules import AccountRules, Rules
from rookery.ids import UserId
from rookery.messages import InboundMessage
from rookery.storage.sqlite import SqliteDatabase
from tests.isolation import senders
from tests.isolation.mistakes_pairing import MISTAKES, Mistake
from tests.isolation.strangers import trial
from tests.isolation.test_identity import KINDS, KNOWN
from tests.support.clock import Clock

SENDERS = 10_000
ACCOUNTS = ("default", "second")
BETWEEN = timedelta(minutes=25)
"""So much passes between two of them that there is always room for one more to wait."""


@pytest.mark.parametrize("channel", KINDS)
async def test_of_ten_thousand_who_ask_to_be_let_in_none_is_taken_for_somebody_else(channel: str) -> None:
    """0 wrong principals, 0 turns for a stranger, 0 words of theirs kept; who is let in is exactly who asked."""
    rng, clock = Random(f"strangers of {channel}"), Clock()
    rules = Rules(accounts={(channel, account): AccountRules(dm_policy=DmPolicy.PAIRING) for account in ACCOUNTS})
    database = SqliteDatabase(None)
    seen: Counter[str] = Counter()

    def try_all(connection: Connection) -> list[str]:
        schema.prepare(connection)
        wrong: list[str] = []
        linked: dict[tuple[str, str], str] = {}
        for person, known in KNOWN.items():
            users.add_user(connection, person, name=None, role="member", now=clock.now())
            if channel == "terminal":
                linked |= {(account, person): person for account in ACCOUNTS}
            else:
                users.link(connection, UserId(person), channel, "default", known[0], now=clock.now())
                linked["default", known[0]] = person
        for number in range(SENDERS):
            now = clock.now() + number * BETWEEN
            account, sender = rng.choice(ACCOUNTS), senders.almost(rng.choice(list(linked))[1], rng)
            try:
                message = KINDS[channel](account, sender, rng.choice(list(KNOWN)), number)
            except (InvalidInput, UnicodeEncodeError):
                seen["no message"] += 1
                continue
            expected = linked.get((account, sender))
            wrong += _tried(connection, message, rules, now, expected, seen)
            if seen["told"] and rng.random() < 0.01 and (one := _asked(connection, message, now)) is not None:
                person = rng.choice(list(KNOWN))
                users.link(connection, UserId(person), channel, account, sender, now=now)
                pairing.settle(
                    connection, one, pairing.State.APPROVED, by="operator", now=now, user_id=UserId(person)
                )
                linked[account, sender] = person
                seen["let in"] += 1
        queued = connection.execute(select(func.count()).select_from(tables.turns)).scalar_one()
        if queued != seen["somebody"]:
            wrong.append(f"{queued} turns were queued for {seen['somebody']} messages of people")
        words = connection.execute(select(tables.outbox_bodies.c.text)).scalars().all()
        wrong += [f"kept: {text}" for text in words if "hello" in text]
        return wrong

    wrong = await database.write(try_all)
    await database.close()

    assert wrong == []
    assert seen["no message"] + seen["somebody"] + seen["nobody"] == SENDERS
    assert seen["nobody"] > SENDERS // 4
    if channel == "terminal":
        assert seen["told"] == 0, "nobody asks to be let in where people are known by their user id"
    else:
        assert seen["told"] > SENDERS // 10
        assert seen["let in"] > 10


def _tried(
    connection: Connection,
    message: InboundMessage,
    rules: Rules,
    now: datetime,
    expected: str | None,
    seen: Counter[str],
) -> list[str]:
    """What was wrong about one message."""
    found = rights.identify(connection, message.route, rules)
    taken_for = None if found.user is None else found.user.id
    taken = inbound.take_in(connection, message, rules, 4000, now, inbound.NO_WISH)
    seen["nobody" if expected is None else "somebody"] += 1
    seen["told"] += len(taken.deliveries)
    right = Outcome.REFUSED if expected is None else Outcome.ACCEPTED
    if taken_for != expected or taken.receipt.outcome is not right:
        return [f"{message.route} is {expected}, was taken for {taken_for}: {taken.receipt.outcome}"]
    if taken.turns and expected is None:
        return [f"a turn for {message.route}"]
    return [f"{message.route} is told {one.route}" for one in taken.deliveries if one.route != message.route]


def _asked(connection: Connection, message: InboundMessage, now: datetime) -> pairing.Request | None:
    waiting = pairing.waiting(connection, now)
    return next((one for one in waiting if one.route == message.route), None)


@pytest.mark.parametrize("seed", range(8))
async def test_strangers_and_guests_come_to_what_is_expected_of_them(state: Path, seed: int) -> None:
    """Whatever they do, in any order: told once, let in as themselves, and not a word kept on the disk before."""
    assert await trial(state, seed) == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
async def test_a_mistake_about_strangers_is_caught(mistake: Mistake, state: Path) -> None:
    """What is silent about our gateway is not silent about one that makes this mistake."""
    with mistake.apply():
        for seed in range(20):
            if await trial(state / str(seed), seed, steps=40):
                return
    raise AssertionError("nothing was noticed")
