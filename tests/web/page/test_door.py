"""The page as bytes: what is served where, what it may do in a browser, and what it costs."""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from rookery.web.asgi import Door
from rookery.web.front import Front
from rookery.web.origin import Origins
from rookery.web.page.door import PageDoor
from tests.web.conftest import Reply, Site

_PARTS = re.compile(r'(?:href|src)="(ui/[^"]+)"')


async def ask(door: Door, path: str, *, method: str = "GET", root_path: str = "", **headers: str) -> Reply:
    """One request to the door alone."""
    sent: list[MutableMapping[str, Any]] = []

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request"}

    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "scheme": "http",
        "path": f"{root_path}{path}",
        "root_path": root_path,
        "client": ("127.0.0.1", 5),
        "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
    }
    await door(scope, receive, send)
    start, body = sent
    answered = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], answered, body["body"])


@pytest.fixture
def door() -> PageDoor:
    origins = Origins(public_url="https://house.example", allowed_hosts=[], trusted_proxies=["127.0.0.1"])
    # The door asks a front for its origins, and for nothing else.
    return PageDoor(cast("Front", SimpleNamespace(entry=SimpleNamespace(origins=origins))))


async def parts(door: Door) -> list[str]:
    """The paths of everything the index names."""
    index = await ask(door, "/")
    return [f"/{part}" for part in _PARTS.findall(index.body.decode())]


async def test_the_page_answers_through_the_front_door(site: Site) -> None:
    """A browser that opens the gateway's address gets the page, and the same page at /setup."""
    index = await site.get("/")

    assert (index.status, index.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert b"<rk-app>" in index.body
    assert (await site.get("/setup")).body == index.body
    assert (await site.get("/favicon.ico")).headers["content-type"] == "image/x-icon"


async def test_everything_the_index_names_is_there_and_never_changes(door: PageDoor) -> None:
    """All files come from addresses that hold their version: a browser need not ask for one twice."""
    named = await parts(door)

    assert {name.rpartition(".")[2] for name in named} == {"js", "css", "svg"}
    for path in named:
        reply = await ask(door, path)
        assert reply.status == 200, path
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await ask(door, "/")).headers["cache-control"] == "no-cache"


async def test_every_import_is_a_file_of_the_same_version_that_is_preloaded(door: PageDoor) -> None:
    """Modules name one another by relative addresses, so an open page never mixes two versions."""
    named = set(await parts(door))
    modules = {path for path in named if path.endswith(".js")}

    imported: set[str] = set()
    for path in modules:
        source = (await ask(door, path)).body.decode()
        for wanted in re.findall(r"^(?:import|\} from|import .* from) '([^']+)'", source, re.MULTILINE):
            assert wanted.startswith("."), f"{path} imports {wanted}"
            target = (Path(path).parent / wanted).as_posix()
            imported.add(re.sub(r"[^/]+/\.\./", "", target.replace("/./", "/")))

    assert imported <= modules
    assert {
        path for path in modules if path not in imported and not path.endswith(("app.js", "theme.js"))
    } == set()


async def test_nothing_is_inline_and_nothing_comes_from_elsewhere(door: PageDoor) -> None:
    """The page keeps to its content policy by itself: no code in the HTML, no other origin."""
    for path in ["/", *await parts(door)]:
        source = (await ask(door, path)).body.decode()
        elsewhere = [url for url in re.findall(r"https?://[\w.-]+", source) if url != "http://www.w3.org"]
        assert elsewhere == [], path
        if not path.endswith((".js", ".css")):
            assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", source), path


async def test_html_is_written_in_one_place(door: PageDoor) -> None:
    """Only `trusted` makes elements out of a text; nothing evaluates one."""
    writing = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|srcdoc =")
    found = [
        (path.rpartition("/")[2], match)
        for path in await parts(door)
        if path.endswith(".js")
        for match in writing.findall((await ask(door, path)).body.decode())
    ]

    assert found == [("dom.js", "innerHTML")]


async def test_every_answer_is_locked_down(door: PageDoor) -> None:
    """Only our own code runs, nobody may frame the page, and no address it was opened from is told to anybody."""
    for path in ["/", "/setup", *await parts(door)]:
        headers = (await ask(door, path)).headers
        policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert {policy[name] for name in ("script-src", "style-src", "connect-src", "form-action")} == {"'self'"}
        assert {policy[name] for name in ("base-uri", "frame-ancestors", "object-src")} == {"'none'"}
        assert policy["require-trusted-types-for"] == "'script'"
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        assert headers["cross-origin-resource-policy"] == "same-origin"


async def test_a_browser_stays_on_https_once_it_came_that_way(door: PageDoor) -> None:
    """Strict-Transport-Security is said on https alone, where it means something."""
    plain = await ask(door, "/", host="127.0.0.1:8484")
    forwarded = await ask(door, "/", host="127.0.0.1:8484", x_forwarded_proto="https")
    public = await ask(door, "/", host="house.example")

    assert "strict-transport-security" not in plain.headers
    assert forwarded.headers["strict-transport-security"] == "max-age=31536000"
    assert public.headers["strict-transport-security"] == "max-age=31536000"


async def test_files_are_packed_for_who_takes_them_packed(door: PageDoor) -> None:
    """gzip for a browser that offers it, plain bytes for everybody else; both are the same file."""
    packed = await ask(door, "/", accept_encoding="br, gzip;q=0.8")
    plain = await ask(door, "/", accept_encoding="br, gzip;q=0")

    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["vary"] == plain.headers["vary"] == "accept-encoding"


async def test_who_has_it_is_not_sent_it_again(door: PageDoor) -> None:
    """A known ETag is answered 304, and HEAD with everything but the body."""
    index = await ask(door, "/")
    again = await ask(door, "/", if_none_match=f'"other", {index.headers["etag"]}')
    head = await ask(door, "/", method="HEAD")

    assert (again.status, again.body) == (304, b"")
    assert "content-security-policy" in again.headers
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-length"] == str(len(index.body))


async def test_what_is_no_file_of_this_version_is_not_there(door: PageDoor) -> None:
    """Another version, a path that climbs, a folder and the template itself lead nowhere."""
    named = await parts(door)
    version = named[0].split("/")[2]

    for path in (
        f"/ui/{'0' * 16}/app.js",
        f"/ui/{version}/",
        f"/ui/{version}/views",
        f"/ui/{version}/index.html",
        f"/ui/{version}/../door.py",
        f"/ui/{version}//app.js",
        "/ui/",
        "/ui/app.js",
    ):
        assert (await ask(door, path)).status == 404, path
    assert (await ask(door, "/", method="POST")).status == 405


async def test_the_page_can_live_below_a_prefix(door: PageDoor) -> None:
    """A server that is told of a root path serves the same page there: all its addresses are relative."""
    index = await ask(door, "/", root_path="/birds")

    assert index.status == 200
    assert all(part.startswith("ui/") for part in _PARTS.findall(index.body.decode()))
    assert (await ask(door, (await parts(door))[0], root_path="/birds")).status == 200


async def test_a_gateway_that_nobody_looks_at_reads_no_page(site: Site) -> None:
    """The files are read, and packed, when somebody first asks for one."""
    sys.modules.pop("rookery.web.page.files", None)
    assert (await site.get("/healthz")).status == 200
    assert "rookery.web.page.files" not in sys.modules

    await site.get("/")
    assert "rookery.web.page.files" in sys.modules


async def test_the_whole_page_is_small(door: PageDoor) -> None:
    """All that a first visit loads, packed: less than one photograph's thumbnail."""
    sizes = [len((await ask(door, path, accept_encoding="gzip")).body) for path in ["/", *await parts(door)]]

    assert sum(sizes) < 48 * 1024


async def test_all_languages_say_the_same(door: PageDoor) -> None:
    """Each catalogue has exactly the English keys, and fills in the same values."""
    version = (await parts(door))[0].split("/")[2]
    catalogues: dict[str, dict[str, set[str]]] = {}
    for language in ("en", "de", "es", "zh"):
        source = (await ask(door, f"/ui/{version}/words/{language}.js")).body.decode()
        lines = re.findall(r"^  '([\w.]+)': '(.*)',$", source, re.MULTILINE)
        assert len(lines) == source.count("\n  '"), f"{language}: each line is one key and its words"
        catalogues[language] = {key: set(re.findall(r"\{(\w+)\}", words)) for key, words in lines}

    for language, catalogue in catalogues.items():
        assert catalogue == catalogues["en"], language
