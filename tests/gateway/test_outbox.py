"""The outbox: every reply goes out, in order per chat, and nobody waits for a chat that is down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from rookery import users
from rookery.channels.contract import AccountSettings, Channel, Ids, Receive
from rookery.channels.loopback import Fate, LoopbackNetwork
from rookery.config.words import DmPolicy
from rookery.errors import ChannelUnavailable, StorageUnavailable
from rookery.gateway import deliveries, schema
from rookery.gateway.deliveries import Delivery
from rookery.gateway.log import silent_log
from rookery.gateway.outbox import BACK_OFF, GIVE_UP_AFTER, STORAGE_PAUSE, Outbox
from rookery.gateway.rules import AccountRules, Rules
from rookery.ids import UserId
from rookery.messages import OutboundMessage
from rookery.storage.sqlite import SqliteDatabase
from tests.gateway.made import NOW, ShakyDatabase, delivery
from tests.support.clock import Clock


@dataclass
class Post:
    """An outbox over a real database, with one network; Alice is 1 and Bob is 2 there."""

    database: ShakyDatabase
    network: LoopbackNetwork = field(default_factory=lambda: LoopbackNetwork("telegram"))
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    channel: Channel | None = None

    def __post_init__(self) -> None:
        self.rules = Rules(accounts={("telegram", "default"): AccountRules(dm_policy=DmPolicy.ALLOWLIST)})
        self.outbox = self.opened()

    def opened(self) -> Outbox:
        """Another outbox over the same rows, as the next start opens it."""
        return Outbox(
            database=self.database,
            channels={"telegram": self.channel or self.network.channel()},
            rules=lambda: self.rules,
            now=self.clock.now,
            log=silent_log(),
            wait=self.clock.wait,
        )

    async def keeps(self, *kept: Delivery) -> None:
        """Commit deliveries and hand them to the outbox."""

        def work(connection: Connection) -> None:
            for one in kept:
                deliveries.add(connection, one)

        await self.database.database.write(work)
        self.outbox.push(kept)

    async def waits(self) -> float:
        """Wait until something waits for the clock, and say how long it will."""
        while not self.clock.waited_for:
            await asyncio.sleep(0.001)
        return self.clock.waited_for[0]

    async def left(self) -> list[Delivery]:
        return await self.database.database.read(deliveries.waiting)

    async def dead(self) -> Sequence[deliveries.DeadLetter]:
        return await self.database.database.read(deliveries.dead_letters)

    async def sent(self) -> int:
        return await self.database.database.read(lambda c: deliveries.count(c, deliveries.Status.SENT))


@pytest.fixture
async def post() -> AsyncGenerator[Post]:
    database = SqliteDatabase(None)
    await database.write(schema.prepare)

    def people(connection: Connection) -> None:
        for id, sender in (("alice", "1"), ("bob", "2")):
            users.add_user(connection, id, name=None, role="member", now=NOW)
            users.link(connection, UserId(id), "telegram", None, sender, now=NOW)

    await database.write(people)
    post = Post(ShakyDatabase(database))
    yield post
    await post.outbox.close(0)
    await database.close()


async def test_a_chat_hears_its_replies_in_order(post: Post) -> None:
    """Each once, and each marked with the network's own id."""
    await post.keeps(*(delivery(f"d{number}") for number in range(5)))
    await post.outbox.idle()
    assert post.network.heard_by("1") == [f"text of d{number}" for number in range(5)]
    assert (await post.left(), await post.sent(), post.outbox.waiting) == ([], 5, 0)


async def test_a_chat_that_is_down_holds_up_no_other(post: Post) -> None:
    """Alice's replies wait, in order, behind the first of hers that failed; Bob's go on."""
    post.network.fails(times=1)
    await post.keeps(delivery("a1"))
    await post.network.tried(1)
    await post.keeps(delivery("a2"), delivery("b1", "2", person="bob"), delivery("b2", "2", person="bob"))
    await post.outbox.idle()
    assert post.network.heard_by("2") == ["text of b1", "text of b2"]
    assert post.network.heard_by("1") == []

    await post.clock.passes(await post.waits())
    await post.outbox.idle()
    assert post.network.heard_by("1") == ["text of a1", "text of a2"]


async def test_tries_come_further_and_further_apart(post: Post) -> None:
    """Under one delivery id; the pauses are kept with the row, so that a restart does not forget them."""
    tries = len(BACK_OFF) + 1
    post.network.fails(times=tries)
    await post.keeps(delivery("d1"))
    pauses: list[float] = []
    for number in range(tries):
        await post.network.tried(number + 1)
        pauses.append(await post.waits())
        [row] = await post.left()
        assert (row.attempts, row.due_at) == (number + 1, post.clock.now() + timedelta(seconds=pauses[-1]))
        await post.clock.passes(pauses[-1])
    await post.outbox.idle()

    assert tuple(pauses) == (*BACK_OFF, BACK_OFF[-1])
    assert {attempt.message.delivery_id for attempt in post.network.attempts} == {"d1"}
    assert post.network.heard_by("1") == ["text of d1"]


async def test_the_network_s_own_wish_is_honoured(post: Post) -> None:
    """It asked for 42 seconds, so 42 it is."""
    post.network.fails(times=1, retry_after=42)
    await post.keeps(delivery("d1"))
    assert await post.waits() == 42


async def test_what_will_never_be_taken_becomes_a_dead_letter(post: Post) -> None:
    """At once, with the network's words; what stands behind it goes on."""
    post.network.fails(Fate.FAILED)
    await post.keeps(delivery("d1"), delivery("d2"))
    await post.outbox.idle()

    [letter] = await post.dead()
    assert (letter.delivery_id, letter.attempts) == ("d1", 1)
    assert letter.problem == "The network will never take this message."
    assert post.network.heard_by("1") == ["text of d2"]


async def test_after_three_days_it_is_given_up(post: Post) -> None:
    """It stands among the dead letters, saying how often it was tried and what was wrong."""
    post.network.reachable = False
    await post.keeps(delivery("d1"))
    await post.waits()
    await post.clock.passes(GIVE_UP_AFTER.total_seconds())
    await post.network.tried(2)
    await post.outbox.idle()

    [letter] = await post.dead()
    assert letter.problem == "Given up after 2 tries: The network is down."
    assert await post.left() == []


async def test_what_was_sent_is_not_sent_again_only_to_be_marked(post: Post) -> None:
    """The storage does not take the mark for a while; the network hears the message once."""
    gate = post.network.holds()
    await post.keeps(delivery("d1"), delivery("d2"))
    await post.network.holding()
    post.database.failing_writes = 3
    gate.set()
    for _ in range(3):
        assert await post.waits() == STORAGE_PAUSE
        assert len(post.network.attempts) == 1
        await post.clock.passes(STORAGE_PAUSE)
    await post.outbox.idle()

    assert [attempt.message.delivery_id for attempt in post.network.attempts] == ["d1", "d2"]
    assert (await post.left(), await post.sent()) == ([], 2)


async def test_rights_that_cannot_be_read_are_asked_again(post: Post) -> None:
    """Until then nothing is sent."""
    post.database.failing_reads = 2
    await post.keeps(delivery("d1"))
    for _ in range(2):
        await post.clock.passes(await post.waits())
    await post.outbox.idle()
    assert post.network.heard_by("1") == ["text of d1"]


async def test_a_channel_that_is_gone_is_said_so(post: Post) -> None:
    """Its replies are dead letters, and name it."""
    await post.keeps(delivery("d1", channel="matrix"))
    await post.outbox.idle()
    [letter] = await post.dead()
    assert "'matrix'" in letter.problem


async def test_a_mistake_of_a_channel_s_own_keeps_the_reply(post: Post) -> None:
    """It is tried again later, like a network that is down."""
    post.channel = Odd([KeyError("ours"), None])
    post.outbox = post.opened()
    await post.keeps(delivery("d1"))
    await post.clock.passes(await post.waits())
    await post.outbox.idle()
    assert await post.sent() == 1


async def test_a_chat_that_can_be_reached_again_is_tried_at_once(post: Post) -> None:
    """Woken, nobody waits for the pause to end; other chats keep theirs."""
    post.network.fails(times=2)
    await post.keeps(delivery("a1"), delivery("b1", "2", person="bob"))
    await post.network.tried(2)
    while len(post.clock.waited_for) < 2:
        await asyncio.sleep(0.001)
    post.outbox.wake("telegram", "default", "1")
    await post.network.hears("1", 1)
    await post.outbox.idle()
    assert post.network.heard_by("2") == []
    assert post.outbox.waiting == 1


async def test_a_wake_up_counts_once(post: Post) -> None:
    """Tried at once and down again: the next pause is waited for, and no network is hammered."""
    post.network.fails(times=2)
    await post.keeps(delivery("d1"))
    await post.waits()
    post.outbox.wake("telegram", "default", "1")
    await post.network.tried(2)
    while BACK_OFF[1] not in post.clock.waited_for:
        await asyncio.sleep(0.001)
    assert len(post.network.attempts) == 2


async def test_a_chat_that_comes_back_while_the_failure_is_written_down_is_not_missed(post: Post) -> None:
    """Woken between the failed try and the pause after it: tried again at once, all the same.

    The wake-up was forgotten when the pause began, and a terminal attached in that moment waited up to five
    minutes for the reply it had come for.
    """
    channel = Odd([ChannelUnavailable("Nobody is attached."), None])
    post.channel = channel
    post.outbox = post.opened()
    channel.failed = lambda: post.outbox.wake("telegram", "default", "1")
    await post.keeps(delivery("d1"))
    async with asyncio.timeout(5):
        await channel.sent.wait()
    await post.outbox.idle()
    assert await post.sent() == 1


async def test_a_restart_sends_what_is_left_and_keeps_its_pause(post: Post) -> None:
    """Nothing that was sent goes out again; what waited for a later try still does."""
    post.network.fails(times=1, retry_after=100)
    await post.keeps(delivery("a1"))
    await post.waits()
    await post.keeps(delivery("b1", "2", person="bob"))
    await post.outbox.idle()
    await post.outbox.close(0)

    post.outbox = post.opened()
    await post.outbox.refill(post.left)
    await post.outbox.idle()
    assert len(post.network.attempts) == 2
    await post.clock.passes(await post.waits())
    await post.network.hears("1", 1)
    assert post.network.heard_by("2") == ["text of b1"]


async def test_what_ended_while_it_was_looked_up_is_not_sent_again(post: Post) -> None:
    """The rows were read while the send was still under way."""
    gate = post.network.holds()
    await post.keeps(delivery("d1"))
    await post.network.holding()

    async def found() -> list[Delivery]:
        rows = await post.left()
        gate.set()
        await post.outbox.idle()
        return rows

    await post.outbox.refill(found)
    await post.outbox.idle()
    assert len(post.network.attempts) == 1


async def test_the_end_gives_sends_under_way_their_time(post: Post) -> None:
    """What the network takes within the grace is marked; nothing new is begun."""
    gate = post.network.holds()
    await post.keeps(delivery("d1"), delivery("d2"))
    await post.network.holding()
    closing = asyncio.create_task(post.outbox.close(5))
    await asyncio.sleep(0)
    gate.set()
    await closing
    assert [one.delivery_id for one in await post.left()] == ["d2"]


async def test_the_end_does_not_wait_for_a_storage_that_is_away(post: Post) -> None:
    """A mark that cannot be kept at the end is made up for by the next start, with one more copy at most."""
    gate = post.network.holds()
    await post.keeps(delivery("d1"))
    await post.network.holding()
    post.database.failing_writes = 99
    gate.set()
    await post.waits()
    await post.outbox.close(0)
    assert [one.delivery_id for one in await post.left()] == ["d1"]


class Odd:
    """A channel whose sends end as told: with an error, or well."""

    name = "telegram"
    ids = Ids.NETWORK
    chunk_limit = 4000
    idempotent = False

    def __init__(self, ends: list[Exception | None]) -> None:
        self.ends = ends
        self.failed = lambda: None
        self.sent = asyncio.Event()

    def configure(self, accounts: AccountSettings) -> None: ...
    async def start(self, receive: Receive) -> None: ...
    async def stop(self) -> None: ...

    async def send(self, message: OutboundMessage) -> str | None:
        del message
        end = self.ends.pop(0)
        if end is not None:
            asyncio.get_running_loop().call_soon(self.failed)
            raise end
        self.sent.set()
        return None


async def test_a_storage_error_is_what_it_is() -> None:
    """The shaky database of these tests fails in our own words."""
    shaky = ShakyDatabase(SqliteDatabase(None))
    shaky.failing_reads = 1
    with pytest.raises(StorageUnavailable):
        await shaky.read(lambda connection: None)
    assert await shaky.read(lambda connection: 1) == 1
    await shaky.close()
