"""Running commands as a shell would, in this process; and a gateway for them to find."""

from __future__ import annotations

import asyncio
import io
import json
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from rookery.cli import main
from rookery.config import load
from rookery.gateway.control import ControlSocket, PeerUid
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import silent_log
from rookery.gateway.operations import Operations
from rookery.gateway.reload import Reloader
from rookery.models import Model

ADDRESS = "http://127.0.0.1:8484"


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its output, which was JSON."""
        return json.loads(self.out)

    def refused_with(self, *words: str) -> None:
        """It failed with one clear line that holds these words, and no output."""
        assert self.status == 1, self
        assert self.out == ""
        assert self.err.startswith("rookery: ")
        assert self.err.count("\n") == 1
        for word in words:
            assert word in self.err


class Rookery:
    """`rookery …` on one home."""

    def __init__(self, home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.home = Home(home)
        self._capsys = capsys
        self._monkeypatch = monkeypatch

    def __call__(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command to its end; `stdin` is what is piped in."""
        return self.anywhere("--home", str(self.home.path), *arguments, stdin=stdin)

    def anywhere(self, *arguments: str, stdin: str = "") -> Ran:
        """Run a command without saying the home."""
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode()), encoding="utf-8"))
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        printed = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, printed.out, printed.err)

    def configure(self, text: str) -> None:
        """Write `rookery.yaml`."""
        self.home.path.mkdir(mode=0o700, exist_ok=True)
        self.home.config.write_text(text)
        self.home.config.chmod(0o600)


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway in a thread of its own; what it waits for is touched there alone."""

    house: House
    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event

    def let(self, do: Callable[[], object]) -> None:
        """Do something in the gateway's thread."""
        self.loop.call_soon_threadsafe(do)

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until this holds of the gateway."""

        async def look() -> None:
            async with asyncio.timeout(20):
                while not holds():
                    await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(look(), self.loop).result()


@contextmanager
def running(home: Home, *, model: Model | None = None, peer_uid: PeerUid | None = None) -> Generator[Running]:
    """A gateway that runs on a home, without its web page, in a thread beside the test."""
    ready: Future[Running] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        config = load(home.config, {})
        async with open_house(home, config, now=lambda: datetime.now(UTC), log=silent_log(), grace=1) as house:
            if model is not None:
                await _answer_with(house, model)
            operations = Operations(house, config, Reloader(house, config, {}), address=ADDRESS)
            async with ControlSocket(home.socket, operations, silent_log(), peer_uid=peer_uid):
                await house.gateway.start()
                ready.set_result(Running(house, asyncio.get_running_loop(), stop))
                await stop.wait()

    def run() -> None:
        try:
            with home.locked():
                asyncio.run(serve())
        except BaseException as error:
            if ready.done():
                raise
            ready.set_exception(error)

    home.prepare()
    thread = threading.Thread(target=run, name="gateway")
    thread.start()
    try:
        gateway = ready.result()
        try:
            yield gateway
        finally:
            gateway.let(gateway.stop.set)
    finally:
        thread.join()


async def _answer_with(house: House, model: Model) -> None:
    from rookery.gateway.providers import OFFLINE, Provider

    await house.gateway.providers.replace(
        {OFFLINE: Provider(OFFLINE, lambda: model, keyless=True)}, {}, "offline/demo"
    )
