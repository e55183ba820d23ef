"""A person is the exact id their network gives them, on the account it was linked on, and nothing like it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from sqlalchemy import Connection, func, select

from rookery import users
from rookery.channels.contract import Outcome
from rookery.channels.webhook import translate
from rookery.config.words import DmPolicy, GroupPolicy
from rookery.errors import InvalidInput
from rookery.gateway import inbound, rights, schema, tables
from rookery.gateway.rules import AccountRules, Rules
from rookery.ids import UserId
from rookery.messages import Chat, ChatKind, InboundMessage
from rookery.storage.sqlite import SqliteDatabase
from tests.isolation import senders
from tests.support.clock import Clock
from tests.support.house import TestHouse

SENDERS = 10_000
ACCOUNTS = ("default", "second")
KNOWN = {
    "alice": ("1234", "Al:ice", "é"),
    "bob": ("123", "al:ice", "e\u0301"),
    "Eve2": ("01234", "x@example.org", "ＡＢ"),
}

Translate = Callable[[str, str, str, int], InboundMessage]


def _plain(channel: str) -> Translate:
    def translated(account: str, sender: str, name: str, number: int) -> InboundMessage:
        chat = Chat(ChatKind.DM, sender)
        return InboundMessage(channel, account, str(number), sender, chat, "hello", sender_name=name)

    return translated


def _webhook(account: str, sender: str, name: str, number: int) -> InboundMessage:
    said = {"messageId": str(number), "senderId": sender, "senderName": name, "text": "hello"}
    body = translate.msgspec.json.encode({**said, "chat": {"kind": "dm", "id": sender}})
    return translate.inbound(account, body)


KINDS: dict[str, Translate] = {
    "telegram": _plain("telegram"),
    "webhook": _webhook,
    "terminal": _plain("terminal"),
}


@pytest.mark.parametrize("channel", KINDS)
async def test_of_ten_thousand_who_resemble_somebody_none_is_taken_for_them(channel: str) -> None:
    """Renamed, confusable, longer, shorter, empty, other case, with spaces or unseen marks: 0 wrong principals.

    Who is nobody we know is refused, and nothing is queued for a model.
    """
    rng, clock = Random(f"senders of {channel}"), Clock()
    policy = AccountRules(dm_policy=DmPolicy.ALLOWLIST, group_policy=GroupPolicy.ALLOWLIST)
    rules = Rules(accounts={(channel, account): policy for account in ACCOUNTS})
    database = SqliteDatabase(None)
    linked = await database.write(lambda connection: _linked(connection, channel, clock))
    seen: Counter[str] = Counter()

    def try_all(connection: Connection) -> list[str]:
        wrong: list[str] = []
        for number in range(SENDERS):
            known = rng.choice([sender for _, sender in linked])
            account, sender = rng.choice(ACCOUNTS), senders.almost(known, rng)
            name = rng.choice(list(KNOWN))  # a display name is whatever somebody writes there
            expected = linked.get(("" if channel == "terminal" else account, sender))
            try:
                message = KINDS[channel](account, sender, name, number)
            except (InvalidInput, UnicodeEncodeError):
                seen["no message"] += 1
                if expected is not None:
                    wrong.append(f"{sender!r} is {expected}, and could not write")
                continue
            found = rights.identify(connection, message.route, rules)
            taken_for = None if found.user is None else found.user.id
            outcome = inbound.take_in(
                connection, message, rules, 4000, clock.now(), inbound.NO_WISH
            ).receipt.outcome
            right = Outcome.REFUSED if expected is None else Outcome.ACCEPTED
            if taken_for != expected or outcome is not right or bool(found.admitted) is (expected is None):
                wrong.append(f"{sender!r} on {account} is {expected}, was taken for {taken_for}: {outcome}")
            seen["somebody" if expected else "nobody"] += 1
        queued = connection.execute(select(func.count()).select_from(tables.turns)).scalar_one()
        if queued != seen["somebody"]:
            wrong.append(f"{queued} turns were queued for {seen['somebody']} people")
        return wrong

    wrong = await database.write(try_all)
    await database.close()

    assert wrong == []
    assert seen.total() == SENDERS
    assert min(seen["no message"], seen["somebody"]) > SENDERS // 100, "the senders tried have to be of all sorts"
    assert seen["nobody"] > SENDERS // 2


async def test_a_stranger_costs_nothing(house: TestHouse) -> None:
    """The whole way, on a running gateway: no model is asked, nobody is answered, no word is kept."""
    rng = Random("strangers")
    for person, known in KNOWN.items():
        await house.person(person, telegram=known[0])
    known = [ids[0] for ids in KNOWN.values()]
    for _ in range(200):
        sender = senders.almost(rng.choice(known), rng)
        if sender in known:
            continue
        try:
            receipt = await house.telegram.says(sender, "stranger-secret")
        except InvalidInput:
            continue
        assert receipt.outcome is Outcome.REFUSED
    await house.idle()

    assert house.model.requests == []
    assert house.telegram.attempts == []
    assert "stranger-secret" not in house.log_text


def _linked(connection: Connection, channel: str, clock: Clock) -> dict[tuple[str, str], str]:
    """Who is who, by account and sender: what is linked on one account is nobody on the other."""
    schema.prepare(connection)
    now = clock.now()
    linked: dict[tuple[str, str], str] = {}
    for person, known in KNOWN.items():
        users.add_user(connection, person, name=None, role="member", now=now)
        if channel == "terminal":
            linked["", person] = person
            continue
        for number, sender in enumerate(known):
            everywhere = channel == "telegram" and number == 0
            account = None if everywhere else ACCOUNTS[number % 2]
            users.link(connection, UserId(person), channel, account, sender, now=now)
            linked |= {(one, sender): person for one in (ACCOUNTS if everywhere else (ACCOUNTS[number % 2],))}
    return linked
