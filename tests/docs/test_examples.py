"""The examples work: they sign, they are answered, they check what comes back."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import HTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from rookery.channels.contract import Outcome, Receipt
from rookery.channels.webhook.bridge import Bridge
from rookery.channels.webhook.channel import WebhookAccount, WebhookChannel
from rookery.ids import AgentId, DeliveryId
from rookery.messages import Chat, ChatKind, InboundMessage, OutboundMessage, Route, Speaker
from tests.channels.front import Front
from tests.docs.reference import DOCS

EXAMPLES = DOCS / "examples"
SECRET = "a secret that is long enough"


def _example(name: str) -> ModuleType:
    """One of the examples, as `import` would give it."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_example("board")
TestBoard = _example("test_board").TestBoard
"""The channel of docs/channels.md keeps what every channel has to keep."""


class Gateway:
    """What is behind the webhook, for a test: it accepts, and remembers."""

    def __init__(self) -> None:
        self.received: list[InboundMessage] = []
        self.channel = WebhookChannel(
            {"default": WebhookAccount(SECRET)}, Bridge(SECRET).post, lambda: datetime.now(UTC)
        )

    async def receive(self, message: InboundMessage) -> Receipt:
        self.received.append(message)
        return Receipt(Outcome.ACCEPTED, turn_id="t1")


async def test_the_python_example_signs_as_the_webhook_wants_it() -> None:
    """What it sends is accepted, and a wrong secret is not."""
    send = _example("send")
    gateway = Gateway()
    await gateway.channel.start(gateway.receive)
    async with Front(gateway.channel) as front:
        host = front.url("default").split("/")[2]
        body = send.message("alice", 'Grüße, "字"', "m1")

        status, answer = await asyncio.to_thread(send.send, host, "default", SECRET, body)
        wrong, _ = await asyncio.to_thread(send.send, host, "default", "another secret, long too", body)

    assert (status, answer) == (202, b'{"accepted":true,"turnId":"t1"}')
    assert wrong == 401
    assert [(message.sender_id, message.text) for message in gateway.received] == [("alice", 'Grüße, "字"')]


async def test_the_bash_example_signs_as_the_webhook_wants_it() -> None:
    """With nothing but bash, curl and openssl; quotes and backslashes come through."""
    gateway = Gateway()
    await gateway.channel.start(gateway.receive)
    async with Front(gateway.channel) as front:
        process = await asyncio.create_subprocess_exec(
            EXAMPLES / "send.sh",
            "alice",
            'one "two" \\ three',
            env={**os.environ, "WEBHOOK_SECRET": SECRET, "ROOKERY_URL": front.url("default").partition("/api")[0]},
            stdout=asyncio.subprocess.PIPE,
        )
        answer, _ = await process.communicate()

    assert answer == b'{"accepted":true,"turnId":"t1"}\n'
    assert [message.text for message in gateway.received] == ['one "two" \\ three']


async def test_the_receiver_prints_replies_that_are_signed_and_refuses_others(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The channel delivers to it; with another secret on our side it says 401, which is final."""
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    with _listening(_example("receive")) as url:
        async with Bridge(SECRET) as bridge:
            accounts = {"default": WebhookAccount(SECRET, url)}
            channel = WebhookChannel(accounts, bridge.post, lambda: datetime.now(UTC))
            await channel.send(_reply("Hello!"))
            status, _ = await bridge.says(url, b"{}", time.time(), {"x-rookery-signature": "sha256=00"})

    assert capfd.readouterr().out == "to alice: Hello!\n"
    assert status == 401


@contextmanager
def _listening(receiver: ModuleType) -> Generator[str]:
    server = HTTPServer(("127.0.0.1", 0), receiver.Replies)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/reply"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _reply(text: str) -> OutboundMessage:
    route = Route("webhook", "default", Chat(ChatKind.DM, "alice"), None, "alice", "m1")
    return OutboundMessage(DeliveryId("d1"), route, Speaker(AgentId("alice"), "Rookery"), text)


def test_the_examples_are_all_shown() -> None:
    """No file lies there that no page has."""
    shown = "".join(page.read_text() for page in (DOCS.parent / "README.md", *DOCS.glob("*.md")))
    files = [path for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh")]

    assert [path.name for path in files if f"<!-- file: docs/examples/{path.name} -->" not in shown] == []
    assert Path(EXAMPLES / "send.sh").stat().st_mode & 0o100
