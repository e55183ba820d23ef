"""One attached terminal: a user talks, sees the answer while it is written, and gets what waited for them.

The control socket makes one for each connection that asks; who may is decided there. What a terminal is told
goes through `tell`, which waits while the client is slow: deltas are lost then, deliveries never.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import ExitStack
from typing import Any, assert_never

from sqlalchemy import Connection

from rookery import users
from rookery.channels.chunks import chunks
from rookery.channels.contract import Outcome
from rookery.channels.terminal import ACCOUNT, CHANNEL, TerminalChannel, TerminalLine, client_id_of, typed
from rookery.errors import ChannelUnavailable, Conflict, InvalidInput, NotFound, Refused
from rookery.gateway import deliveries, shapes, turn_facts
from rookery.gateway.consent import question_number
from rookery.gateway.gateway import Gateway
from rookery.gateway.inbound import Wish
from rookery.gateway.operations.desk import known_user
from rookery.gateway.turns import Turn
from rookery.gateway.watchers import (
    TurnApproval,
    TurnDelta,
    TurnEvent,
    TurnFinished,
    TurnJoined,
    TurnStarted,
    TurnWaiting,
)
from rookery.ids import AgentId, DeliveryId, SessionId, TurnId
from rookery.models import TextDelta, ToolCallDelta
from rookery.policy import Permission, let_in

KEPT_SECONDS = 2.0
"""How long an acknowledgement waits for its mark; the storage may be away, and the client is not to hang."""

Tell = Callable[[shapes.TerminalEvent], Awaitable[None]]
"""Sends one event to the client. Raises `OSError` when there is none any more."""


class Terminal:
    """One client's terminal of one user, from `attach` to `close`."""

    def __init__(self, gateway: Gateway, tell: Tell) -> None:
        self._gateway = gateway
        self._tell = tell
        self._user_id = ""
        self._wish = Wish()
        self._line: TerminalLine | None = None
        self._handed_out = ""
        self._shown = asyncio.Event()
        self._names: dict[AgentId, str] = {}
        self._watches: dict[tuple[AgentId, SessionId], _Watch] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def attach(self, ask: shapes.Attach) -> shapes.Attached:
        """Become a terminal of a user; what waits for them is sent from now on.

        Raises `NotFound` for no such user, or an agent they cannot talk to; `Refused` for one who is disabled;
        `Conflict` when this connection is attached; `ChannelUnavailable` when the gateway takes no messages.
        """
        if self._line is not None:
            raise Conflict("This connection is attached already; open another for another terminal.")
        channel = self._gateway.channels.get(CHANNEL)
        if not isinstance(channel, TerminalChannel):
            raise ChannelUnavailable(
                "The terminal is switched off; see channels.terminal.enabled in rookery.yaml."
            )
        user, agent, waiting = await self._gateway.database.read(lambda connection: _who(connection, ask))
        self._user_id = user.id
        self._names[agent.id] = agent.name
        self._wish = Wish(None if ask.agent_id is None else agent.id, ask.session)
        if channel.attached(user.id):
            waiting = 0  # they are on their way to the other terminal
        self._line = channel.attach(user.id)
        self._begin(self._deliver(self._line), f"terminal of {user.id}")
        return shapes.Attached(
            user_id=user.id, user_name=user.name, agent_id=agent.id, agent_name=agent.name, waiting=waiting
        )

    async def say(self, ask: shapes.Say) -> shapes.Said:
        """Hand in one message; the same `message_id` again is harmless.

        Raises what `Gateway.receive` does, and `Conflict` before `attach`.
        """
        self._attached()
        message = typed(self._user_id, ask.message_id, ask.text)
        wish = Wish(self._wish.agent_id, self._wish.session, ask.alone)
        followed: list[TurnId] = []

        def queued(turn: Turn) -> None:
            self._follow(turn.turn_id, turn.agent_id, turn.session_id)
            followed.append(turn.turn_id)

        receipt = await self._gateway.receive(message, wish, queued=queued)
        if receipt.outcome is Outcome.DUPLICATE and receipt.turn_id is not None:
            return await self._again(TurnId(receipt.turn_id))
        turn_id = followed[0] if followed else None
        return shapes.Said(outcome=receipt.outcome.value, reason=receipt.reason, turn_id=turn_id)

    async def ack(self, ask: shapes.Ack) -> None:
        """The client has shown a delivery. Returns when that is kept, so that no later terminal shows it again.

        Raises `Conflict` before `attach`.
        """
        self._attached().ack(DeliveryId(ask.delivery_id))
        if ask.delivery_id == self._handed_out:
            self._shown.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gateway.outbox.ended(DeliveryId(ask.delivery_id)), KEPT_SECONDS)

    async def close(self) -> None:
        """The client is gone: what it has not shown waits for the next one. Harmless when called again."""
        if self._line is not None:
            self._line.detach()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _attached(self) -> TerminalLine:
        if self._line is None:
            raise Conflict("Attach first: chat.attach says whose terminal this is.")
        return self._line

    async def _again(self, turn_id: TurnId) -> shapes.Said:
        """A message that was said before: follow its turn if it is still on its way."""
        state = await self._gateway.database.read(lambda connection: turn_facts.state(connection, turn_id))
        duplicate = Outcome.DUPLICATE.value
        if state is None:  # a command: its answer is a delivery, and no turn
            return shapes.Said(outcome=duplicate, reason="")
        if state.finished_at is not None:
            return shapes.Said(outcome=duplicate, reason="", turn_id=turn_id, ended=True)
        self._follow(turn_id, state.agent_id, state.session_id)
        return shapes.Said(outcome=duplicate, reason="", turn_id=turn_id)

    # --- what is told ----------------------------------------------------------------------------------------

    async def _deliver(self, line: TerminalLine) -> None:
        async for message in line:
            self._handed_out = message.delivery_id
            self._shown.clear()
            await self._tell(
                shapes.Reply(
                    delivery_id=message.delivery_id,
                    turn_id=message.delivery_id.partition(".")[0],
                    in_reply_to=client_id_of(message.route.message_id),
                    speaker=message.speaker.name,
                    text=message.text,
                    asks=question_number(message.delivery_id),
                )
            )
            # Asking the line for its next message acknowledges this one, which only the client may do.
            await self._shown.wait()

    def _follow(self, turn_id: TurnId, agent_id: AgentId, session_id: SessionId) -> None:
        """Watch the session of a turn until the turn has ended."""
        key = (agent_id, session_id)
        watch = self._watches.get(key)
        if watch is None:
            watch = self._watches[key] = _Watch()
            events = watch.stack.enter_context(self._gateway.watchers.watch(agent_id, session_id))
            self._begin(self._watch(key, watch, events), f"watch {session_id}")
        watch.turns.add(turn_id)

    async def _watch(
        self, key: tuple[AgentId, SessionId], watch: _Watch, events: asyncio.Queue[TurnEvent]
    ) -> None:
        mine: set[TurnId] = set()
        calls: set[int] = set()  # of the model's present step, those that were told
        try:
            while watch.turns:
                for event in _merged(await events.get(), events):
                    if isinstance(event, TurnDelta):
                        if event.turn_id in mine:
                            await self._tell_delta(event, calls)
                        continue
                    if isinstance(event, TurnWaiting):
                        if event.turn_id in mine:
                            await self._tell(shapes.InLine(event.turn_id, event.position))
                        continue
                    if isinstance(event, TurnApproval):
                        continue  # the question itself is a delivery
                    if watch.turns.isdisjoint(event.turn_ids):
                        continue  # somebody else's turn, or another terminal's, in the same session
                    await self._tell_ends(event, mine, watch, key[0])
        finally:
            watch.stack.close()
            if self._watches.get(key) is watch:
                del self._watches[key]

    async def _tell_ends(
        self, event: TurnStarted | TurnJoined | TurnFinished, mine: set[TurnId], watch: _Watch, agent_id: AgentId
    ) -> None:
        match event:
            case TurnStarted() | TurnJoined():
                mine.add(event.turn_id)
                await self._tell(shapes.Started(event.turn_id, event.turn_ids, await self._name(agent_id)))
            case TurnFinished():
                watch.turns.difference_update(event.turn_ids)
                limit = self._gateway.channels[CHANNEL].chunk_limit
                await self._tell(
                    shapes.Finished(
                        event.turn_id, event.turn_ids, event.status, event.text, len(chunks(event.text, limit))
                    )
                )
            case _:
                assert_never(event)

    async def _name(self, agent_id: AgentId) -> str:
        """What an agent is called, as it was when it first answered here."""
        if agent_id not in self._names:
            try:
                agent = await self._gateway.database.read(lambda c: users.get_agent(c, agent_id))
            except NotFound:
                return agent_id
            self._names[agent_id] = agent.name
        return self._names[agent_id]

    async def _tell_delta(self, event: TurnDelta, calls: set[int]) -> None:
        match event.event:
            case TextDelta(text=text):
                calls.clear()
                await self._tell(shapes.Delta(event.turn_id, text))
            case ToolCallDelta(index=index, name=str(name)) if index not in calls:
                calls.add(index)
                await self._tell(shapes.Step(event.turn_id, name))
            case _:
                pass

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None and self._line is not None:
            self._line.detach()  # the client is gone; what it did not acknowledge goes back to the outbox


class _Watch:
    """One session that is watched, and the turns it is watched for."""

    def __init__(self) -> None:
        self.turns: set[TurnId] = set()
        self.stack = ExitStack()


def _who(connection: Connection, ask: shapes.Attach) -> tuple[users.User, users.Agent, int]:
    user = known_user(connection, ask.user_id)
    if not user.enabled:
        raise Refused(f"User {user.id!r} is disabled.")
    decision = let_in(user.permissions, Permission.WEB)
    if not decision:
        raise Refused(decision.reason)
    if ask.agent_id is not None:
        wanted = AgentId(ask.agent_id)
    elif ask.session is not None:
        wanted = user.main_agent
    else:
        wanted = users.answering(connection, user, typed(user.id, "attached", "-").route).agent.id
    reachable = [agent for agent in users.list_agents(connection) if agent.shared or agent.owner == user.id]
    agent = next((agent for agent in reachable if agent.id == wanted), None)
    if agent is None:
        names = ", ".join(agent.id for agent in reachable)
        raise NotFound(f"There is no agent {wanted!r} that {user.id!r} can talk to; there is {names}.")
    if ask.session is not None and not ask.session.strip():
        raise InvalidInput("A session's name cannot be empty; leave it out to talk in the usual place.")
    return user, agent, deliveries.count_waiting(connection, CHANNEL, ACCOUNT, user.id)


def _merged(first: TurnEvent, queue: asyncio.Queue[TurnEvent]) -> list[TurnEvent]:
    """What is there now, with text deltas that follow each other made one."""
    merged = [first]
    while not queue.empty():
        event, last = queue.get_nowait(), merged[-1]
        if (
            isinstance(event, TurnDelta)
            and isinstance(last, TurnDelta)
            and event.turn_id == last.turn_id
            and isinstance(event.event, TextDelta)
            and isinstance(last.event, TextDelta)
        ):
            merged[-1] = TurnDelta(event.turn_id, TextDelta(last.event.text + event.event.text))
        else:
            merged.append(event)
    return merged
