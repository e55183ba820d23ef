"""One turn, from its place in the lane to its end: rights, brain, user entry, run, and the commit of its end.

Order of synced writes: user entry, then what the run writes, the reply entry last, then one transaction with
the outbox rows, what was used, and the turn's end. Each can be repeated: an id that is there stays as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from sqlalchemy import Connection

from rookery.agents import Endpoint, Interrupted, Interruption, Opening, RunSettings, messages_of, prompt, run
from rookery.channels.chunks import chunks
from rookery.errors import ConfigError, ModelError, ModelErrorKind, StorageUnavailable
from rookery.gateway import deliveries, entries, rights, turns
from rookery.gateway.attachments import Files, Gathering, Web, picture, unopened
from rookery.gateway.capacity import ModelCapacity
from rookery.gateway.deliveries import Delivery
from rookery.gateway.endings import Ending, bare_ending_of, ending_of, used
from rookery.gateway.log import Logger
from rookery.gateway.meter import TurnMeter
from rookery.gateway.metrics import Metrics
from rookery.gateway.providers import Providers
from rookery.gateway.rules import READ_IN_THE_SESSION, Rules
from rookery.gateway.shelf import Shelf, where
from rookery.gateway.standing import Standing, stand
from rookery.gateway.turns import Kind, Status, Turn
from rookery.gateway.watchers import TurnDelta, TurnFinished, TurnStarted, Watchers
from rookery.ids import DeliveryId, TurnId
from rookery.messages import MessageEntry, StopReason
from rookery.models import ModelEvent
from rookery.policy import Action, AgentResource, Decision, may
from rookery.sessions import Brains, Session
from rookery.sessions.attachments import Attachments
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
        metrics: Metrics,
        tools: Sequence[Tool],
        rules: Callable[[], Rules],
        limits: Callable[[], RunLimits],
        chunk_limit: Callable[[str], int],
        send: Callable[[Sequence[Delivery]], None],
        web: Web | None,
        now: Callable[[], datetime],
        log: Logger,
    ) -> None:
        self._database = database
        self._brains = brains
        self._providers = providers
        self._capacity = capacity
        self._watchers = watchers
        self._metrics = metrics
        self._shelf = Shelf(database=database, brains=brains, watchers=watchers, now=now)
        self._tools = tools
        self._rules = rules
        self._limits = limits
        self._chunk_limit = chunk_limit
        self._send = send
        self._gathering = Gathering(web, now)
        self._now = now
        self._log = log

    async def run_batch(self, batch: Sequence[Turn], interruption: Interruption) -> None:
        """Take a batch to its end and commit that end.

        Raises `Interrupted` when the gateway stops first, `StorageUnavailable` when something could not be
        kept; the batch is then to be run again, and goes on from where its transcript stands.
        """
        leader = batch[0]
        if leader.kind is not Kind.MESSAGE:
            await self._shelf.keep(leader)
            return
        started = self._now()
        meter = TurnMeter()
        standing = leader.standing or await self._database.read(partial(self._stand, leader))
        async with self._brains.use(leader.agent_id) as brain:
            session = await brain.open_session(leader.session_id, leader.opened_key, leader.accepted_at)
            ending = await self._answer(batch, session, brain.attachments, standing, meter, interruption)
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
        self,
        batch: Sequence[Turn],
        session: Session,
        attachments: Attachments,
        standing: Standing,
        meter: TurnMeter,
        interruption: Interruption,
    ) -> Ending:
        leader = batch[0]
        opening: Opening | None = None
        written = messages_of(session, leader.turn_id)
        if not written and interruption.asked and interruption.reason is not StopReason.INTERRUPTED:
            if interruption.reason is None:
                raise Interrupted
            return Ending(Status.CANCELLED)
        if not standing.decision or standing.agent is None:
            return Ending(Status.FAILED, error="refused", detail=standing.decision.reason)
        if not written:
            try:
                files = await self._files(batch, attachments, standing, standing.agent, interruption)
            except Interrupted:
                if interruption.reason is None:
                    raise
                return Ending(Status.CANCELLED)
            entry = entries.user_entry(batch, session, standing.agent, files, self._now())
            opening = Opening(entry, asyncio.create_task(self._open(batch, session, entry), name="user entry"))
        else:
            self._tell_started(batch)
        try:
            last = await self._run(
                leader, session, attachments, standing, standing.agent, meter, interruption, opening
            )
        except (Interrupted, StorageUnavailable):
            raise
        except Exception:
            # Our own mistake. The person is told, the lane goes on, and the log says where to look.
            self._log.exception("turn.broke", turn=leader.turn_id, session=leader.session_id)
            if opening is not None:
                await opening.written
            last = entries.breakdown(leader, session, self._now())
            await session.append(last)
        finally:
            if opening is not None:
                await opening.settled()
        if leader.body.ephemeral:
            await session.append(entries.ephemeral_end(leader, session, self._now()))
        usage = used(messages_of(session, leader.turn_id))
        return bare_ending_of(last, usage) if leader.body.attended else ending_of(last, usage)

    async def _open(self, batch: Sequence[Turn], session: Session, entry: MessageEntry) -> None:
        """Write the user entry, and tell that the turn has begun once that is so."""
        await session.append(entry)
        self._tell_started(batch)

    def _tell_started(self, batch: Sequence[Turn]) -> None:
        turn_ids = tuple(turn.turn_id for turn in batch)
        self._watchers.tell(where(batch[0]), TurnStarted(batch[0].turn_id, turn_ids))

    async def _files(
        self,
        batch: Sequence[Turn],
        attachments: Attachments,
        standing: Standing,
        agent: Agent,
        interruption: Interruption,
    ) -> Mapping[TurnId, Files]:
        """What came with the messages besides words, fetched and kept. Raises `Interrupted`."""
        if not any(turn.body.attachments for turn in batch):
            return {}
        chat = batch[0].route.chat.kind
        resource = AgentResource(rights.facts(agent), chat, guests=standing.decision.allowed)
        may_add = may(standing.actor, Action.ADD_ATTACHMENT, resource)
        try:
            return await interruption.guard(self._gathering.gather(attachments, batch, may_add))
        except Interrupted:
            if interruption.reason is StopReason.INTERRUPTED:
                return unopened(batch)  # it stays part of the conversation, for the one that came after it
            raise

    async def _run(
        self,
        leader: Turn,
        session: Session,
        attachments: Attachments,
        standing: Standing,
        agent: Agent,
        meter: TurnMeter,
        interruption: Interruption,
        opening: Opening | None,
    ) -> MessageEntry:
        here = where(leader)

        def emit(event: ModelEvent) -> None:
            self._watchers.tell(here, TurnDelta(leader.turn_id, event))

        def report(endpoint: Endpoint, error: ModelError) -> None:
            self._metrics.model_errors[error.kind.value] += 1
            self._log.warning(
                "model.failed",
                turn=leader.turn_id,
                agent=leader.agent_id,
                model=endpoint.name,
                kind=error.kind.value,
                detail=error.detail,
            )

        def allowed(tool: str) -> Decision:
            resource = AgentResource(
                rights.facts(agent), leader.route.chat.kind, guests=standing.decision.allowed, tool=tool
            )
            return may(standing.actor, Action.CALL_TOOL, resource)

        limits = self._limits()
        settings = RunSettings(
            endpoints=self._endpoints(agent, standing),
            instructions=prompt.instructions(
                agent.name,
                agent.persona or limits.persona,
                person=standing.person,
                further=leader.aside.instructions,
            ),
            earlier=entries.earlier(leader, agent),
            max_steps=limits.max_steps,
            timeout_seconds=limits.timeout_seconds,
            load_image=partial(picture, attachments),
        )
        tools = Toolset(
            [tool for tool in self._tools if tool.spec.name in limits.tools],
            ToolContext(self._now, standing.timezone),
            allowed,
        )
        capacity = self._capacity.of(leader.principal)
        return await run(
            session,
            leader.turn_id,
            settings,
            tools,
            capacity,
            meter,
            interruption,
            emit,
            report,
            self._now,
            opening,
        )

    def _endpoints(self, agent: Agent, standing: Standing) -> tuple[Endpoint, ...]:
        """Who may answer; a model that is gone from the configuration is a problem of the call, told in words."""
        try:
            return self._providers.endpoints(agent.model, standing.grants)
        except ConfigError as error:
            self._log.error("agent.model_unknown", agent=agent.id, model=agent.model)
            offline = self._providers.endpoints("offline/demo", ())[0]
            return (replace(offline, problem=ModelError(ModelErrorKind.UNKNOWN_MODEL, error.detail)),)

    # --- the end ---------------------------------------------------------------------------------------------

    async def _finish(self, batch: Sequence[Turn], ending: Ending, standing: Standing) -> None:
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
            leader.turn_id,
            tuple(turn.turn_id for turn in batch),
            ending.status.value,
            ending.text,
            ending.error,
            ending.stop_reason,
            ending.usage,
        )

        def tell(kept: list[Delivery]) -> None:
            self._watchers.tell(where(leader), finished)
            self._send(kept)

        await self._database.write(work, then=tell)

    def _may_hear(self, connection: Connection, turn: Turn) -> bool:
        right = rights.check(connection, turn.route, turn.agent_id, turn.principal, Action.HEAR, self._rules())
        return right.decision.allowed

    def _deliveries(self, batch: Sequence[Turn], ending: Ending, standing: Standing) -> list[Delivery]:
        leader, route, now = batch[0], batch[-1].route, self._now()
        if not ending.text or ending.entry_id is None or standing.agent is None:
            return []
        if route.channel in READ_IN_THE_SESSION or leader.body.attended:
            return []
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

    def _log_end(self, batch: Sequence[Turn], ending: Ending, started: datetime) -> None:
        leader, ended = batch[0], self._now()
        self._metrics.turn_ended(
            ending.status.value,
            (started - leader.accepted_at).total_seconds(),
            (ended - started).total_seconds(),
        )
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


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What bounds a run, from the configuration; `persona` is for agents that have none of their own."""

    tools: frozenset[str]
    max_steps: int
    timeout_seconds: float
    persona: str


def _milliseconds(later: datetime, earlier: datetime) -> int:
    return round((later - earlier).total_seconds() * 1000)
