"""Tools that ask first, through the whole gateway: who is asked, who may answer, and what that is good for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from rookery.agents import Verdict, words
from rookery.channels.contract import Outcome
from rookery.errors import Conflict, NotFound, Refused
from rookery.gateway import approvals as rows
from rookery.gateway import rights, tables
from rookery.gateway.bind import Binding
from rookery.gateway.capacity import Limits
from rookery.gateway.inbound import Wish
from rookery.gateway.operations import approvals, turns
from rookery.gateway.operations.desk import Desk
from rookery.gateway.shapes import ApprovalAnswer, SessionRef, Turn, TurnNamed
from rookery.gateway.watchers import Event, TurnApproval, Where
from rookery.ids import AgentId, TurnId
from rookery.messages import ChatKind, MessageEntry, Part, Role, ToolCallPart, text_of
from rookery.models import ModelRequest, ToolSpec
from rookery.models.scripted import ScriptedModel, Step
from rookery.policy import Action, Actor, AgentResource, Decision
from rookery.tools import ToolContext
from rookery.users import tables as user_tables
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

MINUTES = 30


class Pay:
    """A tool with effects that asks first."""

    spec = ToolSpec("pay", "Pays somebody.", {"type": "object"})
    effects = True

    def __init__(self) -> None:
        self.paid: list[dict[str, Any]] = []
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()

    def approval(self, arguments: dict[str, Any], context: ToolContext) -> str | None:
        """What it would do."""
        del context
        return f"Pay {arguments['to']} {arguments['amount']} euros."

    async def call(self, arguments: dict[str, Any], context: ToolContext) -> str:
        """Note it down."""
        del context
        self.paid.append(arguments)
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return "paid"


def pay(to: str = "Bob", amount: int = 5, id: str = "c1") -> ToolCallPart:
    return ToolCallPart(id, "pay", {"to": to, "amount": amount})


class Paying:
    """A house in which Alice's assistant can pay."""

    def __init__(self, house: TestHouse) -> None:
        self.house = house
        self.tool = Pay()

    async def begins(self, *script: Any) -> None:
        """Let everybody be there, with a model that does so."""
        self.house.model = ScriptedModel(script)
        self.house.tools.append(self.tool)
        await self.house.restart()
        await self.house.person("alice", telegram="a1", email="alice@example.org")
        await self.house.person("bob", telegram="b1")

    async def asks(self, text: str = "pay Bob", sender: str = "a1", *, asked: int = 1, **how: Any) -> str:
        """Somebody says it, and is asked; the turn that waits."""
        receipt = await self.house.telegram.says(sender, text, **how)
        assert receipt.turn_id is not None
        await self.until(asked)
        return receipt.turn_id

    async def until(self, asked: int) -> None:
        """Wait until so many questions were kept, and the last of them was sent."""
        async with asyncio.timeout(10):
            while await self._sent() < asked:
                await asyncio.sleep(0.002)

    async def _sent(self) -> int:
        """How many questions went out, and are marked as sent."""
        outbox = tables.outbox.c
        query = select(outbox.delivery_id).where(outbox.delivery_id.like("%.ask%"), outbox.ended_at.is_not(None))
        return await self.house.database.read(lambda connection: len(connection.execute(query).all()))

    async def rows(self) -> list[Any]:
        """What is kept of the questions."""
        query = select(tables.approvals).order_by(tables.approvals.c.asked_at, tables.approvals.c.n)
        return await self.house.database.read(lambda connection: list(connection.execute(query)))

    @property
    async def states(self) -> list[str]:
        """How it stands with each."""
        return [row.state for row in await self.rows()]

    async def enables(self, user_id: str, *, enabled: bool) -> None:
        """Let a person in, or keep them out."""
        change = update(user_tables.users).where(user_tables.users.c.id == user_id).values(enabled=enabled)
        await self.house.database.write(lambda connection: connection.execute(change))

    def desk(self, user_id: str, *, admin: bool = False) -> Desk:
        return AtTheDesk(self.house).by(user_id, admin=admin)

    async def answers(self, user_id: str, turn_id: str, n: int, *, allow: bool = True, admin: bool = False) -> str:
        """Answer by the API."""
        ask = ApprovalAnswer(turn_id=turn_id, n=n, allow=allow)
        return (await approvals.answer(self.desk(user_id, admin=admin), ask)).state

    async def turn(self, turn_id: str, user_id: str = "alice") -> Turn:
        """How a turn stands."""
        return await turns.state(self.desk(user_id), TurnNamed(turn_id=turn_id))

    async def result(self, agent: str = "alice") -> tuple[str, bool]:
        """What the model was told of the last call, and whether its outcome is unknown."""
        sessions = await self.house.sessions(agent)
        entries = await self.house.entries(agent, sessions[0].session_id)
        told = [entry for entry in entries if entry.role is Role.TOOL_RESULT]
        return text_of(told[-1]), told[-1].outcome_unknown

    def heard(self, sender: str = "a1") -> list[str]:
        return self.house.telegram.heard_by(sender)


@pytest.fixture
async def paying(tmp_path: Path) -> AsyncGenerator[Paying]:
    """On the embedded database."""
    async with TestHouse(tmp_path) as house:
        yield Paying(house)


@pytest.fixture
def anywhere(house: TestHouse) -> Paying:
    """On both databases."""
    return Paying(house)


# --- being asked, and answering ------------------------------------------------------------------------------


async def test_a_person_is_asked_in_the_chat_and_says_yes(anywhere: Paying) -> None:
    """What would be done is said in words, nothing is done before, and the reply follows the yes."""
    await anywhere.begins(pay(), "It is paid.")
    turn_id = await anywhere.asks()
    [question] = anywhere.heard()
    assert "Pay Bob 5 euros." in question
    assert "/approve 1" in question
    assert anywhere.tool.paid == []
    assert (await anywhere.turn(turn_id)).status == "waiting"

    await anywhere.house.telegram.says("a1", "/approve 1")
    await anywhere.house.idle()
    assert anywhere.heard()[1:] == ["Number 1 is allowed, this once.", "It is paid."]
    assert anywhere.tool.paid == [{"to": "Bob", "amount": 5}]
    assert await anywhere.states == ["used"]
    [row] = await anywhere.rows()
    assert (row.answered_by, row.tool) == ("user:alice", "pay")
    assert (await anywhere.turn(turn_id)).status == "done"


async def test_a_person_says_no(paying: Paying) -> None:
    """The model is told so and goes on."""
    await paying.begins(pay(), "As you wish.")
    await paying.asks()
    await paying.house.telegram.says("a1", "/deny")
    await paying.house.idle()
    assert paying.heard()[-1] == "As you wish."
    assert await paying.result() == (words.DENIED, False)
    assert (paying.tool.paid, await paying.states) == ([], ["denied"])


async def test_it_is_answered_by_the_api_too(paying: Paying) -> None:
    """The turn says what it waits for, with the exact arguments; whoever watches is told of both."""
    await paying.begins(pay(), "It is paid.")
    told: list[TurnApproval] = []

    def hear(where: Where, event: Event) -> None:
        assert where.user_id == "alice"
        if isinstance(event, TurnApproval):
            told.append(event)

    with paying.house.gateway.watchers.listen(hear):
        turn_id = await paying.asks()
        [waiting] = (await paying.turn(turn_id)).approvals
        assert (waiting.n, waiting.tool, waiting.words) == (1, "pay", "Pay Bob 5 euros.")
        assert waiting.arguments == {"to": "Bob", "amount": 5}
        assert waiting.expires_at - waiting.asked_at == timedelta(minutes=MINUTES)

        assert await paying.answers("alice", turn_id, 1) == "allowed"
        await paying.house.idle()
    assert [(event.n, event.state, event.words) for event in told] == [
        (1, "asked", "Pay Bob 5 euros."),
        (1, "allowed", "Pay Bob 5 euros."),
    ]
    turn = await paying.turn(turn_id)
    assert (turn.status, turn.approvals, turn.reply) == ("done", (), "It is paid.")


async def test_nobody_answers(anywhere: Paying) -> None:
    """After half an hour the model is told so, and an answer that comes later changes nothing."""
    await anywhere.begins(pay(), "Another time, then.")
    turn_id = await anywhere.asks()
    await anywhere.house.clock.passes(MINUTES * 60 - 1)
    assert anywhere.tool.paid == []
    assert (await anywhere.turn(turn_id)).status == "waiting"
    await anywhere.house.clock.passes(2)
    await anywhere.house.idle()
    assert await anywhere.result() == (words.UNANSWERED, False)
    assert await anywhere.states == ["expired"]

    await anywhere.house.telegram.says("a1", "/approve 1")
    await anywhere.house.idle()
    assert anywhere.heard()[-1] == "Nothing waits for your yes here."
    with pytest.raises(Conflict):
        await anywhere.answers("alice", turn_id, 1)
    assert anywhere.tool.paid == []


async def test_a_stop_ends_the_waiting(paying: Paying) -> None:
    """The question is void, whoever answers it later."""
    await paying.begins(pay())
    turn_id = await paying.asks()
    await paying.house.telegram.says("a1", "/stop")
    await paying.house.idle()
    assert (await paying.turn(turn_id)).status == "cancelled"
    with pytest.raises(Conflict):
        await paying.answers("alice", turn_id, 1)
    await paying.house.telegram.says("a1", "/approve")
    await paying.house.idle()
    assert paying.heard()[-1] == "Nothing waits for your yes here."
    assert paying.tool.paid == []


async def test_who_waits_holds_up_nobody(paying: Paying) -> None:
    """No model slot is held, another session of hers and another person are answered; what she writes besides in
    the same conversation is read after that."""
    paying.house.limits = {"capacity": Limits(total=1, per_person=1)}
    await paying.begins(pay(), "for mail", "for Bob", "It is paid.", "for later")
    await paying.asks()
    await paying.house.telegram.says("a1", "and another thing")
    wish = Wish(AgentId("alice"), "chat:elsewhere")
    await paying.house.receive("email", "alice@example.org", "hello", wish)
    await paying.house.gateway.outbox.idle()
    await paying.house.email.hears("alice@example.org", 1)
    await paying.house.telegram.says("b1", "hello")
    await paying.house.telegram.hears("b1", 1)
    assert len(paying.heard()) == 1

    await paying.house.telegram.says("a1", "/approve")
    await paying.house.idle()
    assert paying.heard()[2:] == ["It is paid.", "for later"]


async def test_the_gateway_stops_at_once_while_somebody_is_asked(paying: Paying) -> None:
    """A turn that waits for a person is not waited for: it goes on waiting after the next start."""
    await paying.begins(pay(), "It is paid.")
    turn_id = await paying.asks()
    async with asyncio.timeout(5):
        await paying.house.close(grace=3600)
    paying.house.model = ScriptedModel(["It is paid."])
    await paying.house.open()
    await _waits_again(paying, turn_id)
    assert len(paying.heard()) == 1, "asked once"
    await paying.house.telegram.says("a1", "/approve")
    await paying.house.idle()
    assert (len(paying.tool.paid), paying.heard()[-1]) == (1, "It is paid.")


async def _waits_again(paying: Paying, turn_id: str) -> None:
    async with asyncio.timeout(10):
        while not (await paying.turn(turn_id)).approvals:
            await asyncio.sleep(0.002)


async def test_what_was_asked_is_kept_for_thirty_days(anywhere: Paying) -> None:
    """After that the rows go, but for the last: no number that was given comes again. What waits stays."""
    await anywhere.begins(pay(), "Paid.", pay(), "Paid.", pay(), "Well.", pay(), "Hello.")
    for number in (1, 2):
        turn_id = await anywhere.asks(f"pay {number}", asked=number)
        await anywhere.answers("alice", turn_id, number)
        await anywhere.house.idle()
    await anywhere.asks("pay", "b1", asked=3)
    await anywhere.house.telegram.says("b1", "/deny")
    await anywhere.house.idle()

    def numbers(rows: list[Any]) -> set[tuple[str, int]]:
        return {(row.agent_id, row.n) for row in rows}

    await _maintained_after(anywhere, timedelta(days=29))
    assert numbers(await anywhere.rows()) == {("alice", 1), ("alice", 2), ("bob", 1)}
    await _maintained_after(anywhere, timedelta(days=1))
    assert numbers(await anywhere.rows()) == {("alice", 2), ("bob", 1)}

    await anywhere.asks("pay once more", asked=4)
    assert "/approve 3" in anywhere.heard()[-1]
    await _maintained_after(anywhere, timedelta(0))
    assert numbers(await anywhere.rows()) == {("alice", 3), ("bob", 1)}


async def _maintained_after(paying: Paying, time: timedelta) -> None:
    """Let time pass, and maintenance come by once after it."""
    every = timedelta(hours=6).total_seconds()
    for seconds in (time.total_seconds(), every):
        await paying.house.clock.passes(seconds)
        async with asyncio.timeout(10):
            while not any(MINUTES * 60 < left <= every for left in paying.house.clock.waited_for):
                await asyncio.sleep(0.002)


# --- crashes -------------------------------------------------------------------------------------------------


async def test_asked_before_a_crash_is_asked_after_it(anywhere: Paying) -> None:
    """The person is not asked twice, and their answer counts."""
    await anywhere.begins(pay(), "It is paid.")
    turn_id = await anywhere.asks()
    await anywhere.house.crash()
    await _waits_again(anywhere, turn_id)
    await anywhere.answers("alice", turn_id, 1)
    await anywhere.house.idle()
    assert (anywhere.heard()[1:], len(anywhere.tool.paid)) == (["It is paid."], 1)


async def test_expired_while_the_gateway_was_down(paying: Paying) -> None:
    """The time goes on without us."""
    await paying.begins(pay(), "Another time, then.")
    await paying.asks()
    await paying.house.kill()
    await paying.house.clock.passes(MINUTES * 60 + 1)
    await paying.house.open()
    await paying.house.idle()
    assert (paying.heard()[1:], await paying.states) == (["Another time, then."], ["expired"])


@pytest.mark.parametrize(("state", "paid", "unknown"), [("allowed", 1, False), ("used", 0, True)])
async def test_answered_before_a_crash(paying: Paying, state: str, paid: int, unknown: bool) -> None:
    """The answer, or that the call begins, was committed, and the gateway died before anything came of it.

    Allowed and not used: it is done. Used and without a result: its outcome is unknown, and it is not repeated.
    """
    await paying.begins(pay(), "Well.")
    await paying.asks()
    table = tables.approvals
    await paying.house.database.write(lambda connection: connection.execute(update(table).values(state=state)))
    await paying.house.crash()
    await paying.house.idle()
    assert len(paying.tool.paid) == paid
    assert (await paying.result())[1] is unknown


async def test_a_call_that_was_begun_is_not_begun_again(anywhere: Paying) -> None:
    """Killed while it pays: the yes was for that one call."""
    await anywhere.begins(pay(), "I do not know whether it was paid.")
    turn_id = await anywhere.asks()
    anywhere.tool.gate = asyncio.Event()
    await anywhere.answers("alice", turn_id, 1)
    await anywhere.tool.begun.wait()
    assert await anywhere.states == ["used"]
    await anywhere.house.crash()
    await anywhere.house.idle()
    assert (len(anywhere.tool.paid), await anywhere.result()) == (1, (words.OUTCOME_UNKNOWN, True))
    assert await anywhere.answers("alice", turn_id, 1) == "used", "said again it changes nothing"
    assert len(anywhere.tool.paid) == 1


async def test_a_turn_that_may_not_be_gone_on_with_leaves_no_call_without_a_result(anywhere: Paying) -> None:
    """Killed while it waits, its person disabled at the start, and let in again: the conversation goes on."""
    await anywhere.begins(pay(), "hello again")
    turn_id = await anywhere.asks()
    await anywhere.enables("alice", enabled=False)
    await anywhere.house.crash()
    await anywhere.house.idle()
    assert (anywhere.tool.paid, (await anywhere.result())[0]) == ([], words.OUTCOME_UNKNOWN)

    await anywhere.enables("alice", enabled=True)
    assert (await anywhere.turn(turn_id)).status == "failed"
    await anywhere.house.telegram.says("a1", "are you there?")
    await anywhere.house.idle()
    assert anywhere.heard("a1")[-1] == "hello again"
    model = anywhere.house.model
    assert isinstance(model, ScriptedModel)
    asked = [part.id for part in _parts(model.requests[-1]) if isinstance(part, ToolCallPart)]
    answered = [entry.tool_call_id for entry in _entries(model.requests[-1]) if entry.role is Role.TOOL_RESULT]
    assert asked == answered == ["c1"]


def _entries(request: ModelRequest) -> list[MessageEntry]:
    return [message.entry for message in request.history]


def _parts(request: ModelRequest) -> list[Part]:
    return [part for entry in _entries(request) for part in entry.content]


# --- who may, and for what -----------------------------------------------------------------------------------


async def test_another_person_can_neither_see_nor_answer(paying: Paying) -> None:
    """By the API it looks as if there were no such turn; by a command there is nothing of theirs."""
    await paying.begins(pay(), "It is paid.", *["hello"] * 4)
    turn_id = await paying.asks()
    for admin in (False, True):
        with pytest.raises(NotFound, match="There is no turn"):
            await paying.answers("bob", turn_id, 1, admin=admin)
    with pytest.raises(NotFound, match="There is no turn"):
        await paying.turn(turn_id, "bob")
    await paying.house.telegram.says("b1", "/approve 1")
    await paying.house.gateway.outbox.idle()
    assert paying.heard("b1") == ["Nothing waits for your yes here."]
    operator = AtTheDesk(paying.house).operator
    with pytest.raises((NotFound, Refused)):
        await approvals.answer(operator, ApprovalAnswer(turn_id=turn_id, n=1, allow=True))
    assert (paying.tool.paid, await paying.states) == ([], ["asked"])


async def test_in_a_group_only_whoever_caused_it_answers(paying: Paying) -> None:
    """Not the others there, and not its sponsor: it is asked, and answered, in the group."""
    await paying.begins(pay(), "It is paid.")
    await paying.house.person("sam", telegram="s1")
    await paying.house.shared_agent(
        "helpdesk", sponsor="sam", channel="telegram", peer_kind=ChatKind.GROUP, peer_id="-100"
    )
    turn_id = await paying.asks("pay Bob", group="-100")
    for sender in ("b1", "s1"):
        await paying.house.telegram.says(sender, "/approve 1", group="-100")
    with pytest.raises(Refused):
        await paying.answers("sam", turn_id, 1)
    assert (paying.tool.paid, await paying.states) == ([], ["asked"])

    await paying.house.telegram.says("a1", "/approve 1", group="-100")
    await paying.house.idle()
    assert len(paying.tool.paid) == 1


async def test_a_guest_is_not_asked(paying: Paying) -> None:
    """A guest has no such tool, and no such word."""
    await paying.begins(pay(), "I cannot.")
    await paying.house.shared_agent("helpdesk", sponsor="bob")
    paying.house.bind(Binding(AgentId("helpdesk"), "webhook", "default"))
    paying.house.account_rule("webhook", allow_from=frozenset({"gus"}))
    await paying.house.webhook.says("gus", "pay Bob")
    await paying.house.idle()
    await paying.house.webhook.says("gus", "/approve 1")
    await paying.house.idle()
    assert paying.house.webhook.heard_by("gus") == ["I cannot.", "Guests can use /help, /whoami, /new and /stop."]
    assert (paying.tool.paid, await paying.rows()) == ([], [])


async def test_a_person_who_was_switched_off_meanwhile_allows_nothing(paying: Paying) -> None:
    """The yes was given, and is not good any more when the call would be made."""
    await paying.begins(pay(), "Well.")
    turn_id = await paying.asks()
    consent = paying.house.gateway.consent
    asked = consent.asked(TurnId(turn_id))
    assert asked is not None

    def allowed_and_switched_off(connection: Connection) -> None:
        assert rows.answer(connection, asked.approval, allow=True, by="user:alice", now=paying.house.clock.now())
        table = user_tables.users
        connection.execute(update(table).where(table.c.id == "alice").values(enabled=False))

    await paying.house.database.write(allowed_and_switched_off)
    consent.answered([replace(asked.approval, state=Verdict.ALLOWED)])
    await paying.house.idle()
    assert (paying.tool.paid, await paying.states) == ([], ["allowed"])
    assert await paying.result() == (words.NO_LONGER_ALLOWED, False)


async def test_a_tool_that_was_taken_away_meanwhile_is_not_called(paying: Paying) -> None:
    """The yes was for a tool that the operator took out of the configuration while the person thought about it."""
    await paying.begins(pay(), "Well.")
    turn_id = await paying.asks()
    paying.house.tools.remove(paying.tool)
    paying.house.rule()
    assert await paying.answers("alice", turn_id, 1) == "allowed"
    await paying.house.idle()
    assert (paying.tool.paid, await paying.states) == ([], ["allowed"])
    assert await paying.result() == (words.NO_LONGER_ALLOWED, False)


async def test_the_right_to_the_tool_itself_is_asked_again(
    paying: Paying, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may still allow things, and may have this tool called no more, has it not called by an old yes."""
    await paying.begins(pay(), "Well.")
    turn_id = await paying.asks()
    may = rights.may

    def less(actor: Actor, action: Action, resource: AgentResource) -> Decision:
        return Decision(resource.tool != "pay", "") if action is Action.CALL_TOOL else may(actor, action, resource)

    monkeypatch.setattr(rights, "may", less)
    assert await paying.answers("alice", turn_id, 1) == "allowed"
    await paying.house.idle()
    assert (paying.tool.paid, await paying.result()) == ([], (words.NO_LONGER_ALLOWED, False))


async def test_an_address_that_became_somebody_else_s_answers_nothing(paying: Paying) -> None:
    """The chat is the same, the person is not."""
    await paying.begins(pay(), "Well.", "hello")
    await paying.asks()
    await paying.house.unlink("alice", "telegram", "a1")
    await paying.house.link("bob", "telegram", "a1")
    await paying.house.telegram.says("a1", "/approve 1")
    await paying.house.gateway.outbox.idle()
    assert (paying.tool.paid, await paying.states) == ([], ["asked"])


async def test_twice_at_once_is_once(anywhere: Paying) -> None:
    """Ten answers at the same moment: one call, and everybody who said the same is told the same."""
    await anywhere.begins(pay(), "It is paid.")
    turn_id = await anywhere.asks()
    told = await asyncio.gather(*(anywhere.answers("alice", turn_id, 1) for _ in range(10)))
    await anywhere.house.idle()
    assert set(told) <= {"allowed", "used"}
    assert len(anywhere.tool.paid) == 1


async def test_yes_and_no_at_once_is_one_of_them(anywhere: Paying) -> None:
    """Whoever comes second is told that it was answered."""
    await anywhere.begins(pay(), "Well.")
    turn_id = await anywhere.asks()
    told = await asyncio.gather(
        *(anywhere.answers("alice", turn_id, 1, allow=bool(number % 2)) for number in range(6)),
        return_exceptions=True,
    )
    await anywhere.house.idle()
    words_given = {one for one in told if isinstance(one, str)}
    assert words_given in ({"denied"}, {"allowed"}, {"allowed", "used"})
    assert sum(isinstance(one, Conflict) for one in told) == 3
    assert len(anywhere.tool.paid) == ("denied" not in words_given)


async def test_a_yes_is_for_exactly_that_call(paying: Paying) -> None:
    """What stands in the transcript when the call is made is what was asked about, to the last digit."""
    await paying.begins(pay(amount=5), "Well.")
    turn_id = await paying.asks()
    table = tables.approvals
    await paying.house.database.write(
        lambda connection: connection.execute(update(table).values(fingerprint="of another call"))
    )
    await paying.answers("alice", turn_id, 1)
    await paying.house.idle()
    assert (paying.tool.paid, await paying.result()) == ([], (words.NO_LONGER_ALLOWED, False))


def test_what_a_yes_is_for_is_told_apart() -> None:
    """Another tool, another argument, another type of it: another call. Their order is no part of it."""
    calls = [
        pay(),
        pay(amount=50),
        pay("Eve"),
        ToolCallPart("c1", "repay", {"to": "Bob", "amount": 5}),
        ToolCallPart("c1", "pay", {"to": "Bob", "amount": "5"}),
        ToolCallPart("c1", "pay", {"to": "Bob", "amount": 5, "tip": None}),
    ]
    assert len({rows.fingerprint(call) for call in calls}) == len(calls)
    turned = ToolCallPart("c9", "pay", {"amount": 5, "to": "Bob"})
    assert rows.fingerprint(turned) == rows.fingerprint(pay())


async def test_a_yes_is_for_one_call(paying: Paying) -> None:
    """The same call once more is another question, with another number; the old number answers it not."""
    await paying.begins(pay(), pay(), "It is paid.")
    turn_id = await paying.asks()
    await paying.answers("alice", turn_id, 1)
    await paying.until(2)
    assert await paying.answers("alice", turn_id, 1) == "used"
    assert await paying.states == ["used", "asked"]
    await paying.house.telegram.says("a1", "/approve 1")
    await paying.house.gateway.outbox.idle()
    assert paying.heard()[-1] == "Say which: /approve 2."
    assert len(paying.tool.paid) == 1

    await paying.house.telegram.says("a1", "/deny 2")
    await paying.house.idle()
    assert len(paying.tool.paid) == 1


async def test_a_word_typed_twice_allows_nothing_unread(paying: Paying) -> None:
    """`/approve` without a number is for the first question of a turn: the second one may not have been read."""
    await paying.begins(Step(calls=(pay("Bob", 5, "c1"), pay("Eve", 500, "c2"))), "Done.")
    await paying.asks()
    await paying.house.telegram.says("a1", "/approve")
    await paying.until(2)
    await paying.house.telegram.says("a1", "/approve")
    await paying.house.gateway.outbox.idle()
    assert paying.heard()[-1] == "Say which: /approve 2."
    assert [one["to"] for one in paying.tool.paid] == ["Bob"]

    await paying.house.telegram.says("a1", "/deny")
    await paying.house.idle()
    assert [one["to"] for one in paying.tool.paid] == ["Bob"]
    assert await paying.states == ["used", "denied"]


async def test_in_another_chat_it_is_not_answered_by_chance(paying: Paying) -> None:
    """Another conversation with the same assistant, by another network, has nothing to answer."""
    await paying.begins(pay(), "It is paid.")
    paying.house.rule(dm_scope="per-channel-peer")
    await paying.asks()
    receipt = await paying.house.email.says("alice@example.org", "/approve 1")
    await paying.house.gateway.outbox.idle()
    assert receipt.outcome is Outcome.ACCEPTED
    assert paying.tool.paid == []


async def test_after_new_it_can_still_be_answered_where_it_was_asked(paying: Paying) -> None:
    """The conversation is another, the chat in which the question stands is the same."""
    await paying.begins(pay(), "It is paid.")
    await paying.asks()
    await paying.house.telegram.says("a1", "/new Elsewhere")
    await paying.house.telegram.says("a1", "/approve 1")
    await paying.house.idle()
    assert len(paying.tool.paid) == 1


async def test_who_holds_a_line_open_is_not_asked(paying: Paying) -> None:
    """They could not answer meanwhile: the model is told that nobody can be asked."""
    await paying.begins(pay(), "I cannot.")
    await paying.house.receive("telegram", "a1", "pay Bob", Wish(attended=True))
    await paying.house.idle()
    assert (paying.tool.paid, await paying.rows(), paying.heard()) == ([], [], [])
    assert await paying.result() == (words.NOBODY_TO_ASK, False)


async def test_nothing_that_was_said_is_in_the_rows_or_the_log(paying: Paying) -> None:
    """The words and arguments stand in her transcript, and nowhere else."""
    await paying.begins(pay("the-secret-heir"), "It is paid.")
    turn_id = await paying.asks()
    await paying.answers("alice", turn_id, 1)
    await paying.house.idle()
    assert not any("the-secret-heir" in str(row) for row in await paying.rows())
    assert "the-secret-heir" not in paying.house.log_text
    assert "turn.approval" in paying.house.log_text


async def test_the_answer_to_a_number_that_never_was(paying: Paying) -> None:
    """Neither a number of nothing, nor what is no number at all, allows anything."""
    await paying.begins(pay(), "It is paid.")
    turn_id = await paying.asks()
    with pytest.raises(NotFound, match="number 7"):
        await paying.answers("alice", turn_id, 7)
    for said in ("/approve 7", "/approve all", "/approve 1 2", "/approve 01"):
        await paying.house.telegram.says("a1", said)
        await paying.house.gateway.outbox.idle()
        assert paying.heard()[-1] == "Say which: /approve 1."
    assert (paying.tool.paid, await paying.states) == ([], ["asked"])
    stopped = await turns.stop(paying.desk("alice"), SessionRef(session="agent:alice:main"))
    assert stopped.turn_ids == (turn_id,)
