"""Hashing passwords: right ones match, no more at once than there is memory for, and time tells nothing."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable, Generator

import pytest

from rookery.errors import Busy, InvalidInput
from rookery.users.hashing import Checked, Cost, Hasher
from tests.support.house import CHEAP
from tests.support.loop import nothing_blocks

WORDS = "one green heron"


@pytest.fixture(autouse=True)
def no_blocking_in_the_loop() -> Generator[None]:
    with nothing_blocks():
        yield


async def test_a_password_and_its_hash() -> None:
    """The hash is its password's alone, says what it cost, and is another one each time."""
    hasher = Hasher(CHEAP)
    first, second = await hasher.new(WORDS), await hasher.new(WORDS)
    assert first != second
    assert first.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await hasher.matches(WORDS, first) == Checked(right=True)
    assert await hasher.matches(WORDS + " ", first) == Checked(right=False)


async def test_the_usual_cost() -> None:
    """64 MiB, three passes, one thread."""
    assert (await Hasher().new(WORDS)).startswith("$argon2id$v=19$m=65536,t=3,p=1$")


async def test_a_letter_is_the_same_however_it_is_composed() -> None:
    """What one keyboard wrote as two characters and another as one."""
    hasher = Hasher(CHEAP)
    hash = await hasher.new("caf\u00e9 au lait")
    assert (await hasher.matches("cafe\u0301 au lait", hash)).right


@pytest.mark.parametrize("typed", ["", "x" * 5000, "\ud800", "password"])
async def test_what_nobody_has_as_a_password(typed: str) -> None:
    """It is wrong, and no error: at a login it may say anything."""
    hasher = Hasher(CHEAP)
    assert not (await hasher.matches(typed, await hasher.new(WORDS))).right
    assert not (await hasher.matches(typed, None)).right


async def test_a_new_one_is_checked() -> None:
    """There is no way to hash what would not be taken."""
    hasher = Hasher(CHEAP)
    for password in ("short", "password", "Alice-Example"):
        with pytest.raises(InvalidInput):
            await hasher.new(password, ("alice-example",))


@pytest.mark.parametrize(
    "hash", ["", "nonsense", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=64,t=1,p=1$x$y"]
)
async def test_a_hash_that_is_none(hash: str) -> None:
    """Nobody comes in by what cannot be read."""
    assert not (await Hasher(CHEAP).matches(WORDS, hash)).right


async def test_an_old_cost_is_noticed() -> None:
    """A hash made when hashes cost less, or more, still matches, and is said to be outdated."""
    old = await Hasher(CHEAP).new(WORDS)
    assert await Hasher(Cost(memory=128, passes=1)).matches(WORDS, old) == Checked(right=True, outdated=True)


class Slow(Hasher):
    """Hashes whose threads wait until they are let go, and are counted."""

    def __init__(self, **limits: int) -> None:
        super().__init__(CHEAP, **limits)
        self.go = threading.Event()
        self.at_once = 0
        self.most = 0
        self._lock = threading.Lock()

    def _check(self, password: str, hash: str | None) -> Checked:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.go.wait(20)
        with self._lock:
            self.at_once -= 1
        return super()._check(password, hash)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.001)


async def test_two_at_once_and_a_bounded_line() -> None:
    """Two are hashed, some wait, and the next is told to come back: no number of logins fills the memory."""
    hasher = Slow(in_line=3)
    tasks = [asyncio.create_task(hasher.matches(WORDS, None)) for _ in range(5)]
    await until(lambda: hasher.at_once == 2)
    with pytest.raises(Busy) as busy:
        await hasher.matches(WORDS, None)
    assert busy.value.retry_after > 0

    hasher.go.set()
    assert [checked.right for checked in await asyncio.gather(*tasks)] == [False] * 5
    assert hasher.most == 2
    assert not (await hasher.matches(WORDS, None)).right


async def test_who_goes_away_leaves_no_more_room_than_there_is() -> None:
    """A thread cannot be stopped: its slot is free when it is done, however many hang up meanwhile."""
    hasher = Slow(in_line=0)
    tasks = [asyncio.create_task(hasher.matches(WORDS, None)) for _ in range(2)]
    await until(lambda: hasher.at_once == 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    with pytest.raises(Busy):
        await asyncio.wait_for(hasher.matches(WORDS, None), 5)
    hasher.go.set()
    await hasher.close()
    assert not (await hasher.matches(WORDS, None)).right
    assert hasher.most == 2


async def test_time_tells_nothing_of_who_there_is() -> None:
    """At the real cost a wrong password takes as much work as nobody's, to less than 10 ms in the middle."""
    hasher = Hasher()
    hash = await hasher.new(WORDS)

    async def work(hash: str | None) -> float:
        began = time.process_time()
        await hasher.matches("another one", hash)
        return time.process_time() - began

    # A busy machine makes the same work cost more now and then, so it is measured in pairs, and for as long as it
    # takes to see through that. A gap that is there does not go away: half a hash less is 100 ms in every pair.
    gaps: list[float] = []
    while len(gaps) < 5 or abs(statistics.median(gaps)) >= 0.010:
        assert len(gaps) < 40, f"{1000 * statistics.median(gaps):.0f} ms between them"
        gaps.append(await work(hash) - await work(None))
