"""A small internet of its own: a name server on UDP that changes its mind, and web servers at every address.

Run inside a network and mount namespace (`test_flipping_dns.py` does that), so that port 53, `/etc/resolv.conf`
and the addresses are nobody else's. Nothing of the client is replaced: the system's resolver asks the name server,
and what is connected to is what the servers accepted. Prints one JSON object.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import cycle
from typing import Any
from unittest.mock import patch

from rookery.outbound import public as public_module
from rookery.outbound.addresses import why_not
from rookery.outbound.client import Blocked, Outbound

GOOD_4, GOOD_6 = "93.184.216.34", "2606:2800:220:1::34"
BAD = ("10.0.0.1", "169.254.169.254", "192.168.1.1", "100.64.0.1", "127.0.0.1", "fd00::1", "::1")
ROUNDS = 12

_A, _AAAA = 1, 28


class NameServer:
    """Answers each lookup of a name with the next of its answers, for A and AAAA alike; nothing may be cached."""

    def __init__(self) -> None:
        self.answers: dict[str, Iterator[Sequence[str]]] = {}
        self.said: Counter[str] = Counter()
        self._now: dict[str, tuple[set[int], Sequence[str]]] = {}
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.53", 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def turns(self, name: str, *answers: Sequence[str]) -> None:
        """From now on this name is at these addresses, lookup by lookup."""
        self.answers[name] = cycle(answers)

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(4096)
            self._socket.sendto(self._answer(query), asker)

    def _answer(self, query: bytes) -> bytes:
        labels, at = list[str](), 12
        while length := query[at]:
            labels.append(query[at + 1 : at + 1 + length].decode())
            at += 1 + length
        kind = struct.unpack(">H", query[at + 1 : at + 3])[0]
        question = query[12 : at + 5]
        addresses = self._addresses(".".join(labels).lower(), kind)
        packed = [one for one in map(_packed, addresses) if len(one) == (4 if kind == _A else 16)]
        records = [b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 0, len(one)) + one for one in packed]
        header = query[:2] + b"\x84\x00" + struct.pack(">HHHH", 1, len(records), 0, 0)
        return header + question + b"".join(records)

    def _addresses(self, name: str, kind: int) -> Sequence[str]:
        """One lookup asks for both kinds; the second of the two hears what the first did."""
        if name not in self.answers:
            return ()
        heard, addresses = self._now.get(name, (set[int](), ()))
        if not heard or kind in heard:
            heard, addresses = set[int](), next(self.answers[name])
            self.said.update(addresses)
        heard.add(kind)
        self._now[name] = (set() if heard == {_A, _AAAA} else heard, addresses)
        return addresses


def _packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


class WebServers:
    """One for all addresses; it counts at which of them it was reached."""

    def __init__(self) -> None:
        self.reached: Counter[str] = Counter()
        self._servers: list[asyncio.Server] = []

    async def start(self) -> None:
        for host in ("0.0.0.0", "::"):  # every address there is, of a network that is ours alone
            self._servers.append(await asyncio.start_server(self._serve, host, 80, reuse_port=True))

    async def stop(self) -> None:
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reached[writer.get_extra_info("sockname")[0]] += 1
        head = await reader.readuntil(b"\r\n\r\n")
        again = b" /again " in head.splitlines()[0]
        host = next(line for line in head.splitlines() if line.lower().startswith(b"host:"))[5:].strip()
        if again:
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://%b/\r\nContent-Length: 0\r\n\r\n" % host)
        else:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ngood")
        await writer.drain()
        writer.close()


async def attack(names: NameServer, servers: WebServers) -> dict[str, Any]:
    """Ask for names that flip, in every pattern, also in the middle of a redirect; tell what came of it."""
    outcomes: Counter[str] = Counter()
    outbound = Outbound()

    async def ask(url: str) -> None:
        try:
            async with outbound.public("GET", url, total_seconds=10, max_bytes=100) as answer:
                outcomes["good" if await answer.read_whole() == b"good" else "odd"] += 1
        except Blocked:
            outcomes["blocked"] += 1
        except (OSError, ValueError) as error:
            outcomes[type(error).__name__] += 1

    for number, bad in enumerate(BAD):
        patterns: list[list[Sequence[str]]] = [
            [(GOOD_4,), (bad,)],
            [(GOOD_4, GOOD_6), (bad,), (GOOD_4, bad)],
            [(GOOD_4,), (GOOD_4,), (bad, GOOD_4)],
            [(GOOD_6,), (bad,)],
        ]
        for which, pattern in enumerate(patterns):
            name = f"turns-{number}-{which}.test"
            names.turns(name, *pattern)
            for _ in range(ROUNDS):
                await ask(f"http://{name}/")
                await ask(f"http://{name}/again")
    names.turns("steady.test", (GOOD_4,), (GOOD_4, GOOD_6))
    before = outcomes["good"]
    for _ in range(ROUNDS):
        await ask("http://steady.test/")
    await outbound.close()
    return {
        "outcomes": outcomes,
        "steady": outcomes["good"] - before,
        "said bad": sum(count for address, count in names.said.items() if why_not(address) is not None),
        "reached bad": sum(count for address, count in servers.reached.items() if why_not(_bare(address))),
        "reached good": sum(count for address, count in servers.reached.items() if not why_not(_bare(address))),
    }


def _bare(address: str) -> str:
    return address.removeprefix("::ffff:")


@contextmanager
def checked_before_it_is_looked_up_again() -> Generator[None]:
    """The mistake that a flipping name server is for."""

    async def resolve(self: object, host: str, port: int = 0, family: object = 0) -> list[Any]:
        look_up: Callable[[str], Any] = vars(self)["_look_up"]
        for address in await look_up(host):
            if why_not(address) is not None:
                raise Blocked("private")
        return [
            {"hostname": host, "host": address, "port": port, "family": 0, "proto": 0, "flags": 0}
            for address in await look_up(host)
        ]

    def unchecked(info: tuple[Any, ...]) -> socket.socket:
        return socket.socket(*info[:3])

    names = vars(public_module)["_CheckedNames"]
    with patch.object(names, "resolve", resolve), patch.object(public_module, "_checked_socket", unchecked):
        yield


async def _main(mistaken: bool) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for address in (GOOD_4, GOOD_6, *BAD):
        if address not in ("127.0.0.1", "::1"):
            subprocess.run(
                ["ip", "addr", "add", f"{address}/{128 if ':' in address else 32}", "dev", "lo"], check=True
            )
    names, servers = NameServer(), WebServers()
    await servers.start()
    with checked_before_it_is_looked_up_again() if mistaken else nullcontext():
        print(json.dumps(await attack(names, servers)))
    await servers.stop()


if __name__ == "__main__":
    asyncio.run(_main("--mistaken" in sys.argv))
