"""Messages of a person to sessions of their own, and what becomes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Literal

import msgspec
from sqlalchemy import Connection

from rookery import ids, users
from rookery.channels import webchat
from rookery.channels.contract import Outcome
from rookery.errors import InvalidKey, NotFound, Refused
from rookery.gateway import deliveries, places, turn_facts, turns
from rookery.gateway.endings import told
from rookery.gateway.idempotency import Once
from rookery.gateway.inbound import Wish
from rookery.gateway.operations.desk import Desk
from rookery.gateway.operations.finding import Found, absent, describe, find, owns
from rookery.gateway.rights import facts
from rookery.gateway.shapes import (
    Approval,
    MessageSend,
    SessionRef,
    Stopped,
    Turn,
    TurnCall,
    TurnNamed,
    TurnUsage,
    usd,
)
from rookery.gateway.turn_facts import TurnState
from rookery.gateway.turns import Kind, Status
from rookery.gateway.watchers import TurnEvent, TurnFinished
from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.messages import Attachment, MessageEntry, Role
from rookery.policy import Action, AgentResource
from rookery.sessions.key import read_place
from rookery.sessions.transcripts import is_session_id
from rookery.usage import LedgerRow, ledger
from rookery.usage.ledger import GUESSED
from rookery.users import Agent

_ROUTE = "messages"
"""What the keys of messages are unique within: a page may send one over the socket and again by REST."""


def once(user_id: UserId, key: str, ask: MessageSend) -> Once:
    """The claim of a message that is sent under a key of the client's; how long it waits is no part of it."""
    said = (ask.session, ask.text, ask.attachments)
    return Once.of(user_id, _ROUTE, key, msgspec.json.encode(said))


async def send(desk: Desk, ask: MessageSend) -> Turn:
    """Hand in a message of the person at the desk; it is committed on return. With `wait` returns when the turn
    has ended, or when that much time is over.

    With `desk.once` the same message again is answered with its first turn. Raises `NotFound` for a session that
    is not theirs, `InvalidInput` for what no message may be, `Refused` where they may not talk at the moment,
    `StorageUnavailable`, and `IdempotencyKeyReused`.
    """
    gateway, person = desk.house.gateway, desk.person
    agent = await gateway.database.read(lambda connection: _spoken_to(connection, desk, person, ask.session))
    attachments = tuple(
        Attachment(one.name, one.content_type, attachment_id=one.attachment_id) for one in ask.attachments
    )
    account = webchat.BY_TOKEN if desk.by_token else webchat.ACCOUNT
    message = webchat.written(person, ids.fresh(desk.now()), ask.text, attachments, account=account)
    wish = Wish(agent.id, ask.session, alone=bool(ask.wait), once=desk.once)
    with ExitStack() as stack:
        ending = _Ending()

        def queued(turn: turns.Turn) -> None:
            if ask.wait:
                ending.of = turn.turn_id
                stack.callback(gateway.watchers.follow(turn.agent_id, turn.session_id, ending.hear))

        receipt = await gateway.receive(message, wish, queued=queued)
        if receipt.outcome not in (Outcome.ACCEPTED, Outcome.DUPLICATE) or receipt.turn_id is None:
            raise Refused(receipt.reason)
        turn_id = TurnId(receipt.turn_id)
        found = await gateway.database.read(lambda connection: _known(connection, turn_id))
        if ask.wait and found.finished_at is None:
            if ending.of is None:  # it was sent before, and is on its way
                ending.of = turn_id
                stack.callback(gateway.watchers.follow(found.agent_id, found.session_id, ending.hear))
                found = await gateway.database.read(lambda connection: _known(connection, turn_id))
            if found.finished_at is None and await ending.within(ask.wait):
                found = await gateway.database.read(lambda connection: _known(connection, turn_id))
    return await _shown(desk, found)


async def stop(desk: Desk, ask: SessionRef) -> Stopped:
    """Stop what is being answered in a session, and what waits there. Raises `NotFound`."""
    gateway = desk.house.gateway

    def work(connection: Connection) -> list[TurnId]:
        found = find(connection, desk, desk.person, ask.session, Action.STOP_TURN)
        return turns.stop(connection, found.session_id, None)

    with gateway.catching_up():
        return Stopped(turn_ids=tuple(await gateway.database.write(work, then=gateway.lanes.stop)))


async def state(desk: Desk, ask: TurnNamed) -> Turn:
    """How one turn stands. Raises `NotFound`, also for somebody else's."""
    found, _ = await desk.house.database.read(lambda connection: look_up(connection, desk, ask.turn_id))
    return await _shown(desk, found)


def look_up(connection: Connection, desk: Desk, turn_id: str) -> tuple[TurnState, Found]:
    """A turn that whoever is at the desk may read, and its session.

    Raises `NotFound`, also for somebody else's.
    """
    words = f"There is no turn {turn_id[:80]!r}."
    found = turn_facts.state(connection, TurnId(turn_id)) if is_session_id(turn_id) else None
    if found is None or found.kind not in (Kind.MESSAGE, Kind.COMMAND):
        raise NotFound(words)
    session = describe(connection, desk.person, found.agent_id, found.session_id, found.opened_key)
    if session is None:
        raise NotFound(words)
    desk.ask(Action.READ_TURN, session.resource, words)
    return found, session


def leader_of(desk: Desk, found: TurnState) -> TurnId:
    """The turn under whose id a message is answered: its own, or that of the batch it is in."""
    answering = desk.house.gateway.lanes.answering(found.session_id)
    if any(turn.turn_id == found.turn_id for turn in answering):
        return answering[0].turn_id
    return found.answered_by


# --- to whom -------------------------------------------------------------------------------------------------


def _spoken_to(connection: Connection, desk: Desk, person: UserId, session: str) -> Agent:
    """The agent a message to this session is for.

    Raises `NotFound`, and `Refused` only where the session is theirs.
    """
    words = absent(session)
    agent, session_id = _agent_of(connection, desk, person, session)
    if agent is None:
        raise NotFound(words)
    if agent.shared:
        # The session of several people is nobody's; and an empty place there may be somebody else's.
        if session_id is None or not owns(agent, person, turn_facts.hands(connection, session_id)):
            raise NotFound(words)
    elif agent.owner != person:
        raise NotFound(words)
    desk.ask(Action.TALK, AgentResource(facts(agent)))
    return agent


def _agent_of(
    connection: Connection, desk: Desk, person: UserId, session: str
) -> tuple[Agent | None, SessionId | None]:
    """Whose session that is, and its id; None for the id where nothing lives yet."""
    agent_id: AgentId | None = None
    session_id: SessionId | None = None
    if is_session_id(session):
        known = places.whose(connection, SessionId(session)) or turn_facts.whose(connection, SessionId(session))
        if known is not None:
            agent_id, session_id = known[0], SessionId(session)
    if agent_id is None:
        try:
            key = read_place(session, AgentId(person), desk.house.gateway.settings.rules.main_key)
        except InvalidKey:
            return None, None
        live = places.live(connection, str(key))
        agent_id, session_id = key.agent_id, None if live is None else live.session_id
    try:
        return users.get_agent(connection, agent_id), session_id
    except NotFound:
        return None, None


# --- how it stands -------------------------------------------------------------------------------------------


class _Ending:
    """Waits for the end of one turn."""

    def __init__(self) -> None:
        self.of: TurnId | None = None
        self._ended = asyncio.Event()

    def hear(self, event: TurnEvent) -> None:
        if isinstance(event, TurnFinished) and self.of in event.turn_ids:
            self._ended.set()

    async def within(self, seconds: float) -> bool:
        """Whether it ended in that time."""
        try:
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True


def _known(connection: Connection, turn_id: TurnId) -> TurnState:
    found = turn_facts.state(connection, turn_id)
    if found is None:
        raise NotFound(f"There is no turn {turn_id!r}.")
    return found


async def _shown(desk: Desk, found: TurnState) -> Turn:
    calls = await desk.house.database.read(lambda connection: ledger.of_turn(connection, found.turn_id))
    waiting = waits_for(desk, leader_of(desk, found))
    return Turn(
        turn_id=found.turn_id,
        session_key=found.session_key,
        session_id=found.session_id,
        status=_status(desk, found),
        reply=await _reply(desk, found),
        error=found.error,
        usage=_used(found, calls),
        approvals=() if waiting is None or found.finished_at is not None else (waiting,),
        calls=tuple(map(_call, calls)),
        queue_position=desk.house.gateway.capacity.position(leader_of(desk, found)),
        created_at=found.created_at,
        finished_at=found.finished_at,
    )


def _used(found: TurnState, calls: Sequence[LedgerRow]) -> TurnUsage:
    """What a turn used: by its calls, and by its own row when it is older than the ledger."""
    asked = bool(found.usage.input_tokens or found.usage.output_tokens)
    if not calls:
        return TurnUsage(
            input_tokens=found.usage.input_tokens,
            output_tokens=found.usage.output_tokens,
            cached_tokens=0,
            estimated=False,
            cost_usd=None if asked else 0.0,
        )
    return TurnUsage(
        input_tokens=sum(call.input_tokens for call in calls),
        output_tokens=sum(call.output_tokens for call in calls),
        cached_tokens=sum(call.cached_tokens for call in calls),
        estimated=any(call.status in GUESSED for call in calls),
        cost_usd=None if any(call.unpriced for call in calls) else usd(sum(call.nano_usd for call in calls)),
    )


def _call(row: LedgerRow) -> TurnCall:
    return TurnCall(
        provider=row.provider,
        model=row.model,
        purpose=row.purpose.value,
        status=row.status.value,
        error=row.error,
        input_tokens=row.input_tokens,
        cached_tokens=row.cached_tokens,
        output_tokens=row.output_tokens,
        cost_usd=None if row.unpriced else usd(row.nano_usd),
        started_at=row.started_at,
        waited_ms=row.waited_ms,
        first_token_ms=row.first_token_ms,
        ms=row.ms,
    )


def waits_for(desk: Desk, turn_id: TurnId) -> Approval | None:
    """The call that a turn cannot make without its person's yes; whoever asks may read the turn."""
    asked = desk.house.gateway.consent.asked(turn_id)
    if asked is None:
        return None
    return Approval(
        n=asked.approval.n,
        tool=asked.approval.tool,
        words=asked.words,
        arguments=asked.arguments,
        asked_at=asked.approval.asked_at,
        expires_at=asked.approval.expires_at,
    )


def _status(
    desk: Desk, found: TurnState
) -> Literal["queued", "running", "waiting", "done", "failed", "cancelled", "interrupted"]:
    if found.status is not Status.QUEUED:
        return found.status.value
    if desk.house.gateway.consent.asked(leader_of(desk, found)) is not None:
        return "waiting"
    answering = desk.house.gateway.lanes.answering(found.session_id)
    return "running" if any(turn.turn_id == found.turn_id for turn in answering) else "queued"


async def _reply(desk: Desk, found: TurnState) -> str | None:
    """What the person was told; None while there is nothing, and when the words are not kept any more."""
    if found.finished_at is None:
        return None
    if found.kind is Kind.COMMAND:
        texts = await desk.house.database.read(
            lambda connection: deliveries.texts_of(connection, found.agent_id, found.turn_id)
        )
        return "\n".join(texts) or None
    async with desk.house.brains.use(found.agent_id) as brain:
        try:
            session = await brain.session(found.session_id)
        except NotFound:
            return None
        written = session.entries_of(found.answered_by)
    said = [entry for entry in written if isinstance(entry, MessageEntry) and entry.role is Role.ASSISTANT]
    if not said or said[-1].stop_reason is None:
        return None
    return told(said[-1]) or None
