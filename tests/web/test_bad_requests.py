"""What must not reach a person's assistant, answered clearly at the door, over real HTTP."""

from __future__ import annotations

import asyncio
import time
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rookery import users
from rookery.channels.webhook import signature
from rookery.errors import Conflict
from rookery.gateway import turn_facts
from rookery.ids import UserId
from tests.web.conftest import SECRET, Site, read_reply

MIB = 1 << 20


async def test_a_good_message_is_accepted_and_answered(site: Site) -> None:
    """The way everything else departs from: 202, and the reply at the callback, for the right sender."""
    status, answer = await site.post(site.message("alice", "hello"))
    assert (status, answer["accepted"]) == (202, True)
    assert await site.heard("alice", 1) == ["word1 word2 "]
    body = site.bridge.heard[0].body
    assert body["to"] == {"chat": {"kind": "dm", "id": "alice"}, "senderId": "alice", "threadId": None}
    assert body["from"] == {"agentId": "alice", "name": "Rookery"}


async def test_the_same_message_again_is_a_duplicate(site: Site) -> None:
    """200, and one answer."""
    message = site.message("alice")
    assert (await site.post(message))[0] == 202
    assert await site.post(message) == (200, {"duplicate": True})
    await site.heard("alice", 1)
    await site.house.gateway.idle()
    assert len(site.bridge.attempts) == 1


async def refused(site: Site, status: int, code: str, **how: Any) -> dict[str, Any]:
    """Post a message that is to be refused; nothing of it may be kept."""
    found, answer = await site.post(site.message("alice", "canary"), **how)
    assert (found, answer["code"]) == (status, code)
    assert answer["status"] == status
    assert await site.house.database.read(turn_facts.count_unfinished) == 0
    return answer


BAD_SIGNATURES: list[dict[str, str]] = [
    {signature.SIGNATURE: "sha256=" + "0" * 64},
    {signature.SIGNATURE: "0" * 64},
    {signature.SIGNATURE: "sha256=é"},
    {signature.SIGNATURE: ""},
    {signature.TIMESTAMP: ""},
    {signature.TIMESTAMP: "soon"},
    {signature.TIMESTAMP: "-1"},
    {signature.TIMESTAMP: "9" * 400},
]


async def test_a_bad_signature_is_401(site: Site) -> None:
    """Whatever is wrong with it."""
    for headers in BAD_SIGNATURES:
        await refused(site, 401, "bad_signature", headers=headers)


async def test_an_old_or_future_signature_is_401(site: Site) -> None:
    """A message that was recorded cannot be played again later; the answer says what to look at."""
    for late in (-301, 302):
        answer = await refused(site, 401, "bad_signature", at=time.time() + late)
        assert "5 minutes" in answer["detail"]


async def test_no_signature_is_401_and_says_how_to_make_one(site: Site) -> None:
    """Nothing of the body is looked at before."""
    body = b"{this is no JSON"
    head = f"POST /api/channels/webhook/default HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    reply = await site.raw(head.encode() + body)
    assert (reply.status, reply.json["code"]) == (401, "bad_signature")
    assert "X-Rookery-Timestamp" in reply.json["detail"]
    assert reply.headers["content-type"] == "application/problem+json"


async def test_an_unknown_account_reads_like_a_wrong_secret(site: Site) -> None:
    """Which accounts there are is nobody's business; one account's secret does not open another."""
    for account in ("nobody", "Default", "other", "a%20b"):
        await refused(site, 401, "bad_signature", account=account)


MALFORMED: list[bytes] = [
    b"",
    b" ",
    b"{",
    b"null",
    b"[]",
    b"7",
    b'"hello"',
    b"{}",
    b"\xff\xfe",
    b'{"text": "\xff"}',
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"messageId":"1","senderId":"alice","text":"x","chat":{"kind":"dm","id":"alice"}} trailing',
    b'{"messageId":"1","senderId":"alice","text":"x","chat":{"kind":"dm","id":"alice"}',
]

WRONG: dict[str, list[Any]] = {
    "messageId": [None, "", 7, [], {}, "a\0b", True],
    "senderId": [None, "", 12345, ["alice"], "a\0b"],
    "text": [None, 7, [], {}, "a\0b", "", "  \n"],
    "chat": [
        None,
        "alice",
        [],
        {},
        {"kind": "dm"},
        {"id": "a"},
        {"kind": "DM", "id": "a"},
        {"kind": "dm", "id": ""},
    ],
    "threadId": ["", 7, "a\0b"],
    "mentioned": ["yes", 1],
    "attachments": [
        {},
        "a",
        [7],
        [{}],
        [{"name": "a"}],
        [{"name": "a", "contentType": "b", "url": "file:///etc/passwd"}],
    ],
}


async def test_malformed_json_is_400_and_says_what_it_has_to_be(site: Site) -> None:
    """Each of many shapes; the server goes on."""
    for body in MALFORMED:
        status, answer = await site.post(body)
        assert (status, answer["code"]) == (400, "invalid"), body[:60]
        assert answer["detail"].startswith("$"), body[:60]
        assert (
            "has to be" in answer["detail"]
            or "no message needs" in answer["detail"]
            or "UTF-8" in answer["detail"]
        )
    assert (await site.post(site.message()))[0] == 202
    await site.heard("alice", 1)


async def test_a_wrong_type_is_400_and_names_the_key(site: Site) -> None:
    """Missing, empty, of another type or with a NUL: the key stands in the answer, nothing is kept."""
    for key, values in WRONG.items():
        for value in values:
            status, answer = await site.post(site.message(**{key: value}))
            assert (status, answer["code"]) == (400, "invalid"), (key, value)
            assert key.lower() in answer["detail"].lower() or "message is empty" in answer["detail"], answer
    assert await site.house.database.read(turn_facts.count_unfinished) == 0


async def test_a_lone_surrogate_is_400(site: Site) -> None:
    """JSON can spell what is no character."""
    body = msgspec.json.encode(site.message(text="X")).replace(b'"X"', b'"\\ud800"')
    status, answer = await site.post(body)
    assert (status, answer["code"]) == (400, "invalid")


async def test_an_unknown_sender_is_403_with_the_remedy(site: Site) -> None:
    """The bridge's operator reads the very command that lets them in; no model was asked."""
    status, answer = await site.post(site.message("mallory", "mallory-canary"))
    assert (status, answer["code"]) == (403, "refused")
    assert "rookery identity link USER webhook mallory --account default" in answer["detail"]
    assert site.fake.requests == type(site.fake.requests)(maxlen=site.fake.requests.maxlen)
    assert "mallory-canary" not in site.log


async def test_an_address_is_one_person_s(site: Site) -> None:
    """Linking Alice's address to Bob is refused, naming her; she goes on writing as herself."""
    now = datetime.now(UTC)
    with pytest.raises(Conflict, match="Identity 'webhook@default:alice' already belongs to 'alice'; unlink it"):
        await site.house.database.write(
            lambda c: users.link(c, UserId("bob"), "webhook", "default", "alice", now=now)
        )
    await site.says("alice", "/whoami")
    assert "You are alice (alice)" in (await site.heard("alice", 1))[0]


# --- too much ------------------------------------------------------------------------------------------------


async def test_a_body_announced_as_a_gibibyte_is_413_at_once(site: Site) -> None:
    """Before a byte of it is sent; the connection is closed, because what would come is not wanted."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(_head("/api/channels/webhook/default", f"Content-Length: {1 << 30}"))
    async with asyncio.timeout(5):
        reply = await read_reply(reader)
        assert await reader.read() == b""
    assert (reply.status, reply.json["code"]) == (413, "too_large")
    assert reply.headers["connection"] == "close"
    writer.close()


async def test_a_body_without_end_is_413_after_a_mebibyte(site: Site) -> None:
    """Chunked, so that nobody can know beforehand: cut off, and never held in memory."""
    tracemalloc.start()
    try:
        sent, reply = await _pour(site, "/api/channels/webhook/default")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert reply is None or reply.status == 413
    assert sent < 64 * MIB
    assert peak < 16 * MIB
    assert (await site.get("/healthz")).status == 200


async def test_a_body_nobody_asked_for_is_not_read_to_its_end(site: Site) -> None:
    """Posted to where nothing takes it, without end: answered, and the connection closed.

    The answer came, and then the server went on reading and dropping bytes for as long as they were sent.
    """
    for path in ("/nothing", "/healthz", "/api/channels/nothing/default"):
        sent, reply = await _pour(site, path)
        assert reply is None or reply.status in (404, 405)
        assert sent < 64 * MIB


async def _pour(site: Site, path: str) -> tuple[int, Any]:
    """Send chunks until the server hangs up, or far more than it should take."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(_head(path, "Transfer-Encoding: chunked"))
    chunk, sent = b"%x\r\n%b\r\n" % (65_536, b"x" * 65_536), 0
    answer = asyncio.create_task(read_reply(reader))
    try:
        async with asyncio.timeout(20):
            while sent < 64 * MIB:
                writer.write(chunk)
                await writer.drain()
                sent += 65_536
    except ConnectionError:
        pass
    try:
        # A server that hangs up on unread bytes may take its own answer with it.
        return sent, await asyncio.wait_for(answer, 5)
    except (ConnectionError, asyncio.IncompleteReadError):
        return sent, None
    finally:
        writer.close()


def _head(path: str, *headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    signed = signature.sign(SECRET.encode(), int(time.time()), b"")
    lines += [f"{name}: {value}" for name, value in signed.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


# --- the wrong way -------------------------------------------------------------------------------------------


ELSEWHERE: list[tuple[str, str, int, str | None]] = [
    ("GET", "/api/channels/webhook/default", 405, "POST"),
    ("PUT", "/api/channels/webhook/default", 405, "POST"),
    ("DELETE", "/healthz", 405, "GET"),
    ("POST", "/api/channels/telegram/default", 404, None),
    ("POST", "/api/channels/terminal/local", 404, None),
    ("POST", "/api/channels/webhook", 404, None),
    ("POST", "/api/channels/webhook/", 404, None),
    ("POST", "/api/channels/webhook/default/more", 404, None),
    ("POST", "/api/channels/WEBHOOK/default", 404, None),
    ("GET", "/api", 404, None),
    ("GET", "/../etc/passwd", 404, None),
    ("GET", "/rookery.yaml", 404, None),
]


async def test_a_wrong_method_or_path_is_said_so(site: Site) -> None:
    """As problem details, with what is allowed."""
    for method, path, status, allow in ELSEWHERE:
        reply = await site.get(path, method=method)
        assert (reply.status, reply.headers.get("allow")) == (status, allow), path
        assert reply.json["status"] == status


async def test_an_encoded_separator_in_a_path_is_400(site: Site) -> None:
    """What is one segment to a proxy must not be two to us."""
    for path in ("webhook%2Fdefault", "webhook/default%2fmore", "webhook/default%00", "webhook/a%5Cb"):
        reply = await site.get(f"/api/channels/{path}", method="POST")
        assert (reply.status, reply.json["code"]) == (400, "bad_path"), path


OURS = ["localhost", "LOCALHOST:8484", "127.0.0.1", "[::1]:8484", "192.168.1.5:80"]
FOREIGN = ["evil.example", "localhost.evil.example", "127.0.0.1.nip.io", "", "[", "[::1", "[zz]", "a b", ":80"]


async def test_a_foreign_host_is_not_served(site: Site) -> None:
    """A page elsewhere that had its name point here gets nothing, whatever it writes; we never stumble over it."""
    for host in OURS:
        assert (await site.get("/healthz", host=host)).status == 200, host
    for host in FOREIGN:
        reply = await site.get("/healthz", host=host)
        assert (reply.status, reply.json["code"]) == (400, "bad_host"), host
    assert "http.broke" not in site.log


async def test_readiness_follows_whether_messages_are_taken(site: Site) -> None:
    """200 while they are, 503 from the moment the gateway stops; health says only that the process lives."""
    assert (await site.get("/readyz")).status == 200
    site.house.gateway.accepting = False
    assert (await site.get("/readyz")).status == 503
    assert (await site.get("/healthz")).status == 200
    status, answer = await site.post(site.message())
    assert (status, answer["code"]) == (503, "storage_unavailable")
    site.house.gateway.accepting = True
    assert (await site.get("/readyz", method="HEAD")).status == 200
