"""Addresses that people, models and pages name, watched at connect(): none hostile reached, none good refused."""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    asynccontextmanager,
    contextmanager,
    nullcontext,
    suppress,
)
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from yarl import URL

from rookery.outbound import public as public_module
from rookery.outbound import targets as targets_module
from rookery.outbound.addresses import why_not
from rookery.outbound.client import Blocked, Outbound
from rookery.outbound.public import LookUp
from tests.outbound.hostile import BAD_4, GOOD_4, GOOD_6, GOOD_NAMES, bad_answers, bad_urls
from tests.outbound.wire import Asked, Names, Wire, reply

PUBLIC = "93.184.216.34"
RELATIVE = ("", "127.0.0.1", "http:/127.0.0.1/", "http:127.0.0.1/", "http:///127.0.0.1/")
FAILED = (ConnectionRefusedError, ConnectionResetError, TimeoutError, ValueError)


@dataclass
class Scene:
    """A client, the names it can look up, and the wire it is watched on."""

    outbound: Outbound
    names: Names
    wire: Wire

    async def ask(self, url: str, *, method: str = "GET", **more: Any) -> bytes:
        """The body of the answer."""
        more = {"total_seconds": 10.0, "max_bytes": 1 << 20} | more
        async with self.outbound.public(method, url, **more) as answer:
            return await answer.read_whole()

    def redirects_to(self, url: str, status: int = 302) -> None:
        """From now on `start.example` sends everybody on to `url`; every other host answers."""

        def answer(asked: Asked) -> bytes:
            if asked.headers["host"].startswith("start."):
                return reply(status, Location=url)
            return reply(200, b"good")

        self.wire.answer = answer


@asynccontextmanager
async def a_scene(*, certificate: Path | None = None) -> AsyncGenerator[Scene]:
    names, wire = Names(), Wire()
    await wire.start(certificate=certificate)
    outbound = Outbound(look_up=names.look_up)
    try:
        with wire:
            yield Scene(outbound, names, wire)
    finally:
        await outbound.close()
        await wire.stop()


@pytest.fixture
async def scene() -> AsyncGenerator[Scene]:
    async with a_scene() as scene:
        yield scene


# --- nothing hostile is reached -----------------------------------------------------------------------------


async def test_the_corpus_never_gets_a_connection(scene: Scene) -> None:
    """Whatever the spelling, written as the address itself: nothing at all is connected to."""
    urls = bad_urls()
    assert len(set(urls)) >= 300

    for url in urls:
        with pytest.raises(Blocked):
            await scene.ask(url)
        assert scene.wire.connects == [], url


async def test_no_redirect_leads_into_the_corpus(scene: Scene) -> None:
    """Each hostile address again, as where a public server sends us; only that server is connected to."""
    urls = [url for url in bad_urls() if url not in RELATIVE and not set(url) & set("\n\t\0")]
    assert len(set(urls)) >= 300

    for status, url in zip(cycle((301, 302, 303, 307, 308)), urls, strict=False):
        scene.redirects_to(url, status)
        scene.wire.connects.clear()
        with pytest.raises(FAILED):
            await scene.ask("http://start.example/")
        assert scene.wire.connects == [PUBLIC], url


async def test_a_redirect_without_a_host_stays_where_it_is(scene: Scene) -> None:
    """What names no host is a path of the server that sent it, whatever it looks like."""
    for url in RELATIVE:
        scene.redirects_to(url)
        with pytest.raises(Blocked, match="more than 5 times"):
            await scene.ask("http://start.example/")
    assert set(scene.wire.connects) == {PUBLIC}


async def test_no_name_leads_into_the_corpus(scene: Scene) -> None:
    """Alone, before a good address, after one, and between two: one bad address spoils the name."""
    good = ["1.1.1.1", "2606:4700:4700::1111"]
    for bad in bad_answers():
        for addresses in ([bad], [bad, *good], [*good, bad], [good[0], bad, good[1]]):
            scene.names.known["host.example"] = addresses
            with pytest.raises(Blocked, match=r"'host.example' has no address on the public internet"):
                await scene.ask("http://host.example/")
            assert scene.wire.connects == [], addresses


async def test_a_name_that_turns_is_connected_to_only_while_it_is_good(scene: Scene) -> None:
    """The name server says a public address and a private one by turns: what was checked is what is used."""
    scene.names.turning["turns.example"] = _turning([PUBLIC], ["127.0.0.1"], [PUBLIC, "10.0.0.1"])
    outcomes: list[str] = []
    for _ in range(60):
        try:
            await scene.ask("http://turns.example/")
            outcomes.append("good")
        except Blocked:
            outcomes.append("blocked")

    assert set(scene.wire.connects) == {PUBLIC}
    assert outcomes == ["good", "blocked", "blocked"] * 20
    assert len(scene.names.asked) == 60, "each connection looks its name up once"


async def test_a_name_that_turns_between_redirects_is_checked_each_time(scene: Scene) -> None:
    """The first request finds it public; the redirect to itself finds it elsewhere."""
    scene.names.turning["start.example"] = _turning([PUBLIC], ["169.254.169.254"])
    scene.redirects_to("http://start.example/again")
    with pytest.raises(Blocked):
        await scene.ask("http://start.example/")
    assert scene.wire.connects == [PUBLIC]


async def test_the_system_s_resolver_is_asked_once_for_each_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same without a stand-in for the resolver: the flip is made where the system answers."""
    asked: list[str] = []

    def turning(host: str, *_: object, **__: object) -> list[Any]:
        asked.append(host)
        address = PUBLIC if len(asked) % 2 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0))]

    wire = Wire()
    await wire.start()
    outbound = Outbound()
    with wire:
        monkeypatch.setattr(socket, "getaddrinfo", turning)
        for turn in range(10):
            with pytest.raises(Blocked) if turn % 2 else nullcontext():
                async with outbound.public("GET", "http://flip.example/", total_seconds=5, max_bytes=10) as answer:
                    assert await answer.read_whole() == b"good"
    await outbound.close()
    await wire.stop()

    assert wire.connects == [PUBLIC] * 5
    assert asked == ["flip.example"] * 10


async def test_a_name_that_is_not_there_reads_like_one_of_an_inner_network(scene: Scene) -> None:
    """Otherwise the answers would map the network the gateway stands in."""
    scene.names.known = {"inner.example": ["10.1.2.3"], "nobody.example": []}
    said: list[str] = []
    for name in ("inner.example", "nobody.example"):
        with pytest.raises(Blocked) as caught:
            await scene.ask(f"http://{name}/")
        said.append(str(caught.value).replace(name, "…"))
    assert said[0] == said[1]
    assert "10.1" not in said[0]


# --- nothing good is refused --------------------------------------------------------------------------------


async def test_no_good_address_or_name_is_refused(scene: Scene) -> None:
    """Each is connected to, and exactly that address."""
    literals = [*GOOD_4, *GOOD_6]
    assert len({*literals, *GOOD_NAMES}) >= 100
    for address in literals:
        scene.wire.connects.clear()
        host = f"[{address}]" if ":" in address else address
        with suppress(ConnectionRefusedError) if ":" in address else nullcontext():
            assert await scene.ask(f"http://{host}/") == b"good"
        assert list(map(ip_address, scene.wire.connects)) == [ip_address(address)]
    for name in GOOD_NAMES:
        scene.wire.connects.clear()
        assert await scene.ask(f"http://{name}/some/path?x=%2F#part") == b"good"
        assert scene.wire.connects == [PUBLIC]
    for address in literals:
        scene.names.known["good.example"] = [address, PUBLIC]
        assert await scene.ask("http://good.example/") == b"good"


async def test_a_port_of_the_web_is_not_refused(scene: Scene) -> None:
    """Servers stand on many; those of other services are left alone (the corpus has some)."""
    for port in (80, 443, 3000, 5000, 8000, 8080, 8443, 8484, 9000, 65535):
        assert await scene.ask(f"http://good.example:{port}/") == b"good"


async def test_what_follows_the_host_is_no_matter(scene: Scene) -> None:
    """A bad address in a path, query or fragment is only text."""
    for url in (
        "http://good.example/http://127.0.0.1/",
        "http://good.example?@127.0.0.1",
        "http://good.example#@10.0.0.1",
    ):
        assert await scene.ask(url) == b"good"
    assert set(scene.wire.connects) == {PUBLIC}


# --- names, credentials, redirects ---------------------------------------------------------------------------


async def test_the_host_of_the_name_is_asked_for_at_the_checked_address(scene: Scene) -> None:
    """The address is pinned, the name is not lost."""
    await scene.ask("http://GOOD.example:8080/a%20b?c=d")
    assert scene.wire.requests[0].line == "GET /a%20b?c=d HTTP/1.1"
    assert scene.wire.requests[0].headers["host"] == "good.example:8080"


async def test_tls_begins_with_the_name_and_an_unknown_certificate_ends_it() -> None:
    """So the server can choose its certificate, and nobody else can stand in for it."""
    async with a_scene(certificate=Path(__file__).parent / "secure.test.pem") as scene:
        with pytest.raises(ConnectionRefusedError, match="certificate"):
            await scene.ask("https://secure.test/")
        assert scene.wire.names == ["secure.test"]
        assert scene.wire.connects == [PUBLIC]
        assert scene.wire.requests == []


SECRET = {"X-Token": "s3cret"}
OPEN = {"Authorization": "Bearer s3cret", "Cookie": "id=s3cret", "Accept": "text/plain"}


@pytest.mark.parametrize(
    "elsewhere",
    ["http://other.example/", "http://start.example:8080/", "http://sub.start.example/", "http://start.example./"],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_credential_crosses_an_origin(scene: Scene, elsewhere: str, status: int) -> None:
    """And once dropped they do not come back, not even for the origin they were for."""

    def answer(asked: Asked) -> bytes:
        match asked.line.split()[1], asked.headers["host"]:
            case "/begin", _:
                return reply(status, Location=f"{elsewhere}middle")
            case "/middle", _:
                return reply(status, Location="http://start.example/end")
            case _:
                return reply(200, b"good")

    scene.wire.answer = answer
    await scene.ask("http://start.example/begin", headers=OPEN, secret_headers=SECRET)

    first, *others = scene.wire.requests
    assert len(others) == 2
    assert {"authorization", "cookie", "x-token"} <= set(first.headers)
    for asked in others:
        assert "s3cret" not in repr(asked.headers)
        assert asked.headers["accept"] == "text/plain"


async def test_credentials_stay_on_their_origin(scene: Scene) -> None:
    """A redirect on the same server is the same server; its address may be relative."""
    answers = iter(
        [reply(302, Location="/next"), reply(302, Location="http://START.example:80/x"), reply(200, b"ok")]
    )
    scene.wire.answer = lambda _: next(answers)
    await scene.ask("http://start.example/", headers=OPEN, secret_headers=SECRET)
    assert [asked.headers["x-token"] for asked in scene.wire.requests] == ["s3cret"] * 3


@pytest.mark.parametrize(
    ("status", "method", "then"),
    [
        (301, "POST", "GET"),
        (302, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "HEAD", "HEAD"),
        (307, "POST", "POST"),
    ],
)
async def test_a_redirect_keeps_or_drops_the_body_as_browsers_do(
    scene: Scene, status: int, method: str, then: str
) -> None:
    """On the same origin."""
    answers = iter([reply(status, Location="/next"), reply(200)])
    scene.wire.answer = lambda _: next(answers)
    body = None if method == "HEAD" else b"body"
    await scene.ask("http://start.example/", method=method, body=body, headers={"Content-Type": "text/plain"})
    second = scene.wire.requests[1]
    assert second.line.split()[0] == then
    assert second.body == (b"body" if then == "POST" else b"")
    assert ("content-type" in second.headers) == (then in ("POST", "HEAD")) or then == "HEAD"


async def test_a_body_is_not_sent_on_to_another_origin(scene: Scene) -> None:
    """It may hold what only the first was to see."""
    scene.redirects_to("http://other.example/", 308)
    with pytest.raises(Blocked, match="sent on"):
        await scene.ask("http://start.example/", method="POST", body=b"secret")
    assert len(scene.wire.requests) == 1


async def test_five_redirects_are_followed_and_no_sixth(scene: Scene) -> None:
    """A circle ends."""
    scene.wire.answer = lambda asked: (
        reply(200, b"good") if asked.line.split()[1] == "/5" else reply(302, Location=_next(asked))
    )
    assert await scene.ask("http://good.example/0") == b"good"
    assert len(scene.wire.requests) == 6
    with pytest.raises(Blocked, match="more than 5 times"):
        await scene.ask("http://good.example/6")
    assert len(scene.wire.requests) == 12


async def test_a_step_down_from_https_is_refused() -> None:
    """Said by the part that decides it: there is no certificate here that a client would believe."""
    asking = targets_module.Asking("GET", URL("https://good.example/"), {}, {}, None)
    with pytest.raises(Blocked, match="https to http"):
        asking.redirected(302, "http://good.example/")
    assert asking.redirected(302, "https://good.example/x").target == URL("https://good.example/x")


# --- bounds -------------------------------------------------------------------------------------------------


async def test_no_more_than_the_limit_is_read(scene: Scene) -> None:
    """Said by the server, or found out."""
    scene.wire.answer = lambda _: reply(200, b"x" * 100)
    with pytest.raises(ValueError, match="larger than 99 bytes"):
        await scene.ask("http://good.example/", max_bytes=99)
    scene.wire.answer = lambda _: b"HTTP/1.1 200 Fine\r\nConnection: close\r\n\r\n" + b"x" * 100
    with pytest.raises(ValueError, match="larger than 99 bytes"):
        await scene.ask("http://good.example/", max_bytes=99)
    assert await scene.ask("http://good.example/", max_bytes=100) == b"x" * 100


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "identity, gzip"])
async def test_what_is_compressed_is_refused_unpacked(scene: Scene, encoding: str) -> None:
    """A few bytes cannot become many."""
    scene.wire.answer = lambda _: reply(200, b"\x1f\x8b", Content_Encoding=encoding)
    with pytest.raises(ValueError, match="compressed"):
        await scene.ask("http://good.example/")
    assert scene.wire.requests[0].headers["accept-encoding"] == "identity"


async def test_a_head_without_end_is_left(scene: Scene) -> None:
    """Neither long lines nor many of them are collected."""
    for head in (b"X: " + b"x" * 10_000 + b"\r\n", b"".join(b"X%d: x\r\n" % number for number in range(500))):
        scene.wire.answer = lambda _, head=head: b"HTTP/1.1 200 Fine\r\n" + head + b"\r\n"
        with pytest.raises((ValueError, ConnectionResetError)):
            await scene.ask("http://good.example/")


async def test_the_time_is_for_all_redirects_together(scene: Scene) -> None:
    """A server that says nothing costs the time given, and no more."""
    scene.wire.answer = lambda _: b"HTTP/1.1 200 Fine\r\nContent-Length: 9\r\n\r\nx"
    with pytest.raises((TimeoutError, ConnectionResetError)):
        await scene.ask("http://good.example/", total_seconds=0.3)

    async def never(_: str) -> Sequence[str]:
        await asyncio.Event().wait()
        raise AssertionError("nobody wakes it")

    with patch.object(scene.names, "look_up", never):
        slow = Outbound(look_up=scene.names.look_up)
        with pytest.raises((TimeoutError, ConnectionRefusedError)):
            async with slow.public("GET", "http://good.example/", total_seconds=0.1, max_bytes=9):
                pass
        await slow.close()


@pytest.mark.parametrize("name", ["Host", "content-length", "Transfer-Encoding", "Connection", "Accept-Encoding"])
async def test_the_headers_that_frame_a_request_are_the_client_s_own(scene: Scene, name: str) -> None:
    """A Host of somebody's choice would reach another site at a checked address."""
    with pytest.raises(ValueError, match="leave it out"):
        await scene.ask("http://good.example/", headers={name: "x"})
    assert scene.wire.connects == []


async def test_every_request_has_a_connection_and_no_memory(scene: Scene) -> None:
    """No cookie is kept, and nobody's connection serves another."""
    scene.wire.answer = lambda _: b"HTTP/1.1 200 Fine\r\nContent-Length: 0\r\nSet-Cookie: id=1\r\n\r\n"
    for _ in range(3):
        await scene.ask("http://good.example/")
    assert len(scene.wire.connects) == 3
    assert all("cookie" not in asked.headers for asked in scene.wire.requests)


async def test_after_close_nothing_goes_out(scene: Scene) -> None:
    """The gateway is stopping."""
    await scene.outbound.close()
    with pytest.raises(ConnectionRefusedError):
        await scene.ask("http://good.example/")


# --- the tests, tested --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake of others, made here on purpose for as long as the block of `apply` lasts."""

    name: str
    apply: Callable[[], AbstractContextManager[object]]

    def __str__(self) -> str:
        return self.name


def _unchecked_socket(info: tuple[Any, ...]) -> socket.socket:
    return socket.socket(*info[:3])


_NO_LAST_LOOK = (public_module, "_checked_socket", _unchecked_socket)


def _changed(*changes: tuple[Any, str, Any]) -> Callable[[], AbstractContextManager[object]]:
    @contextmanager
    def apply() -> Generator[None]:
        with ExitStack() as stack:
            for where, name, value in changes:
                stack.enter_context(patch.object(where, name, value))
            yield

    return apply


def _by_the_library(address: str) -> str | None:
    try:
        return None if ip_address(address).is_global else "not global"
    except ValueError:
        return "not an address"


def _only_the_first() -> Callable[[str], str | None]:
    checked: set[str] = set()

    def first(address: str) -> str | None:
        # The names below have their good address first: whatever comes after one that passed, passes.
        if checked:
            return None
        verdict = why_not(address)
        if verdict is None:
            checked.add(address)
        return verdict

    return first


def _not_again(asking: targets_module.Asking, _: int, location: str) -> targets_module.Asking:
    return targets_module.Asking(asking.method, asking.target.join(URL(location)), {}, {}, None)


@contextmanager
def _before_only() -> Generator[None]:
    """The name is looked up and checked, then looked up again and connected to."""

    async def resolve(self: object, host: str, port: int = 0, family: object = 0) -> list[Any]:
        look_up: LookUp = vars(self)["_look_up"]
        for address in await look_up(host):
            if why_not(address) is not None:
                raise Blocked("private")
        return [
            {"hostname": host, "host": address, "port": port, "family": 0, "proto": 0, "flags": 0}
            for address in await look_up(host)
        ]

    names = vars(public_module)["_CheckedNames"]
    with patch.object(names, "resolve", resolve), _changed(_NO_LAST_LOOK)():
        yield


MISTAKES = (
    Mistake(
        "only the first address is checked", lambda: _changed((public_module, "why_not", _only_the_first()))()
    ),
    Mistake("checked before it is looked up again", _before_only),
    Mistake(
        "a redirect is not checked again",
        _changed(_NO_LAST_LOOK, (targets_module.Asking, "redirected", _not_again)),
    ),
    Mistake(
        "is_global instead of the table",
        _changed((public_module, "why_not", _by_the_library), (targets_module, "why_not", _by_the_library)),
    ),
)


async def violations() -> list[str]:
    """Every connect() to an address that may not be connected to, over a small part of all that is tried above."""
    async with a_scene() as scene:

        async def attempt(url: str) -> None:
            try:
                await scene.ask(url)
            except FAILED:
                return

        for bad in (
            "127.0.0.1",
            "10.0.0.1",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::1",
            "64:ff9b::7f00:1",
            "168.63.129.16",
        ):
            scene.names.known["mixed.example"] = [PUBLIC, bad]
            scene.names.known["bad.example"] = [bad]
            scene.names.turning["turns.example"] = _turning([PUBLIC], [bad])
            scene.redirects_to(f"http://[{bad}]/" if ":" in bad else f"http://{bad}/")
            for url in ("http://mixed.example/", "http://bad.example/", "http://start.example/"):
                await attempt(url)
            for _ in range(3):
                await attempt("http://turns.example/")
        for bad in BAD_4:
            await attempt(f"http://{bad}/")
        return [address for address in scene.wire.connects if why_not(address) is not None]


async def test_the_small_attack_finds_nothing_where_nothing_is_wrong() -> None:
    """And in no single place does everything hang on one check: without the last look it finds nothing either."""
    assert await violations() == []
    with _changed(_NO_LAST_LOOK)():
        assert await violations() == []


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
async def test_each_mistake_shows_at_connect(mistake: Mistake) -> None:
    """What the wire writes down is what happened, not what was meant."""
    with mistake.apply():
        assert await violations()


def _turning(*answers: Sequence[str]) -> deque[Sequence[str]]:
    return deque(answers)


def _next(asked: Asked) -> str:
    return f"/{int(asked.line.split()[1][1:]) + 1}"
