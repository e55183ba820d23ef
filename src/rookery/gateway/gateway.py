"""The gateway: the running whole that takes messages in, has them answered, and sends the answers.

`receive` is the way in for every channel. Everything the gateway starts it also ends, in `close`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from rookery.channels.contract import Channel, Outcome, Receipt
from rookery.errors import ChannelUnavailable, RookeryError, StorageUnavailable
from rookery.gateway import (
    commands,
    deliveries,
    inbound,
    tables,
    turns,
)
from rookery.gateway.anchors import EVERY, Anchors, write_head
from rookery.gateway.attachments import Web
from rookery.gateway.capacity import Limits, ModelCapacity
from rookery.gateway.consent import Consent
from rookery.gateway.denials import Denials
from rookery.gateway.equipment import RunLimits
from rookery.gateway.guessing import Guesses
from rookery.gateway.inbound import Taken, Wish
from rookery.gateway.key_states import KeyStates
from rookery.gateway.keyring import Keyring
from rookery.gateway.lanes import Lanes
from rookery.gateway.log import Logger
from rookery.gateway.metrics import Metrics
from rookery.gateway.outbox import Outbox
from rookery.gateway.overheard import Overheard, group_of
from rookery.gateway.pairing import CODE_WINDOW, WRONG_CODES
from rookery.gateway.providers import Providers
from rookery.gateway.pruning import prune
from rookery.gateway.refusals import Refusals
from rookery.gateway.revocations import Revocations
from rookery.gateway.rules import Rules
from rookery.gateway.turn import TurnRunner
from rookery.gateway.turns import Turn
from rookery.gateway.vault import Vault
from rookery.gateway.watchers import Watchers
from rookery.messages import InboundMessage
from rookery.sessions import Brains
from rookery.storage import Database
from rookery.tools import TimeTool, Tool
from rookery.usage import Prices
from rookery.users.grants import stored_keys
from rookery.users.hashing import Hasher

GRACE = 10.0
"""Seconds that running turns have to end when the gateway stops."""

DEFAULT_CHUNK_LIMIT = 4000
"""The chunk limit for a channel that is gone from the configuration."""

_MAINTENANCE_EVERY = timedelta(hours=6)

Wait = Callable[[float], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the configuration says, in the shape the path of a message asks it; replaced as a whole."""

    rules: Rules
    run: RunLimits
    capacity: Limits = field(default_factory=Limits)


class Gateway:
    """One gateway over one state. Open it with `start`, end it with `close`."""

    def __init__(
        self,
        *,
        database: Database,
        brains: Brains,
        providers: Providers,
        channels: Sequence[Channel],
        settings: Settings,
        now: Callable[[], datetime],
        log: Logger,
        tools: Sequence[Tool] = (TimeTool(),),
        wait: Wait = asyncio.sleep,
        hasher: Hasher | None = None,
        anchors: Anchors | None = None,
        web: Web | None = None,
        prices: Prices | None = None,
        vault: Vault,
    ) -> None:
        """`web` is where files are fetched that messages name by an address; without it none are.

        `prices` are what model calls cost; without them nobody knows. `vault` opens the keys that are sealed.
        """
        self.database = database
        self.brains = brains
        self.providers = providers
        self.vault = vault
        self.prices = prices or Prices()
        self.channels: Mapping[str, Channel] = {channel.name: channel for channel in channels}
        self.watchers = Watchers()
        self.overheard = Overheard()
        self.revocations = Revocations()
        self.metrics = Metrics()
        self.denials = Denials(log, now)
        self.refusals = Refusals(now)
        self.anchors = anchors
        self.guesses = Guesses(now)
        self.code_guesses = Guesses(now, window=CODE_WINDOW, from_one=WRONG_CODES)
        self.hasher = hasher or Hasher()
        self.settings = settings
        self.now = now
        self.log = log
        self.accepting = False
        self._wait = wait
        self.key_states = KeyStates(database, providers.cooldowns, now, log)
        self.keyring = Keyring(providers, vault, log)
        self.capacity = ModelCapacity(settings.capacity, wait=wait)
        self.erasing = asyncio.Lock()
        """Held while one person's or friend's erasure goes on; never two at once."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._refilling = False
        self._unseen_ends = 0
        self.outbox = Outbox(
            database=database, channels=self.channels, rules=self._rules, now=now, log=log, wait=wait
        )
        self.consent = Consent(
            database=database,
            watchers=self.watchers,
            rules=self._rules,
            minutes=lambda: self.settings.run.approval_minutes,
            tools=lambda: self.settings.run.tools,
            chunk_limit=self._chunk_limit,
            send=self.outbox.push,
            now=now,
            wait=wait,
            log=log,
        )
        runner = TurnRunner(
            database=database,
            brains=brains,
            providers=providers,
            keyring=self.keyring,
            prices=self.prices,
            capacity=self.capacity,
            watchers=self.watchers,
            metrics=self.metrics,
            tools=tools,
            rules=self._rules,
            limits=lambda: self.settings.run,
            chunk_limit=self._chunk_limit,
            send=self.outbox.push,
            consent=self.consent,
            web=web,
            now=now,
            log=log,
        )
        self.lanes = Lanes(runner.run_batch, runner.batch_of, lambda: self.settings.rules.queue, now, log, wait)

    @property
    def ready(self) -> bool:
        """Whether a message that comes now can be accepted, as far as is known: not while the storage fails."""
        return self.accepting and not self._refilling

    async def start(self) -> None:
        """Take up what was left, then let the channels begin. Messages are accepted from here on.

        Raises `StorageUnavailable` when the state cannot be read.
        """
        await self.know_keys()
        await self._go_on_erasing()
        await self._take_up()
        self.accepting = True
        for channel in self.channels.values():
            await self._start_channel(channel)
        self._begin(self._maintain(), "maintenance")
        self._begin(self._anchor(), "maintenance of anchors")

    async def receive(
        self,
        message: InboundMessage,
        wish: Wish = inbound.NO_WISH,
        *,
        queued: Callable[[Turn], None] | None = None,
        answered: Callable[[str], None] | None = None,
    ) -> Receipt:
        """Decide about a message; what became of it is committed and synced when this returns.

        This is `channels.contract.Receive`, for the channels of this gateway. `queued` is told of the turn that
        will answer the message, after the commit and before the turn can begin, so that no delta is missed;
        `answered`, where the message was an attended command, of what it says.
        """
        if not self.accepting:
            raise StorageUnavailable("The gateway is stopping; offer the message again in a while.")
        work = partial(self._take_in, message, wish, self._in_line(message))
        try:
            taken = await self.database.write(work, then=partial(self._taken, queued, answered))
        except StorageUnavailable as error:
            self.log.error(
                "message.not_kept", channel=message.channel, account=message.account, error=error.detail
            )
            self._refill_soon()
            raise
        receipt = taken.receipt
        if receipt.outcome is Outcome.ACCEPTED:
            self.metrics.accepted[message.channel] += 1
        if receipt.reason:
            self.log.info(
                "message.not_let_in",
                channel=message.channel,
                account=message.account,
                sender=message.sender_id,
                outcome=receipt.outcome.value,
                reason=receipt.reason,
            )
        return receipt

    def configure(self, settings: Settings) -> None:
        """Take new settings; turns that run finish with the ones they began with."""
        self.settings = settings
        self.capacity.configure(settings.capacity)

    async def know_keys(self) -> None:
        """Learn what earlier processes found out about keys, and of which providers the store has shared ones.

        At the start, and when a shared key came or went. Raises `StorageUnavailable`.
        """
        await self.key_states.load()
        stored = await self.database.read(stored_keys)
        self.providers.keyed = frozenset(stored.values())

    async def idle(self) -> None:
        """Wait until every accepted message is answered and every answer tried once; for tests and `demo`."""
        while True:
            await self.lanes.idle()
            await self.outbox.idle()
            if not self.lanes.running and not self.lanes.waiting:
                return

    async def close(self, grace: float = GRACE) -> None:
        """Stop accepting, give running turns `grace` seconds, and leave the rest for the next start."""
        self.accepting = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.consent.close()
        await self.lanes.close(grace)
        await self.capacity.close()
        await self.outbox.close(min(grace, 2.0))
        for channel in self.channels.values():
            await channel.stop()
        await self.hasher.close()
        await self.key_states.close()
        await self.providers.close()
        await self.brains.close()
        await self._write_head()
        await self.database.close()

    # --- taking in -------------------------------------------------------------------------------------------

    def _take_in(
        self, message: InboundMessage, wish: Wish, in_line: Mapping[str, int], connection: Connection
    ) -> Taken:
        return inbound.take_in(
            connection, message, self._rules(), self._chunk_limit(message.channel), self.now(), wish, in_line
        )

    def _in_line(self, message: InboundMessage) -> Mapping[str, int]:
        """Who waits for a model, for a command that may ask: what runs in a transaction cannot look itself."""
        if self.capacity.waiting and commands.parse(message.text) is not None:
            return self.capacity.in_line()
        return inbound.NOBODY_WAITS

    def _taken(
        self, queued: Callable[[Turn], None] | None, answered: Callable[[str], None] | None, taken: Taken
    ) -> None:
        """What is committed now becomes known to the lanes and the outbox."""
        if answered is not None and taken.answer is not None:
            answered(taken.answer)
        if taken.heard is not None:
            self.overheard.keep(taken.heard)
        if taken.emptied is not None:
            self.overheard.take(taken.emptied)
        accepted = [self._with_overheard(turn) for turn in taken.turns]
        for turn in accepted:
            if queued is not None and turn.turn_id == taken.receipt.turn_id:
                queued(turn)
        self.lanes.stop(taken.stopped)
        self.consent.answered(taken.answered)
        self.lanes.add(accepted)
        self.outbox.push(taken.deliveries)

    def _with_overheard(self, turn: Turn) -> Turn:
        """A message in a group takes with it what was said there before: it is told once."""
        group = group_of(turn.agent_id, turn.route) if turn.kind is turns.Kind.MESSAGE else None
        lines = () if group is None else self.overheard.take(group)
        return replace(turn, overheard=lines) if lines else turn

    def added(self, queued: Sequence[Turn]) -> None:
        """Turns that something else than a message queued and committed."""
        self.lanes.add(queued)

    @contextmanager
    def catching_up(self) -> Generator[None]:
        """Around a write by something else than a message that queues turns or stops them.

        When nobody saw how it ended, what is there is looked for as soon as that can be: else it would lie there
        until the next start.
        """
        try:
            yield
        except StorageUnavailable:
            if self.accepting:
                self._refill_soon()
            raise

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Have something done whoever waits for it; when the gateway ends, the rest is the next start's."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _go_on_erasing(self) -> None:
        """Before anything of theirs is taken up: what is left of people whose erasure was interrupted."""
        if await self.database.read(_any_erasure):
            from rookery.gateway.leaving import resume

            await resume(self)

    async def _take_up(self) -> None:
        """Queue and send what was accepted or answered and has no end yet."""
        # The outbox first: a turn that ends meanwhile must not have its reply sent before what waits there.
        await self.outbox.refill(lambda: self.database.read(deliveries.waiting))
        await self.lanes.refill(lambda: self.database.read(turns.unfinished))
        await self.consent.refill()

    def _refill_soon(self) -> None:
        """After a commit whose end nobody saw: look what is there, as soon as the storage can be read.

        Until then nothing new begins, so that it does not overtake what may have been accepted before it.
        """
        self._unseen_ends += 1
        self.lanes.hold()
        self.outbox.hold()
        if not self._refilling:
            self._refilling = True
            self._begin(self._refill(), "refill")

    async def _refill(self) -> None:
        try:
            while True:
                await self._wait(1.0)
                looked_at = self._unseen_ends
                try:
                    await self._take_up()
                except StorageUnavailable:
                    continue
                if looked_at == self._unseen_ends:
                    return
                self.lanes.hold()
                self.outbox.hold()
        finally:
            self._refilling = False

    # --- channels --------------------------------------------------------------------------------------------

    async def _start_channel(self, channel: Channel) -> None:
        try:
            await channel.start(self.receive)
        except ChannelUnavailable as error:
            self.log.warning("channel.waits", channel=channel.name, error=error.detail)
            self._begin(self._start_later(channel), f"start {channel.name}")

    async def _start_later(self, channel: Channel) -> None:
        pause = 1.0
        while True:
            await self._wait(pause)
            pause = min(pause * 2, 60.0)
            try:
                await channel.start(self.receive)
                return
            except ChannelUnavailable as error:
                self.log.warning("channel.waits", channel=channel.name, error=error.detail, seconds=pause)

    def _chunk_limit(self, channel: str) -> int:
        known = self.channels.get(channel)
        return DEFAULT_CHUNK_LIMIT if known is None else known.chunk_limit

    def _rules(self) -> Rules:
        return self.settings.rules

    # --- what goes on by itself ------------------------------------------------------------------------------

    async def _maintain(self) -> None:
        """Forget what has been kept long enough."""
        while True:
            await self._wait(_MAINTENANCE_EVERY.total_seconds())
            try:
                await self.database.write(lambda connection: prune(connection, self.now()))
                await self._go_on_erasing()
            except StorageUnavailable as error:
                self.log.warning("maintenance.waits", error=error.detail)

    async def _anchor(self) -> None:
        """Write the head of the audit trail down, now and every few minutes."""
        while self.anchors is not None:
            await self._write_head()
            await self._wait(EVERY.total_seconds())

    async def _write_head(self) -> None:
        if self.anchors is not None:
            await write_head(self.anchors, self.database, now=self.now, log=self.log)

    def _begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            detail = error.detail if isinstance(error, RookeryError) else type(error).__name__
            self.log.error("task.broke", task=task.get_name(), error=detail)


def _any_erasure(connection: Connection) -> bool:
    return connection.execute(select(tables.erasures.c.tombstone).limit(1)).first() is not None
