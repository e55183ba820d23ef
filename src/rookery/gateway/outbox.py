"""The outbox: replies are kept until their network took them, chat by chat, in the order they were made.

At least once: a delivery is marked only after the network answered, so a crash in between sends it again,
under the same id. Rights are asked again before each try; what may not be heard any more is never sent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection

from rookery.channels.contract import Channel
from rookery.errors import ChannelUnavailable, DeliveryFailed, StorageUnavailable
from rookery.gateway import deliveries, note_rights, notes, rights
from rookery.gateway.deliveries import Delivery
from rookery.gateway.log import Logger
from rookery.gateway.rules import Rules
from rookery.ids import DeliveryId
from rookery.messages import ChatKind
from rookery.policy import Action, Decision
from rookery.storage import Database

BACK_OFF = (1, 2, 5, 10, 30, 60, 300)
"""Seconds to the next try after the first, second, … failed one; the last one repeats."""

GIVE_UP_AFTER = timedelta(days=3)
"""How long a delivery is tried before it becomes a dead letter."""

STORAGE_PAUSE = 1.0
"""Seconds between tries while the storage does not take a mark."""

T = TypeVar("T")

ChatKey = tuple[str, str, ChatKind, str]


class Outbox:
    """Sends what waits; one chat never waits for another."""

    def __init__(
        self,
        *,
        database: Database,
        channels: Mapping[str, Channel],
        rules: Callable[[], Rules],
        now: Callable[[], datetime],
        log: Logger,
        wait: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._channels = channels
        self._rules = rules
        self._now = now
        self._log = log
        self._wait = wait
        self._chats: dict[ChatKey, _Chat] = {}
        self._known: set[DeliveryId] = set()
        self._ended: set[DeliveryId] | None = None
        self._held: list[Delivery] | None = None
        self._changed = asyncio.Event()
        self._open = True

    def push(self, kept: Iterable[Delivery]) -> None:
        """Send committed deliveries. One that is on its way already is left alone."""
        if self._held is not None:
            self._held.extend(kept)
        else:
            self._push(kept)

    def hold(self) -> None:
        """Keep what is pushed from now on until the next refill: one made before it may not be known yet."""
        if self._held is None:
            self._held = []

    def _push(self, kept: Iterable[Delivery]) -> None:
        for delivery in kept:
            if delivery.delivery_id in self._known or not self._open:
                continue
            self._known.add(delivery.delivery_id)
            key = _chat_of(delivery)
            chat = self._chats.get(key)
            if chat is None:
                chat = self._chats[key] = _Chat()
            elif delivery.cleared:
                delivery = replace(delivery, cleared=False)  # it waits, and is asked about again when it goes
            chat.waiting.append(delivery)
            if chat.task is None:
                chat.task = asyncio.create_task(self._send_all(key, chat), name=f"outbox {delivery.route.channel}")

    async def refill(self, waiting: Callable[[], Awaitable[Sequence[Delivery]]]) -> None:
        """Send what the store says is not sent and is not on its way: at the start, and after a commit whose
        end nobody saw."""
        self._ended = set()
        try:
            found = await waiting()
            held, self._held = self._held or [], None
            self._push(delivery for delivery in (*found, *held) if delivery.delivery_id not in self._ended)
        finally:
            self._ended = None

    def wake(self, channel: str, account: str, chat_id: str) -> None:
        """A chat can be reached again: try what waits for it now."""
        for key, chat in self._chats.items():
            if key[0] == channel and key[1] == account and key[3] == chat_id:
                chat.woken.set()

    def drop(self, unwanted: Callable[[Delivery], bool]) -> None:
        """Send none of these any more; who calls it deletes them. One that is being sent right now ends as it
        will, and one that waits for its next try is asked about once more, at once."""
        if self._held is not None:
            self._held = [delivery for delivery in self._held if not unwanted(delivery)]
        for chat in self._chats.values():
            for delivery in [one for one in list(chat.waiting)[1:] if unwanted(one)]:
                chat.waiting.remove(delivery)
                self._known.discard(delivery.delivery_id)
            if chat.waiting and unwanted(chat.waiting[0]):
                chat.woken.set()
        self._changed.set()

    async def close(self, grace: float) -> None:
        """Give sends under way `grace` seconds; the rest is sent after the next start."""
        self._open = False
        tasks = [chat.task for chat in self._chats.values() if chat.task is not None]
        for chat in self._chats.values():
            if chat.pausing and chat.task is not None:
                chat.task.cancel()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def idle(self) -> None:
        """Wait until nothing is being sent; what waits for a later try does not count."""
        while any(not chat.pausing for chat in self._chats.values()):
            self._changed.clear()
            await self._changed.wait()

    async def ended(self, delivery_id: DeliveryId) -> None:
        """Wait until a delivery is marked as sent, or as one that never will be."""
        while delivery_id in self._known:
            self._changed.clear()
            await self._changed.wait()

    @property
    def waiting(self) -> int:
        """How many deliveries are not sent yet."""
        return len(self._known)

    async def _send_all(self, key: ChatKey, chat: _Chat) -> None:
        try:
            while chat.waiting and self._open:
                delivery = chat.waiting[0]
                await self._send_until_ended(chat, delivery)
                chat.waiting.popleft()
                self._known.discard(delivery.delivery_id)
                self._changed.set()
                if self._ended is not None:
                    self._ended.add(delivery.delivery_id)
        finally:
            self._known.difference_update(delivery.delivery_id for delivery in chat.waiting)
            if self._chats.get(key) is chat:
                del self._chats[key]
            self._changed.set()

    async def _send_until_ended(self, chat: _Chat, delivery: Delivery) -> None:
        attempts, due_at = delivery.attempts, delivery.due_at
        while True:
            await self._until(chat, due_at)
            at_once = delivery.cleared and attempts == delivery.attempts
            refusal = None if at_once else await self._refusal(delivery)
            if refusal is not None:
                await self._bury(delivery, attempts, refusal)
                return
            attempts += 1
            chat.woken.clear()  # a wake from here on, also while the failure is being kept, ends the next pause
            try:
                network_id = await self._channels[delivery.route.channel].send(delivery.message)
            except DeliveryFailed as error:
                await self._bury(delivery, attempts, error.detail)
                return
            except ChannelUnavailable as error:
                problem, pause = error.detail, error.retry_after
            except Exception as error:
                # A mistake of the channel's own. Trying again may help, and keeps the reply.
                self._log.exception("outbox.channel_broke", delivery=delivery.delivery_id)
                problem, pause = type(error).__name__, None
            else:
                await self._mark_sent(delivery, network_id, attempts)
                return
            if self._now() - delivery.created_at >= GIVE_UP_AFTER:
                await self._bury(delivery, attempts, f"Given up after {attempts} tries: {problem}")
                return
            due_at = await self._mark_delayed(delivery, attempts, problem, pause)

    async def _until(self, chat: _Chat, due_at: datetime) -> None:
        """Wait until a delivery is due or its chat is woken."""
        left = (due_at - self._now()).total_seconds()
        if left <= 0:
            return
        chat.pausing = True
        self._changed.set()
        woken = asyncio.ensure_future(chat.woken.wait())
        passed = asyncio.ensure_future(self._wait(left))
        try:
            await asyncio.wait([woken, passed], return_when=asyncio.FIRST_COMPLETED)
        finally:
            chat.pausing = False
            woken.cancel()
            passed.cancel()

    async def _refusal(self, delivery: Delivery) -> str | None:
        """Why this delivery may not be sent, None when it may."""
        if delivery.route.channel not in self._channels:
            return f"There is no channel {delivery.route.channel!r} any more."

        topic = notes.topic_of(delivery)

        def may_hear(connection: Connection) -> Decision:
            if topic is not None:
                return note_rights.may_go(connection, topic, delivery.route, self._rules(), self._now())
            right = rights.check(
                connection, delivery.route, delivery.agent_id, delivery.principal, Action.HEAR, self._rules()
            )
            return right.decision

        decision = await self._stubbornly(lambda: self._database.read(may_hear))
        return None if decision else decision.reason

    async def _mark_sent(self, delivery: Delivery, network_id: str | None, attempts: int) -> None:
        def work(connection: Connection) -> None:
            deliveries.mark_sent(connection, delivery.delivery_id, network_id, attempts, self._now())
            notes.forget(connection, delivery)

        await self._stubbornly(lambda: self._database.write(work))

    async def _mark_delayed(
        self, delivery: Delivery, attempts: int, problem: str, pause: float | None
    ) -> datetime:
        seconds = BACK_OFF[min(attempts, len(BACK_OFF)) - 1] if pause is None else pause
        due_at = self._now() + timedelta(seconds=seconds)

        def work(connection: Connection) -> None:
            deliveries.mark_delayed(connection, delivery.delivery_id, attempts, due_at, problem)

        self._log.warning(
            "outbox.delayed", delivery=delivery.delivery_id, tries=attempts, seconds=seconds, problem=problem
        )
        await self._stubbornly(lambda: self._database.write(work))
        return due_at

    async def _bury(self, delivery: Delivery, attempts: int, problem: str) -> None:
        def work(connection: Connection) -> None:
            deliveries.mark_dead(connection, delivery.delivery_id, attempts, problem, self._now())
            notes.forget(connection, delivery)

        self._log.error("outbox.dead", delivery=delivery.delivery_id, tries=attempts, problem=problem)
        await self._stubbornly(lambda: self._database.write(work))

    async def _stubbornly(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do it as soon as the storage lets us. A send that was made is not made again only to be marked."""
        while True:
            try:
                return await work()
            except StorageUnavailable as error:
                if not self._open:
                    raise
                self._log.warning("outbox.waits", error=error.detail)
                await self._wait(STORAGE_PAUSE)


@dataclass(slots=True)
class _Chat:
    waiting: deque[Delivery] = field(default_factory=deque[Delivery])
    task: asyncio.Task[None] | None = None
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    pausing: bool = False


def _chat_of(delivery: Delivery) -> ChatKey:
    route = delivery.route
    return route.channel, route.account, route.chat.kind, route.chat.id
