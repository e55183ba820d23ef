"""One socket by itself: a client that is slow, gone, or loud."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rookery.gateway.callers import Caller
from rookery.ids import UserId
from rookery.users import Credential, CredentialKind, User
from rookery.web.live.socket import QUEUE_CHARACTERS, QUEUE_FRAMES, UNREAD_ANSWERS, Allowance, LiveSocket
from tests.support.clock import Clock


class Line:
    """The server's side of a connection; nothing goes out while it is `held`."""

    def __init__(self) -> None:
        self.sent: list[MutableMapping[str, Any]] = []
        self.free = asyncio.Event()
        self.free.set()
        self.broken = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        await self.free.wait()
        if self.broken:
            raise OSError("the client is gone")
        self.sent.append(message)

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]


def caller() -> Caller:
    now = Clock().now()
    user = User(
        id=UserId("alice"),
        name="Alice",
        role="member",
        enabled=True,
        timezone="UTC",
        language="en",
        created_at=now,
    )
    return Caller(user, Credential("c1", user.id, CredentialKind.TOKEN, "a test", now, now))


@pytest.fixture
async def line() -> Line:
    return Line()


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


def resync() -> str:
    return "resync"


async def test_what_is_offered_is_sent_in_order(line: Line):
    """And answers to the client before events that wait."""
    socket = LiveSocket(line.send, caller(), rich=False)
    for number in range(5):
        socket.offer(str(number), resync)
    socket.answer("answer")
    await settled()

    assert line.texts == ["answer", "0", "1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("frame", "count"), [("x", QUEUE_FRAMES + 50), ("x" * 1_000, QUEUE_CHARACTERS // 1_000 + 50)]
)
async def test_a_slow_client_loses_what_waits_and_is_told_once(line: Line, frame: str, count: int):
    """What waits for it never grows beyond its bounds; its answers are not lost."""
    line.free.clear()
    socket = LiveSocket(line.send, caller(), rich=False)
    socket.answer("answer")
    for _ in range(count):
        socket.offer(frame, resync)
    line.free.set()
    await settled()
    while len(line.texts) < 50:
        await settled()

    assert line.texts[0] == "answer"
    assert line.texts.count("resync") == 1
    assert len(line.texts) <= 52
    assert line.texts.index("resync") == 1


async def test_a_client_that_does_not_read_its_answers_is_cut_off(line: Line):
    """They are kept for it up to a bound."""
    line.free.clear()
    socket = LiveSocket(line.send, caller(), rich=False)
    for _ in range(UNREAD_ANSWERS + 2):
        socket.answer("answer")
    line.free.set()
    await settled()

    assert [message.get("code") for message in line.sent] == [1008]
    await socket.end()


async def test_after_the_end_nothing_is_sent(line: Line):
    """Neither what waited nor what comes, however often it is ended."""
    line.free.clear()
    socket = LiveSocket(line.send, caller(), rich=False)
    socket.offer("waited", resync)
    await settled()
    socket.close(4401, "out")
    socket.close(1012, "again")
    socket.offer("later", resync)
    socket.answer("later")
    line.free.set()
    await settled()

    assert line.sent == [{"type": "websocket.close", "code": 4401, "reason": "out"}]
    await socket.end()


async def test_a_client_that_hears_nothing_is_cut_off_all_the_same(line: Line, monkeypatch: pytest.MonkeyPatch):
    """It had its moment to hear why."""
    monkeypatch.setattr("rookery.web.live.socket.PARTING_SECONDS", 0)
    line.free.clear()

    async def serve() -> None:
        socket = LiveSocket(line.send, caller(), rich=False)
        socket.close(4401, "out")
        await asyncio.Event().wait()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(serve())


async def test_a_client_that_is_gone_is_no_error(line: Line):
    """Whoever reads from it is told the same."""
    line.broken = True
    socket = LiveSocket(line.send, caller(), rich=False)
    socket.offer("one", resync)
    await settled()
    socket.close(1012, "bye")
    await socket.end()

    assert line.sent == []


@given(st.lists(st.floats(0, 3), max_size=50), st.integers(1, 100), st.integers(1, 200))
def test_nobody_sends_faster_than_they_may(pauses: list[float], rate: int, burst: int):
    """Whatever they try: who waits as long as they are told stays under the rate."""
    now = [0.0]
    allowance = Allowance(lambda: now[0], rate, burst)
    for count, pause in enumerate(pauses, 1):
        now[0] += pause
        now[0] += allowance.spend()
        assert count <= burst + now[0] * rate + 1e-6
