"""The client's end of the control socket: blocking, one request after the other."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import Self, TypeVar

import msgspec
from msgspec import Struct

from rookery.errors import RookeryError
from rookery.gateway.frames import Frame
from rookery.gateway.home import Home
from rookery.gateway.shapes import Nothing

T = TypeVar("T")

_decode = msgspec.json.Decoder(Frame).decode
_encode = msgspec.json.encode


class Failed(RookeryError):
    """The gateway did not do what was asked."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class BrokenOff(RookeryError):
    """The gateway ended the connection; it has stopped, or its log says why."""

    code = "broken_off"


class Wire:
    """One connection. Several threads may ask; only one reads."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._file = end.makefile("rb")
        self._last = 0
        self._asking = threading.Lock()

    def call(self, method: str, params: Struct | None, returns: type[T]) -> T:
        """Ask, and wait for the answer. Raises `Failed` with the gateway's reason, or `BrokenOff`."""
        asked = self.ask(method, params)
        for frame in self.frames():
            if frame.id in (asked, None):
                return result_of(frame, returns)
        raise BrokenOff

    def stream(self, method: str, params: Struct | None, returns: type[T]) -> Iterator[T]:
        """Ask, and yield the events that come before the answer. Raises as `call` does."""
        asked = self.ask(method, params)
        for frame in self.frames():
            if frame.id not in (asked, None):
                continue
            if not frame.event:
                result_of(frame, Nothing)
                return
            yield msgspec.json.decode(frame.event, type=returns)
        raise BrokenOff

    def ask(self, method: str, params: Struct | None = None) -> int:
        """Send a request, and return the id under which its answer will come.

        When nobody takes it, whoever reads learns it, with what the gateway may have said before it hung up.
        """
        with self._asking:
            self._last += 1
            request = {"id": self._last, "method": method, "params": params or Nothing()}
            with contextlib.suppress(OSError):
                self._end.sendall(_encode(request) + b"\n")
            return self._last

    def frames(self) -> Iterator[Frame]:
        """What the gateway says, until it ends the connection."""
        while True:
            try:
                line = self._file.readline()
            except (OSError, ValueError):
                return
            if not line.endswith(b"\n"):
                return
            yield _decode(line)

    def close(self) -> None:
        """Hang up; whoever reads sees the end."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self._end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def result_of(frame: Frame, returns: type[T]) -> T:
    """What a last frame says. Raises `Failed`."""
    if frame.error is not None:
        raise Failed(frame.error.code, frame.error.detail)
    assert frame.result, "the last frame of a request is its result or its error"
    return msgspec.json.decode(frame.result, type=returns)


def connect(home: Home) -> Wire | None:
    """A connection to the gateway that runs on this home; None when none does."""
    from rookery.gateway.address import address_of

    end = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with address_of(home.socket) as address:
            end.connect(address)
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        end.close()
        return None
    except BaseException:
        end.close()
        raise
    return Wire(end)
