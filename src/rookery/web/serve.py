"""Running a gateway until somebody asks it to stop: sockets, signals, and the order of things."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import AsyncExitStack, contextmanager
from datetime import UTC, datetime

import uvicorn

from rookery.config import Config, load, unavailable
from rookery.config.words import Processors
from rookery.errors import ConfigError
from rookery.gateway.control import ControlSocket
from rookery.gateway.gateway import GRACE
from rookery.gateway.home import Home
from rookery.gateway.house import House, open_house
from rookery.gateway.log import open_log
from rookery.gateway.master_key import EnvironmentKey
from rookery.gateway.operations import Operations
from rookery.gateway.reload import Reloader
from rookery.web import processor
from rookery.web.app import App
from rookery.web.front import Front

WEBSOCKET_MESSAGE = 1 << 20
"""The largest WebSocket message that is read, in bytes; whoever sends more is cut off."""

_GARBAGE = (20_000, 20, 20)
"""After how many new objects they are looked through for garbage, and when the older ones are too.

With Python's own 700 that is several times a turn and a twelfth of all work; what lies about meanwhile is small.
"""

Ready = Callable[[House, Config, str], Awaitable[None]]
"""Told of the running house, the configuration it runs by, and the address it answers at."""


def up(
    home: Home,
    *,
    host: str | None,
    port: int | None,
    environ: Mapping[str, str],
    ready: Ready,
) -> None:
    """Run the gateway of a home until SIGTERM or SIGINT; `ready` is told once it accepts.

    Raises `ConfigError`, `Conflict` when the home is in use, `StorageUnavailable`, and `OSError` for an
    address that cannot be bound.
    """
    gc.disable()  # nothing made during the start is garbage; collecting would only look at it again and again
    os.umask(0o077)
    home.prepare()
    environment_key = EnvironmentKey.taken()  # before anything else can see it
    config = load(home.config, environ)
    port = config.gateway.port if port is None else port
    one = config.gateway.processors is Processors.ONE
    beside = processor.stay_on_one(os.getpid()) if one else frozenset[int]()
    with (
        home.locked(),
        contextlib.closing(_bind(host or config.gateway.host, port)) as bound,
        asyncio.Runner(loop_factory=_new_loop) as runner,
    ):
        processor.spread_helpers(runner.get_loop(), beside)
        runner.run(_serve(home, config, bound, environ, ready, environment_key))


async def _serve(
    home: Home,
    config: Config,
    bound: socket.socket,
    environ: Mapping[str, str],
    ready: Ready,
    environment_key: EnvironmentKey,
) -> None:
    stop = _stop_on_signals()
    log = open_log(home.log)
    async with AsyncExitStack() as stack:
        stack.callback(log.close)
        opening = open_house(home, config, now=_now, log=log, grace=GRACE, environment_key=environment_key)
        house = await stack.enter_async_context(opening)
        for line in unavailable(config):
            log.warning("config.unavailable", detail=line)
        reloader = Reloader(house, config, environ)
        address = _address(bound)
        operations = Operations(house, config, reloader, address=address)
        await stack.enter_async_context(ControlSocket(home.socket, operations, log))
        await house.gateway.start()
        app = App(Front.of(operations.desk))
        server = _Server(_server_config(app))
        serving = asyncio.create_task(server.serve(sockets=[bound]), name="http")
        watching = asyncio.create_task(reloader.watch(), name="config watch")
        gc.freeze()
        gc.set_threshold(*_GARBAGE)
        gc.enable()
        log.info("gateway.ready", address=address, pid=os.getpid())
        await ready(house, config, address)
        doors = await app.open()
        await house.outbound.warm()
        await asyncio.to_thread(doors.api.warm)
        await asyncio.wait([asyncio.ensure_future(stop.wait()), serving], return_when=asyncio.FIRST_COMPLETED)
        log.info("gateway.stopping")
        house.gateway.accepting = False
        watching.cancel()
        server.should_exit = True
        await app.close()
        await serving


class _Server(uvicorn.Server):
    """Uvicorn without its own signal handling: the order in which things stop is ours."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def _server_config(app: App) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=WEBSOCKET_MESSAGE,
        ws_per_message_deflate=False,
        lifespan="off",
        interface="asgi3",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=2,
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}. "
            "Choose another with --host and --port, or gateway.host and gateway.port."
        ) from error
    bound.setblocking(False)
    return bound


def _address(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _stop_on_signals() -> asyncio.Event:
    """Set by SIGTERM and SIGINT; a second one ends the process at once, as a crash would, and loses nothing."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop


def _new_loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


def _now() -> datetime:
    return datetime.now(UTC)
