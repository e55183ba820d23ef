"""A house of the command's own, for while no gateway runs: opened under the home's lock, in a thread beside it."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Generator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from rookery.cli.reach import Held
from rookery.cli.wire import Wire
from rookery.config import Config, load
from rookery.errors import Conflict
from rookery.gateway.control import converse
from rookery.gateway.home import Home
from rookery.gateway.house import open_house
from rookery.gateway.log import open_log
from rookery.gateway.master_key import EnvironmentKey
from rookery.gateway.operations import Operations

GRACE = 3.0
"""Seconds a running turn has to end when the command does."""


class Inside:
    """The open house, as its commands reach it: by connections, like a gateway that runs."""

    def __init__(self, served: _Served, stack: ExitStack) -> None:
        self._served = served
        self._stack = stack

    def connect(self) -> Wire:
        """One more connection; it is closed with the house at the latest."""
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        wire = self._stack.enter_context(Wire(ours))
        self._served.loop.call_soon_threadsafe(self._served.welcome, theirs)
        return wire


@contextmanager
def inside(home: Home, *, answering: bool) -> Generator[Inside]:
    """Open the state for the block; with `answering`, turns are answered too.

    Raises `Held` when another process has the home, and what `config.load` and `open_house` raise.
    """
    before = os.umask(0o077)
    try:
        home.prepare()
        environment_key = EnvironmentKey.taken()
        config = load(home.config, os.environ)
        with ExitStack() as held:
            try:
                held.enter_context(home.locked())
            except Conflict as error:
                raise Held(error.detail) from None
            with _opened(home, config, environment_key, answering=answering) as house:
                yield house
    finally:
        os.umask(before)


@contextmanager
def _opened(home: Home, config: Config, environment_key: EnvironmentKey, *, answering: bool) -> Generator[Inside]:
    ready: Future[_Served] = Future()
    ended: Future[None] = Future()

    def run() -> None:
        try:
            asyncio.run(_serve(home, config, ready, environment_key, answering=answering))
        except BaseException as error:
            (ended if ready.done() else ready).set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name="house")
    thread.start()
    try:
        served = ready.result()
        try:
            with ExitStack() as connections:
                yield Inside(served, connections)
        finally:
            served.loop.call_soon_threadsafe(served.stop.set)
    finally:
        thread.join()
    ended.result()


@dataclass(frozen=True, slots=True)
class _Served:
    """What the thread that serves the house shares with the one that uses it."""

    loop: asyncio.AbstractEventLoop
    stop: asyncio.Event
    operations: Operations
    connections: set[asyncio.Task[None]]

    def welcome(self, end: socket.socket) -> None:
        log = self.operations.desk.house.gateway.log
        task = self.loop.create_task(converse(end, self.operations, log), name="connection")
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)


async def _serve(
    home: Home,
    config: Config,
    ready: Future[_Served],
    environment_key: EnvironmentKey,
    *,
    answering: bool,
) -> None:
    log = open_log(home.log)
    try:
        async with open_house(
            home,
            config,
            now=_now,
            log=log,
            grace=GRACE,
            answering=answering,
            environment_key=environment_key,
        ) as house:
            if answering:
                await house.gateway.start()
            served = _Served(asyncio.get_running_loop(), asyncio.Event(), Operations(house, config), set())
            ready.set_result(served)
            await served.stop.wait()
            await asyncio.gather(*served.connections, return_exceptions=True)
    finally:
        log.close()


def _now() -> datetime:
    return datetime.now(UTC)
