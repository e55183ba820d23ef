"""Other processes, started, looked at through /proc, and ended."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

GATEWAY = (sys.executable, "-m", "rookery")
"""The command that is the gateway, up to the word `up`."""

ROOT = Path(__file__).parent.parent
"""Where `benchmarks` can be imported from."""

_TICK = os.sysconf("SC_CLK_TCK")
_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """What a process holds, in MB (10⁶ bytes): `rss` with all it shares with others, `pss` with its part of it."""

    rss: float
    pss: float


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway that runs and is ready; `seconds` from the start of the process to the first 200 of /readyz."""

    pid: int
    url: str
    seconds: float


def _as_installed() -> dict[str, str]:
    """This environment, in which Python keeps its compiled modules, as it does for an installed package."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def gateway(
    home: Path, command: Sequence[str] = GATEWAY, environ: dict[str, str] | None = None
) -> Generator[Gateway]:
    """Run the gateway of a home for the block, and end it as SIGTERM does.

    Raises `RuntimeError` with what it printed when it does not become ready.
    """
    port = free_port()
    output = home / "output.txt"
    with open(output, "wb") as printed:
        began = perf_counter()
        process = subprocess.Popen(
            [*command, "up", "--home", str(home), "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            env={**_as_installed(), **(environ or {})},
        )
        try:
            while not _ready(port):
                if process.poll() is not None or perf_counter() - began > _PATIENCE:
                    raise RuntimeError(f"The gateway did not become ready:\n{output.read_text()[-4000:]}")
                time.sleep(0.002)
            yield Gateway(process.pid, f"http://127.0.0.1:{port}", perf_counter() - began)
        finally:
            process.terminate()
            process.wait(_PATIENCE)


@contextmanager
def endpoint() -> Generator[str]:
    """Run the model endpoint for the block; gives its address, without the path of a wire format."""
    command = [sys.executable, "-m", "benchmarks.endpoint"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None, "it was asked to be piped"
            url = process.stdout.readline().decode().strip()
            if not url:
                raise RuntimeError("The model endpoint did not start.")
            yield url
        finally:
            process.terminate()


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def cpu_seconds(pid: int) -> float:
    """The processor time all threads of a process have used, in seconds, to 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory(pid: int) -> Memory:
    """What a process holds now. Of a gateway only root sees what it shares; others are told all of it twice."""
    try:
        sizes = _sizes(f"/proc/{pid}/smaps_rollup")
    except PermissionError:
        resident = _sizes(f"/proc/{pid}/status")["VmRSS"]
        return Memory(resident, resident)
    return Memory(sizes["Rss"], sizes["Pss"])


def _sizes(path: str) -> dict[str, float]:
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return {name: int(rest.split()[0]) * 1024 / 1e6 for name, _, rest in lines if rest.endswith("kB")}


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as line:
            line.sendall(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            return line.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False
