"""One turn, from its place in the lane to its end: rights, brain, user entry, run, and the commit of its end.

Order of synced writes: user entry, then what the run writes, the reply entry last, then one transaction with
the outbox rows, what was used, and the turn's end. Each can be repeated: an id that is there stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from rookery.agents import Interrupted, Interruption, RunSettings, messages_of, prompt, run, words
from rookery.channels.chunks import chunks
from rookery.errors import ConfigError, ModelError, ModelErrorKind, StorageUnavailable
from rookery.gateway import deliveries, rights, turns
from rookery.gateway.capacity import ModelCapacity
from rookery.gateway.deliveries import Delivery
from rookery.gateway.log import Logger
from rookery.gateway.providers import Chosen, Providers
from rookery.gateway.rules import Rules
from rookery.gateway.standing import Standing, stand
from rookery.gateway.turns import Kind, Status, Turn
from rookery.gateway.watchers import SessionChanged, TurnDelta, TurnFinished, TurnStarted, Watchers, Where
from rookery.ids import DeliveryId, EntryId, TurnId
from rookery.messages import (
    ChatKind,
    Entry,
    InfoEntry,
    MessageEntry,
    Part,
    Role,
    SenderNote,
    StopReason,
    TextPart,
    Usage,
    text_of,
)
from rookery.models import ModelEvent
from rookery.policy import Action, AgentResource, Decision, may, user_of
from rookery.sessions import Brains, Session
from rookery.storage import Database
from rookery.tools import Tool, ToolContext, Toolset
from rookery.users import Agent


class TurnRunner:
    """Runs batches of turns; one for the whole gateway, with no state of its own between them."""

    def __init__(
        self,
        *,
        database: Database,
        brains: Brains,
        providers: Providers,
        capacity: ModelCapacity,
        watchers: Watchers,
        tools: Sequence[Tool],
        rules: Callable[[], Rules],
        limits: Callable[[], RunLimits],
        chunk_limit: Callable[[str], int],
        send: Callable[[Sequence[Delivery]], None],
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._database = database
        self._brains = brains
        self._providers = providers
        self._capacity = capacity
        self._watchers = watchers
        self._tools = tools
        self._rules = rules
        self._limits = limits
        self._chunk_limit = chunk_limit
        self._send = send
        self._now = now
        self._log = log

    async def run_batch(self, batch: Sequence[Turn], interruption: Interruption) -> None:
        """Take a batch to its end and commit that end.

        Raises `Interrupted` when the gateway stops first, `StorageUnavailable` when something could not be
        kept; the batch is then to be run again, and goes on from where its transcript stands.
        """
        leader = batch[0]
        if leader.kind is Kind.OPEN:
            await self._open_session(leader)
            return
        started = self._now()
        standing = leader.standing or await self._database.read(partial(self._stand, leader))
        async with self._brains.use(leader.agent_id) as brain:
            session = await brain.open_session(leader.session_id, leader.opened_key, leader.accepted_at)
            ending = await self._answer(batch, session, standing, interruption)
        await self._finish(batch, ending, standing)
        self._log_end(batch, ending, started)

    async def batch_of(self, turn: Turn) -> tuple[TurnId, ...]:
        """Which accepted messages a turn found at the start answers for, by its user entry; none if unwritten."""
        async with self._brains.use(turn.agent_id) as brain:
            session = await brain.open_session(turn.session_id, turn.opened_key, turn.accepted_at)
            written = messages_of(session, turn.turn_id)
            return written[0].accepted if written else ()

    # --- who asks, and who answers ---------------------------------------------------------------------------

    def _stand(self, turn: Turn, connection: Connection) -> Standing:
        right = rights.check(connection, turn.route, turn.agent_id, turn.principal, Action.TALK, self._rules())
        return stand(connection, right)

    # --- the answer ------------------------------------------------------------------------------------------

    async def _answer(
        self, batch: Sequence[Turn], session: Session, standing: Standing, interruption: Interruption
    ) -> _Ending:
        leader = batch[0]
        written = messages_of(session, leader.turn_id)
        if not written and interruption.asked and interruption.reason is not StopReason.INTERRUPTED:
            if interruption.reason is None:
                raise Interrupted
            return _Ending(Status.CANCELLED)
        if not standing.decision or standing.agent is None:
            return _Ending(Status.FAILED, error="refused", detail=standing.decision.reason)
        if not written:
            await session.append(self._user_entry(batch, session, standing.agent))
        turn_ids = tuple(turn.turn_id for turn in batch)
        self._watchers.tell(where(leader), TurnStarted(leader.turn_id, turn_ids))
        try:
            last = await self._run(leader, session, standing, standing.agent, interruption)
        except (Interrupted, StorageUnavailable):
            raise
        except Exception:
            # Our own mistake. The person is told, the lane goes on, and the log says where to look.
            self._log.exception("turn.broke", turn=leader.turn_id, session=leader.session_id)
            last = await self._write_breakdown(leader, session)
        if leader.body.ephemeral:
            await session.append(self._ephemeral_end(leader, session))
        return _ending(last, _usage(messages_of(session, leader.turn_id)))

    async def _run(
        self,
        leader: Turn,
        session: Session,
        standing: Standing,
        agent: Agent,
        interruption: Interruption,
    ) -> MessageEntry:
        here = where(leader)

        def emit(event: ModelEvent) -> None:
            self._watchers.tell(here, TurnDelta(leader.turn_id, event))

        def report(error: ModelError) -> None:
            self._log.warning(
                "model.failed",
                turn=leader.turn_id,
                agent=leader.agent_id,
                model=f"{chosen.provider}/{chosen.model_name}",
                kind=error.kind.value,
                detail=error.detail,
            )

        def allowed(tool: str) -> Decision:
            resource = AgentResource(
                rights.facts(agent), leader.route.chat.kind, guests=standing.decision.allowed, tool=tool
            )
            return may(standing.actor, Action.CALL_TOOL, resource)

        limits = self._limits()
        chosen = self._choose(agent, standing)
        settings = RunSettings(
            provider=chosen.provider,
            model=chosen.model,
            model_name=chosen.model_name,
            instructions=prompt.instructions(agent.name, agent.persona or limits.persona, person=standing.person),
            key=chosen.key,
            key_error=chosen.problem,
            max_steps=limits.max_steps,
            timeout_seconds=chosen.timeout_seconds or limits.timeout_seconds,
        )
        tools = Toolset(
            [tool for tool in self._tools if tool.spec.name in limits.tools],
            ToolContext(self._now, standing.timezone),
            allowed,
        )
        capacity = self._capacity.of(leader.principal)
        return await run(session, leader.turn_id, settings, tools, capacity, interruption, emit, report, self._now)

    def _choose(self, agent: Agent, standing: Standing) -> Chosen:
        """The agent's model; one that is gone from the configuration is a problem of the call, told in words."""
        try:
            return self._providers.choose(agent.model, standing.grants)
        except ConfigError as error:
            self._log.error("agent.model_unknown", agent=agent.id, model=agent.model)
            chosen = self._providers.choose("offline/demo", ())
            problem = ModelError(ModelErrorKind.UNKNOWN_MODEL, error.detail)
            return Chosen(chosen.provider, chosen.model, chosen.model_name, None, problem)

    # --- the end ---------------------------------------------------------------------------------------------

    async def _finish(self, batch: Sequence[Turn], ending: _Ending, standing: Standing) -> None:
        made = self._deliveries(batch, ending, standing)

        def work(connection: Connection) -> list[Delivery]:
            turns.finish(connection, batch, ending.status, now=self._now(), usage=ending.usage, error=ending.error)
            # One that is there already was kept by a commit whose end nobody saw, so nobody sends it yet.
            cleared = bool(made) and self._may_hear(connection, batch[-1])
            return [
                replace(delivery, cleared=cleared)
                for delivery in made
                if deliveries.add(connection, delivery) or deliveries.is_waiting(connection, delivery.delivery_id)
            ]

        leader = batch[0]
        finished = TurnFinished(
            leader.turn_id, tuple(turn.turn_id for turn in batch), ending.status.value, ending.text, ending.error
        )

        def tell(kept: list[Delivery]) -> None:
            self._watchers.tell(where(leader), finished)
            self._send(kept)

        await self._database.write(work, then=tell)

    def _may_hear(self, connection: Connection, turn: Turn) -> bool:
        right = rights.check(connection, turn.route, turn.agent_id, turn.principal, Action.HEAR, self._rules())
        return right.decision.allowed

    def _deliveries(self, batch: Sequence[Turn], ending: _Ending, standing: Standing) -> list[Delivery]:
        if not ending.text or ending.entry_id is None or standing.agent is None:
            return []
        leader, route, now = batch[0], batch[-1].route, self._now()
        return [
            Delivery(
                delivery_id=DeliveryId(f"{ending.entry_id}.{number}"),
                turn_id=leader.turn_id,
                agent_id=leader.agent_id,
                principal=leader.principal,
                speaker=standing.agent.name,
                route=route,
                text=text,
                attempts=0,
                due_at=now,
                created_at=now,
            )
            for number, text in enumerate(chunks(ending.text, self._chunk_limit(route.channel)))
        ]

    def _log_end(self, batch: Sequence[Turn], ending: _Ending, started: datetime) -> None:
        leader, ended = batch[0], self._now()
        self._log.info(
            "turn.end",
            turn=leader.turn_id,
            messages=len(batch),
            session=leader.session_id,
            agent=leader.agent_id,
            principal=leader.principal,
            channel=leader.route.channel,
            account=leader.route.account,
            status=ending.status.value,
            error=ending.error,
            detail=ending.detail,
            model=ending.model,
            input_tokens=ending.usage.input_tokens,
            output_tokens=ending.usage.output_tokens,
            waited_ms=_milliseconds(started, leader.accepted_at),
            ran_ms=_milliseconds(ended, started),
        )

    # --- entries ---------------------------------------------------------------------------------------------

    def _user_entry(self, batch: Sequence[Turn], session: Session, agent: Agent) -> MessageEntry:
        leader = batch[0]
        route = leader.route
        several = agent.shared or route.chat.kind is not ChatKind.DM
        return MessageEntry(
            id=EntryId(f"{leader.turn_id}.0"),
            parent_id=session.last_entry_id,
            timestamp=self._now(),
            turn_id=leader.turn_id,
            role=Role.USER,
            content=tuple(part for turn in batch for part in _said(turn)),
            accepted=tuple(turn.turn_id for turn in batch),
            sender=SenderNote(route.channel, route.account, route.sender_id, leader.body.sender_name)
            if several
            else None,
        )

    async def _write_breakdown(self, leader: Turn, session: Session) -> MessageEntry:
        entry = MessageEntry(
            id=EntryId(f"{leader.turn_id}.{len(messages_of(session, leader.turn_id))}"),
            parent_id=session.last_entry_id,
            timestamp=self._now(),
            turn_id=leader.turn_id,
            role=Role.ASSISTANT,
            content=(),
            stop_reason=StopReason.ERROR,
            error=words.UNEXPECTED,
            error_kind="unexpected",
        )
        await session.append(entry)
        return entry

    def _ephemeral_end(self, leader: Turn, session: Session) -> Entry:
        return InfoEntry(
            id=EntryId(f"{leader.turn_id}.end"),
            parent_id=session.last_entry_id,
            timestamp=self._now(),
            turn_id=leader.turn_id,
            status="deleted",
            archived_reason="ephemeral",
        )

    async def _open_session(self, turn: Turn) -> None:
        """Write the first lines of a session that a command opened."""
        async with self._brains.use(turn.agent_id) as brain:
            session = await brain.open_session(turn.session_id, turn.opened_key, turn.accepted_at)
            await session.append(
                InfoEntry(
                    id=EntryId(f"{turn.turn_id}.0"),
                    parent_id=session.last_entry_id,
                    timestamp=self._now(),
                    turn_id=turn.turn_id,
                    title=turn.body.title,
                    channel_binding=turn.body.bound_to,
                )
            )
        await self._database.write(
            lambda connection: turns.finish(connection, [turn], Status.DONE, now=self._now()),
            then=lambda _: self._watchers.tell(where(turn), SessionChanged()),
        )


def where(turn: Turn) -> Where:
    """The session of a turn, and who may see on a page what happens in it: in a direct chat, who wrote."""
    user_id = user_of(turn.principal) if turn.route.chat.kind is ChatKind.DM else None
    return Where(turn.agent_id, turn.session_id, turn.opened_key, user_id)


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What bounds a run, from the configuration; `persona` is for agents that have none of their own."""

    tools: frozenset[str]
    max_steps: int
    timeout_seconds: float
    persona: str


_UNUSED = Usage()


@dataclass(frozen=True, slots=True)
class _Ending:
    """How a batch ended: what is told to the person, and what is counted."""

    status: Status
    text: str = ""
    entry_id: EntryId | None = None
    usage: Usage = _UNUSED
    error: str | None = None
    detail: str | None = None
    model: str | None = None


_ENDED_UNHEARD = {StopReason.STOPPED: Status.CANCELLED, StopReason.INTERRUPTED: Status.INTERRUPTED}


def _ending(last: MessageEntry, usage: Usage) -> _Ending:
    reason = last.stop_reason
    assert reason is not None, "a run ends with an answer, and an answer says why it ended"
    model = f"{last.provider}/{last.model}" if last.provider else None
    if reason in _ENDED_UNHEARD:
        return _Ending(_ENDED_UNHEARD[reason], entry_id=last.id, usage=usage, model=model)
    said = text_of(last)
    if reason is StopReason.ERROR:
        text = "\n\n".join(filter(None, [said, last.error]))
        return _Ending(Status.FAILED, text, last.id, usage, error=last.error_kind, model=model)
    if reason is StopReason.LENGTH:
        said = f"{said}\n\n{words.CUT_AT_LENGTH}".strip()
    return _Ending(Status.DONE, said or words.NOTHING_SAID, last.id, usage, model=model)


def _usage(entries: Sequence[MessageEntry]) -> Usage:
    total = Usage()
    for entry in entries:
        if entry.usage is not None:
            total += entry.usage
    return total


def _said(turn: Turn) -> list[Part]:
    """A message's words, and a line for each file it names; the files themselves are not opened."""
    lines = [turn.body.text] if turn.body.text.strip() else []
    lines += [
        f"[Attached: {attachment.name} ({attachment.content_type}); its content is not shown to you.]"
        for attachment in turn.body.attachments
    ]
    return [TextPart("\n\n".join(lines))]


def _milliseconds(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
