"""Whatever a client sends, the gateway stands, and says what was wrong with it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import msgspec
from websockets.exceptions import ConnectionClosed

from tests.web.conftest import Site
from tests.web.live.client import Client, token

FRAMES = 2_000
SEED = 20_261_120


def value(draw: random.Random, depth: int = 0) -> Any:
    """Any JSON value."""
    kinds = 9 if depth < 4 else 7
    match draw.randrange(kinds):
        case 0:
            return None
        case 1:
            return draw.random() < 0.5
        case 2:
            return draw.choice([0, -1, 2**63, 2**64, 1e308, -0.0, 10**40])
        case 3:
            return draw.choice(
                ["", "a", "\0", "\ud7ff", "x" * 5_000, "agent:alice:main", "../../etc", "💥", "\u202e"]
            )
        case 4:
            return draw.choice(["message", "stop", "hello", "accepted"])
        case 5:
            return f"k{draw.randrange(50)}"
        case 6:
            return "/" + draw.choice(["help", "new x", "stop", "status", "", "nothing"])
        case 7:
            return [value(draw, depth + 1) for _ in range(draw.randrange(5))]
        case _:
            return {name(draw): value(draw, depth + 1) for _ in range(draw.randrange(5))}


def name(draw: random.Random) -> str:
    return draw.choice(
        ["type", "sessionKey", "text", "idempotencyKey", "attachments", "attachmentId", "x", "", "é"]
    )


def frames(draw: random.Random) -> Iterator[str | bytes]:
    """Frames that are nearly right, valid JSON, broken JSON, bytes, deep and large ones."""
    nearly = {
        "type": "message",
        "sessionKey": "agent:alice:main",
        "text": "hello",
        "idempotencyKey": "k1",
        "attachments": [{"attachmentId": "a1"}],
    }
    while True:
        match draw.randrange(10):
            case 0 | 1 | 2 | 3:
                changed: dict[str, Any] = dict(nearly)
                for _ in range(draw.randrange(1, 4)):
                    changed[name(draw)] = value(draw)
                for missing in draw.sample(sorted(changed), draw.randrange(2)):
                    del changed[missing]
                yield _text(changed)
            case 4 | 5:
                yield _text(value(draw))
            case 6:
                text = _text({**nearly, "idempotencyKey": f"k{draw.random()}"})
                at = draw.randrange(len(text))
                yield text[:at] + draw.choice(["", "\0", '"', "{", "\\ud800", "é", text]) + text[at + 1 :]
            case 7:
                yield draw.randbytes(draw.randrange(200))
            case 8:
                depth = draw.choice([10, 1_000, 50_000])
                yield '{"type":"stop","x":' + draw.choice(["[", '{"a":']) * depth
            case _:
                yield '{"type":"stop","sessionKey":"' + "y" * draw.choice([10, 70_000, 900_000]) + '"}'


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


async def test_no_frame_breaks_the_gateway(site: Site):
    """Two thousand of them: no error on our side, no end of ours, no hang-up without a word."""
    await site.uses("alice", "instant:2")
    secret = (await token(site, "alice")).secret
    draw = random.Random(SEED)
    source = frames(draw)
    sent = lines = 0
    while sent < FRAMES:
        lines += 1
        async with Client(site, secret) as client:
            try:
                for _ in range(15):  # fewer than a client may send in a row that make no sense
                    await client.line.send(next(source))
                    sent += 1
                await client.send(type="message", sessionKey="main", text="/help", idempotencyKey=f"end-{lines}")
                while (answer := await client.until("accepted", "error")).get("idempotencyKey") != f"end-{lines}":
                    assert answer.get("code") != "internal", answer
                assert answer["type"] == "accepted"
            except ConnectionClosed as closed:
                raise AssertionError(f"the socket was closed: {closed}") from closed
    await site.house.gateway.idle()

    assert (await site.get("/readyz")).status == 200
    assert '"level":"error"' not in site.log, site.log
    assert "socket.broke" not in site.log
