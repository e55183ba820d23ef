"""The one way out: what it follows, what it keeps, what it raises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from rookery.outbound.client import Outbound
from tests.support.fake_openai import Canned, FakeOpenAI


@pytest.fixture
async def fake() -> AsyncGenerator[FakeOpenAI, None]:
    fake = FakeOpenAI()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
async def outbound() -> AsyncGenerator[Outbound, None]:
    outbound = Outbound()
    yield outbound
    await outbound.close()


async def post(
    outbound: Outbound, fake: FakeOpenAI, model: str, *, limit: int = 1 << 20, total_seconds: float = 10
) -> tuple[int, bytes]:
    """Ask the endpoint, read its whole answer."""
    async with outbound.operator(
        "POST",
        # By name, as most are: cookies of a bare IP address are refused by many libraries anyway.
        f"{fake.base_url.replace('127.0.0.1', 'localhost')}/chat/completions",
        headers={"Content-Type": "application/json"},
        body=b'{"model":"%b"}' % model.encode(),
        total_seconds=total_seconds,
    ) as answer:
        return answer.status, await answer.read_whole(limit)


async def test_an_answer_is_read_whole(fake: FakeOpenAI, outbound: Outbound) -> None:
    """Whatever its status."""
    fake.serve("m", Canned((b"one ", b"two"), status=418))

    assert await post(outbound, fake, "m") == (418, b"one two")


async def test_only_what_was_given_is_sent(
    fake: FakeOpenAI, outbound: Outbound, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cookie of an earlier answer, no proxy of the environment, no compression."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    fake.serve("m", Canned((b"x",), headers={"Set-Cookie": "id=1"}))
    await post(outbound, fake, "m")
    await post(outbound, fake, "m")

    assert {"host", "accept", "accept-encoding", "user-agent", "content-type", "content-length"} == set(
        fake.last.headers
    )
    assert fake.last.headers["accept-encoding"] == "identity"


async def test_redirects_are_answers(fake: FakeOpenAI, outbound: Outbound) -> None:
    """Where a server points is not where the operator sent us."""
    fake.serve("m", Canned((), status=307, headers={"Location": f"{fake.base_url}/elsewhere"}))

    assert (await post(outbound, fake, "m"))[0] == 307
    assert len(fake.requests) == 1


async def test_an_answer_larger_than_wanted_is_left(fake: FakeOpenAI, outbound: Outbound) -> None:
    """The rest is not read; the server sees us leave."""
    fake.serve("m", Canned((b"x" * 100,), end="stay"))

    with pytest.raises(ValueError, match="larger than 99 bytes"):
        await post(outbound, fake, "m", limit=99)
    await fake.until(lambda: fake.hung_up == 1)


@pytest.mark.parametrize(
    ("model", "error"),
    [("close-at-once", ConnectionResetError), ("break-mid-stream", ConnectionResetError), ("hang", TimeoutError)],
)
async def test_trouble_is_said_in_common_words(
    fake: FakeOpenAI, outbound: Outbound, model: str, error: type[Exception]
) -> None:
    """So that no caller needs to know the library underneath."""
    with pytest.raises(error):
        await post(outbound, fake, model, total_seconds=0.2)


async def test_after_close_nothing_goes_out(fake: FakeOpenAI) -> None:
    """And closing waits for nobody."""
    outbound = Outbound()
    waiting = asyncio.ensure_future(post(outbound, fake, "hang"))
    await fake.until(lambda: fake.counts["hang"] == 1)
    await outbound.close()
    await outbound.close()

    with pytest.raises(ConnectionResetError):
        await waiting
    with pytest.raises(ConnectionRefusedError):
        await post(outbound, fake, "instant")


async def test_an_answer_that_was_left_but_never_ends_is_closed_with_the_rest(fake: FakeOpenAI) -> None:
    """Leaving gives the server a moment; stopping does not."""
    outbound = Outbound()
    fake.serve("m", Canned((b"x",), end="stay"))
    async with outbound.operator(
        "POST",
        f"{fake.base_url}/chat/completions",
        headers={},
        body=b'{"model":"m"}',
        total_seconds=10,
    ) as answer:
        assert await answer.read_some() == b"x"
        answer.leave()
    assert fake.hung_up == 0
    await outbound.close()
    await fake.until(lambda: fake.hung_up == 1)


async def test_a_server_that_hangs_up_behind_each_answer_can_be_asked_again_at_once(outbound: Outbound) -> None:
    """llama.cpp says that it keeps the connection and closes it; who asks again is not the one to suffer for it.

    A run that called a quick tool asks again within a millisecond, and met the closed connection almost every
    second time.
    """
    answered = 0

    async def answer_and_hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal answered
        await reader.readuntil(b"\r\n\r\n{}")
        answered += 1
        writer.write(b"HTTP/1.1 200 OK\r\nServer: llama.cpp\r\nKeep-Alive: timeout=5\r\n")
        writer.write(b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer_and_hang_up, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        for _ in range(20):
            async with outbound.operator("POST", url, headers={}, body=b"{}", total_seconds=10) as answer:
                assert await answer.read_whole() == b"ok"

    assert answered == 20
