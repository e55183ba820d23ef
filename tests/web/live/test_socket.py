"""The socket of `/api/ws`, through a real server and a client of somebody else's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rookery import users
from rookery.gateway import deliveries
from rookery.gateway.watchers import SessionChanged, SessionRemoved, TurnDelta, TurnFinished, TurnStarted, Where
from rookery.ids import AgentId, SessionId, TurnId, UserId
from rookery.messages import Role, StopReason, Usage
from rookery.models import ModelReply, TextDelta, ToolCallDelta
from rookery.users import CredentialKind, credentials, passwords
from rookery.web.live.door import LiveDoor
from rookery.web.live.socket import BROKEN_FRAMES
from tests.web.conftest import Site
from tests.web.live.client import Client, disable, token

MAIN = "agent:alice:main"


@pytest.fixture
async def alice(site: Site) -> str:
    """A token of Alice's; she is answered in five words."""
    await site.uses("alice", "stream:5")
    return (await token(site, "alice")).secret


async def test_who_has_to_choose_a_password_first_has_no_socket(site: Site):
    """A device is held until its owner's password is their own, an open socket of it as much as a new one."""
    device = await site.house.database.write(
        lambda c: credentials.issue(c, UserId("alice"), CredentialKind.DEVICE, "browser", now=datetime.now(UTC))
    )
    cookie = {"Cookie": f"rookery_session={device.secret}", "Origin": site.base}

    async def choose(*, must_change: bool) -> None:
        now = datetime.now(UTC)
        await site.house.database.write(
            lambda c: passwords.keep_password(c, UserId("alice"), "hash", must_change=must_change, now=now)
        )

    await choose(must_change=True)
    with pytest.raises(InvalidStatus) as refused:
        await Client(site, **cookie).__aenter__()
    assert refused.value.response.status_code == 403
    await choose(must_change=False)
    async with Client(site, **cookie) as client:
        await choose(must_change=True)
        await client.send(type="message", sessionKey="main", text="hello", idempotencyKey="k")
        with pytest.raises(ConnectionClosed):
            await client.until("accepted")


def in_session(person: str = "alice", session: str = "s1", key: str = MAIN) -> Where:
    return Where(AgentId(person), SessionId(session), key, UserId(person))


def says(site: Site, text: str, turn: str = "t1", where: Where | None = None) -> None:
    """The model of a turn writes some more."""
    site.house.gateway.watchers.tell(where or in_session(), TurnDelta(TurnId(turn), TextDelta(text)))


def begins(site: Site, turn: str = "t1", where: Where | None = None) -> None:
    site.house.gateway.watchers.tell(where or in_session(), TurnStarted(TurnId(turn), (TurnId(turn),)))


def ends(site: Site, text: str, turn: str = "t1", where: Where | None = None) -> None:
    finished = TurnFinished(TurnId(turn), (TurnId(turn),), "done", text)
    site.house.gateway.watchers.tell(where or in_session(), finished)


# --- coming in ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer rk_nobodys"},
        {"Authorization": "Basic YWxpY2U6eA=="},
        {"Cookie": "rookery_session=nobodys", "Origin": "{own}"},
        {"Cookie": "rookery_session={device}"},
        {"Cookie": "rookery_session={device}", "Origin": "http://evil.example"},
        {"Cookie": "rookery_session={device}", "Origin": "null"},
        {"Cookie": "rookery_session={device}", "Origin": "{own}.evil.example"},
        {"Cookie": "rookery_session={device}", "Origin": "{own}", "Sec-Fetch-Site": "cross-site"},
        {"Cookie": "rookery_session={token}", "Origin": "{own}"},
        {"Authorization": "Bearer {device}"},
    ],
)
async def test_only_somebody_gets_a_socket_and_a_browser_only_from_our_page(site: Site, headers: dict[str, str]):
    """Everybody else is answered 403, and learns nothing."""
    device = (await token(site, "alice", CredentialKind.DEVICE)).secret
    secret = (await token(site, "alice")).secret
    named = {name: value.format(own=site.base, device=device, token=secret) for name, value in headers.items()}

    with pytest.raises(InvalidStatus) as refused:
        async with Client(site, None, **named):
            pass

    assert refused.value.response.status_code == 403


async def test_a_page_of_ours_gets_a_socket_by_its_cookie(site: Site):
    """The cookie of a login, and the page's own origin."""
    device = (await token(site, "alice", CredentialKind.DEVICE)).secret
    cookie = {"Cookie": f"other=1; rookery_session={device}", "Origin": site.base}

    async with Client(site, None, **cookie) as page:
        assert page.hello["type"] == "hello"


async def test_a_name_that_was_made_to_lead_here_is_not_served(site: Site, alice: str):
    """DNS rebinding: the right address under somebody else's name."""
    with pytest.raises(InvalidStatus):
        async with Client(site, alice, Host="evil.example"):
            pass


async def test_one_person_has_so_many_sockets(site: Site, alice: str, monkeypatch: pytest.MonkeyPatch):
    """The next is told so before it is opened, and another person's is opened all the same."""
    monkeypatch.setattr(site.app.live, "_sockets_each", 1)
    bob = (await token(site, "bob")).secret

    async with Client(site, alice):
        with pytest.raises(InvalidStatus) as refused:
            async with Client(site, alice):
                pass
        assert refused.value.response.status_code == 429
        assert refused.value.response.headers["retry-after"] == "10"
        async with Client(site, bob):
            assert site.app.live.sockets == 2


# --- what is told -------------------------------------------------------------------------------------------


async def test_a_message_is_accepted_and_its_answer_streams_by(site: Site, alice: str):
    """As an API client sees it: no HTML unless it is asked for."""
    async with Client(site, alice) as client:
        accepted = await client.says("hello", "k1", MAIN)
        frames = await client.all_until("turn.finished")

    started, *deltas, finished = frames
    assert accepted == {"type": "accepted", "idempotencyKey": "k1", "turnId": started["turnId"]}
    assert started["type"] == "turn.started"
    assert started["turnIds"] == [accepted["turnId"]]
    assert {frame["type"] for frame in deltas} == {"turn.delta"}
    assert "".join(frame["text"] for frame in deltas) == finished["reply"] == "word1 word2 word3 word4 word5 "
    assert [frame["seq"] for frame in frames] == list(range(1, len(frames) + 1))
    assert {(frame["sessionKey"], frame["agentId"]) for frame in frames} == {(MAIN, "alice")}
    assert (finished["status"], finished["error"]) == ("done", None)
    assert not any("patch" in frame for frame in frames)


async def test_a_reply_is_read_in_its_session_and_not_sent_beside_it(site: Site, alice: str):
    """No row waits in the outbox for it, and no notice repeats it."""
    async with Client(site, alice) as client:
        await client.says("hello", "k1", MAIN)
        await client.until("turn.finished")
        await site.house.gateway.idle()
        site.house.gateway.watchers.tell(in_session(), SessionChanged())

        assert (await client.next())["type"] == "session.updated"
    for status in deliveries.Status:
        assert await site.house.database.read(lambda c, status=status: deliveries.count(c, status)) == 0


async def test_who_wants_html_is_told_how_the_blocks_change(site: Site, alice: str):
    """The patches alone give the whole reply, and a plain client beside it gets none."""
    async with Client(site, alice, "render=html") as page, Client(site, alice) as plain:
        begins(site)
        for word in ("# He", "llo\n\nyou *the", "re*\n"):
            says(site, word)
            assert (await page.until("turn.delta"))["patch"]
        ends(site, "# Hello\n\nyou *there*\n\n[x](https://x.example)")
        finished = await page.until("turn.finished")

        assert finished["patch"] == [
            [2, '<p><a href="https://x.example" target="_blank" rel="noopener noreferrer nofollow">x</a></p>\n']
        ]
        assert not any("patch" in frame for frame in await plain.all_until("turn.finished"))


async def test_a_tool_ends_a_text_and_begins_another(site: Site, alice: str):
    """Each text has its step, so that a client shows them apart."""
    async with Client(site, alice) as client:
        begins(site)
        over = ModelReply((), StopReason.TOOL_CALLS, Usage())
        tell = site.house.gateway.watchers.tell
        says(site, "I look. ")
        tell(in_session(), TurnDelta(TurnId("t1"), ToolCallDelta(0, "time", "")))
        tell(in_session(), TurnDelta(TurnId("t1"), ToolCallDelta(0, None, "{}")))
        tell(in_session(), TurnDelta(TurnId("t1"), ToolCallDelta(1, "search", "{}")))
        tell(in_session(), TurnDelta(TurnId("t1"), over))
        tell(in_session(), TurnDelta(TurnId("t1"), ToolCallDelta(0, "search", "{}")))
        tell(in_session(), TurnDelta(TurnId("t1"), over))
        says(site, "It is ")
        says(site, "late.")
        ends(site, "It is late.")
        told = [
            (frame["type"], frame.get("step"), frame.get("text") or frame.get("tool"))
            for frame in await client.all_until("turn.finished")
        ]

    assert told == [
        ("turn.started", None, None),
        ("turn.delta", 0, "I look. "),
        ("turn.tool", 0, "time"),
        ("turn.tool", 0, "search"),
        ("turn.tool", 1, "search"),
        ("turn.delta", 2, "It is late."),
        ("turn.finished", 2, None),
    ]


async def test_steps_are_those_of_the_transcript(site: Site, alice: str):
    """As many as the turn has entries of the model's, whatever it writes in them."""
    await site.uses("alice", "tool:time")
    async with Client(site, alice) as client:
        await client.says("what time is it?", "k1", MAIN)
        frames = await client.all_until("turn.finished")

    told = [(frame["type"], frame["step"]) for frame in frames if "step" in frame]
    written = [entry for entry in await site.entries("alice") if entry.role is Role.ASSISTANT]
    assert told == [("turn.tool", 0), ("turn.delta", 1), ("turn.finished", 1)]
    assert len(written) == 2


async def test_sessions_that_change_are_told(site: Site, alice: str):
    """Whoever shows them reads them again."""
    async with Client(site, alice) as client:
        site.house.gateway.watchers.tell(in_session(), SessionChanged())
        site.house.gateway.watchers.tell(in_session(), SessionRemoved())

        assert [(await client.next())["type"] for _ in range(2)] == ["session.updated", "session.removed"]


async def test_a_command_is_answered_by_a_notice(site: Site, alice: str):
    """It has no turn of the model's; the answer is also kept with its own."""
    async with Client(site, alice) as client:
        await client.send(type="message", sessionKey=MAIN, text="/whoami", idempotencyKey="k1")
        both = {frame["type"]: frame for frame in [await client.next(), await client.next()]}
        accepted, notice = both["accepted"], both["notice"]

    assert notice["text"].startswith("You are alice")
    assert notice["turnId"] == accepted["turnId"]
    assert notice["from"]["agentId"] == "alice"


async def test_everybody_hears_of_their_own_sessions_only(site: Site, alice: str):
    """Also when both call them the same; nobody hears of a group."""
    await site.uses("bob", "stream:5")
    bob = (await token(site, "bob")).secret
    async with Client(site, alice) as hers, Client(site, bob) as his:
        await asyncio.gather(hers.says("a", "same", MAIN), his.says("b", "same", "agent:bob:main"))
        seen = await asyncio.gather(hers.all_until("turn.finished"), his.all_until("turn.finished"))
        group = Where(AgentId("alice"), SessionId("g"), "agent:alice:x:group:g", None)
        site.house.gateway.watchers.tell(group, SessionChanged())
        site.house.gateway.watchers.tell(in_session(), SessionRemoved())
        site.house.gateway.watchers.tell(in_session("bob"), SessionRemoved())
        seen[0].append(await hers.next())
        seen[1].append(await his.next())

    for person, frames in zip(("alice", "bob"), seen, strict=True):
        assert {frame["agentId"] for frame in frames} == {person}
        assert frames[-1]["type"] == "session.removed"


async def test_what_comes_fast_is_told_together(site: Site, alice: str):
    """A thousand words are no thousand frames, and none is lost."""
    async with Client(site, alice) as client:
        begins(site)
        for number in range(1_000):
            says(site, f"{number} ")
            if number % 100 == 0:
                await asyncio.sleep(0)
        ends(site, "whole")
        frames = await client.all_until("turn.finished")

    deltas = [frame["text"] for frame in frames if frame["type"] == "turn.delta"]
    assert "".join(deltas) == "".join(f"{number} " for number in range(1_000))
    assert len(deltas) < 20


# --- coming back --------------------------------------------------------------------------------------------


async def test_who_comes_back_gets_what_they_missed(site: Site, alice: str):
    """By the number of the last event they saw, in the same epoch."""
    async with Client(site, alice) as client:
        begins(site)
        seen = (await client.next())["seq"]
    says(site, "while away")
    ends(site, "while away")

    async with Client(site, alice, f"since={seen}&epoch={client.hello['epoch']}") as client:
        missed = [await client.next() for _ in range(2)]

    assert [(frame["type"], frame["seq"]) for frame in missed] == [("turn.delta", 2), ("turn.finished", 3)]
    assert client.hello["seq"] == 3


@pytest.mark.parametrize(
    "query", ["", "since=0", "since=1&epoch=another", "since=x&epoch={epoch}", "epoch={epoch}"]
)
async def test_who_does_not_know_the_epoch_begins_anew(site: Site, alice: str, query: str):
    """They are told where the events stand, read the state, and get what comes then."""
    async with Client(site, alice) as client:
        begins(site)
        ends(site, "one")
        await client.until("turn.finished")

    async with Client(site, alice, query.format(epoch=client.hello["epoch"])) as client:
        assert client.hello["seq"] == 2
        begins(site, "t2")
        assert (await client.next())["seq"] == 3


async def test_a_number_that_was_never_given_is_answered_by_a_resync(site: Site, alice: str):
    """As is one so old that its events are gone."""
    async with Client(site, alice) as client:
        pass
    async with Client(site, alice, f"since=99&epoch={client.hello['epoch']}") as client:
        assert await client.next() == {"type": "resync", "epoch": client.hello["epoch"], "seq": 0}


async def test_a_restart_is_another_epoch(site: Site, alice: str):
    """Numbers of before mean nothing now."""
    async with Client(site, alice) as before:
        pass
    await site.close()
    await site.open()

    async with Client(site, alice, f"since=0&epoch={before.hello['epoch']}") as after:
        assert after.hello["epoch"] != before.hello["epoch"]


async def test_a_snapshot_and_what_follows_it_are_the_whole(site: Site, alice: str):
    """A page that comes in the middle of an answer shows all of it, once."""
    live = site.app.live
    await live.warm()
    begins(site)
    says(site, "one ")
    says(site, "two ")
    snapshot = live.snapshot(UserId("alice"), SessionId("s1"), rich=True)
    says(site, "three")
    assert snapshot.running is not None
    assert (snapshot.running.text, snapshot.running.blocks) == ("one two ", ("<p>one two</p>\n",))

    async with Client(site, alice, f"render=html&since={snapshot.seq}&epoch={snapshot.epoch}") as page:
        delta = await page.until("turn.delta")
        assert delta["text"] == "three"
        assert delta["patch"] == [[0, "<p>one two three</p>\n"]]

    assert live.position(UserId("alice")) == (snapshot.epoch, delta["seq"])
    assert live.snapshot(UserId("bob"), SessionId("s1")).running is None


async def test_html_is_not_replayed_from_events_that_have_none(site: Site, alice: str):
    """The first page that wants HTML reads the state anew, which renders what is there."""
    async with Client(site, alice) as plain:
        begins(site)
        says(site, "one")
        await plain.until("turn.delta")

    async with Client(site, alice, f"render=html&since=0&epoch={plain.hello['epoch']}") as page:
        assert (await page.next())["type"] == "resync"
        says(site, " two")
        assert (await page.next())["patch"] == [[0, "<p>one two</p>\n"]]


async def test_a_client_that_does_not_read_loses_events_and_is_told_so(site: Site, alice: str):
    """Nobody waits for it, what is kept for it is bounded, and after the resync it goes on."""
    async with Client(site, alice) as slow:
        slow.line.transport.pause_reading()
        for number in range(60_000):
            site.house.gateway.watchers.tell(in_session(), SessionChanged())
            if number % 500 == 0:
                await asyncio.sleep(0)
        slow.line.transport.resume_reading()
        resync = await slow.until("resync")
        site.house.gateway.watchers.tell(in_session(), SessionRemoved())
        rest = await slow.all_until("session.removed")

    assert resync["epoch"] == slow.hello["epoch"]
    numbers = [frame["seq"] for frame in rest if frame["type"] != "resync"]
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert numbers[-1] == 60_001
    assert resync["seq"] <= 60_000


# --- what a client says -------------------------------------------------------------------------------------


async def test_the_same_key_is_the_same_message(site: Site, alice: str):
    """A client that did not hear the answer asks again; another person's key is another's."""
    bob = (await token(site, "bob")).secret
    async with Client(site, alice) as client, Client(site, bob) as other:
        first = await client.says("hello", "k1", MAIN)
        again = await client.says("hello", "k1", MAIN)
        theirs = await other.says("hello", "k1", "agent:bob:main")

        other_key = await client.says("hello", "k2", MAIN)
        reused = await client.says("something else", "k1", MAIN)

    assert again == first
    assert theirs["turnId"] != first["turnId"]
    assert other_key["turnId"] != first["turnId"]
    assert (reused["type"], reused["code"]) == ("error", "idempotency_key_reused")


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        ("{", "JSON"),
        ("[1]", "not understood"),
        ('{"type":"dance"}', "dance"),
        ('{"type":"message"}', "sessionKey"),
        ('{"type":"message","sessionKey":1,"text":"","idempotencyKey":""}', "sessionKey"),
        ("[" * 100_000, "not understood"),
        ('{"type":"stop","x":' + "[" * 100_000, "JSON"),
        (b"\xff\xfe", "JSON"),
        (b"", "JSON"),
    ],
)
async def test_a_frame_that_is_none_is_answered_and_nothing_else_happens(
    site: Site, alice: str, frame: str | bytes, word: str
):
    """The client is told what does not fit, and goes on."""
    async with Client(site, alice) as client:
        await client.line.send(frame)
        error = await client.next()
        assert (error["type"], error["code"], error["idempotencyKey"]) == ("error", "invalid", None)
        assert word in error["detail"]
        assert (await client.says("hello", "k1", MAIN))["type"] == "accepted"


@pytest.mark.parametrize(
    ("session", "text", "key", "code"),
    [
        (MAIN, "", "k", "invalid"),
        (MAIN, "a\0b", "k", "invalid"),
        (MAIN, "hello", "", "invalid"),
        (MAIN, "hello", "k" * 201, "invalid"),
        ("agent:bob:main", "hello", "k", "not_found"),
        ("agent:nobody:main", "hello", "k", "not_found"),
        ("no such session", "hello", "k", "not_found"),
    ],
)
async def test_a_message_that_cannot_be_is_answered_under_its_key(
    site: Site, alice: str, session: str, text: str, key: str, code: str
):
    """What is somebody else's and what is not there read alike."""
    async with Client(site, alice) as client:
        error = await client.says(text, key, session)

    assert (error["type"], error["code"], error["idempotencyKey"]) == ("error", code, key)


async def test_an_answer_is_stopped_over_the_socket(site: Site, alice: str):
    """As its own button does."""
    await site.uses("alice", "slow")
    async with Client(site, alice) as client:
        await client.says("hello", "k1", MAIN)
        await site.fake.until(lambda: site.fake.counts["slow"] == 1)
        await client.send(type="stop", sessionKey=MAIN)
        finished = await client.until("turn.finished")

    assert finished["status"] == "cancelled"


async def test_a_flood_of_nonsense_is_cut_off_with_a_word(site: Site, alice: str):
    """A few mistakes are answered; a client that sends nothing else is no client of ours."""
    async with Client(site, alice) as client:
        for _ in range(BROKEN_FRAMES + 1):
            await client.line.send("nonsense")
        assert await client.end() == 1008


async def test_a_frame_that_is_too_large_is_cut_off_with_a_word(site: Site, alice: str):
    """Before it is read to its end."""
    async with Client(site, alice) as client:
        await client.line.send("x" * (2 << 20))
        assert await client.end() == 1009


# --- when it ends -------------------------------------------------------------------------------------------


async def test_a_login_that_is_ended_ends_its_socket_in_the_middle_of_an_answer(site: Site, alice: str):
    """At once, before another word; a second token of the same person goes on."""
    other = (await token(site, "alice")).secret
    issued = await token(site, "alice")
    async with Client(site, issued.secret) as ended, Client(site, other) as goes_on:
        begins(site)
        says(site, "before ")
        await ended.until("turn.delta")
        id, now = issued.credential.id, site.house.gateway.now()
        await site.house.database.write(
            lambda c: credentials.end(c, UserId("alice"), CredentialKind.TOKEN, id, now=now),
            then=lambda _: site.house.gateway.revocations.tell(UserId("alice"), id),
        )
        says(site, "after")

        assert await ended.end() == 4401
        assert ended.last == []
        assert "after" in (await goes_on.until("turn.delta"))["text"] + (await goes_on.until("turn.delta"))["text"]


async def test_a_person_who_is_disabled_is_let_out_everywhere(site: Site, alice: str):
    """All their sockets, and nobody else's."""
    bob = (await token(site, "bob")).secret
    async with Client(site, alice) as one, Client(site, alice) as two, Client(site, bob) as his:
        await disable(site, "alice")
        site.house.gateway.revocations.tell(UserId("alice"))

        assert (await one.end(), await two.end()) == (4401, 4401)
        assert (await his.says("hello", "k", "agent:bob:main"))["type"] == "accepted"


async def test_a_right_that_ended_unheard_ends_with_the_next_frame(site: Site, alice: str):
    """Each frame is asked about anew, whoever was or was not told."""
    async with Client(site, alice) as client:
        await disable(site, "alice")
        await client.send(type="message", sessionKey=MAIN, text="hello", idempotencyKey="k")

        assert await client.end() == 4401
    assert site.house.gateway.lanes.waiting == 0
    assert not site.fake.counts


async def test_a_right_that_ended_unheard_ends_with_the_next_look_round(site: Site, alice: str):
    """As another gateway's revocation does, or a device nobody used for half a day."""
    bob = (await token(site, "bob")).secret
    async with Client(site, alice) as client, Client(site, bob) as his:
        await disable(site, "alice")
        await site.app.live.sweep()

        assert await client.end() == 4401
        assert (await his.says("hello", "k", "agent:bob:main"))["type"] == "accepted"


async def test_a_device_that_ran_out_is_let_out(site: Site):
    """Twelve hours without a sign of life."""
    issued = await token(site, "alice", CredentialKind.DEVICE)
    async with Client(site, None, Cookie=f"rookery_session={issued.secret}", Origin=site.base) as page:
        long_ago = site.house.gateway.now() - timedelta(hours=13)
        await site.house.database.write(lambda c: credentials.used(c, issued.credential.id, now=long_ago))
        await site.app.live.sweep()

        assert await page.end() == 4401


async def test_a_role_that_changed_counts_from_the_next_frame(site: Site, alice: str):
    """The socket keeps no right it was opened with."""
    async with Client(site, alice) as client:
        await site.house.database.write(lambda c: users.change_user(c, UserId("alice"), role="admin"))
        await client.says("hello", "k", MAIN)
        [socket] = site.app.live._all()  # pyright: ignore[reportPrivateUsage]

        assert socket.caller.actor.admin


async def test_a_gateway_that_stops_says_so(site: Site, alice: str):
    """The client comes back by itself."""
    async with Client(site, alice) as client:
        await site.app.close()
        assert await client.end() == 1012


async def test_a_client_that_went_away_leaves_nothing_behind(site: Site, alice: str):
    """Its socket is not counted, and nothing is sent to it."""
    live: LiveDoor = site.app.live
    async with Client(site, alice):
        assert live.sockets == 1
    async with Client(site, alice) as there:
        begins(site)
        await there.until("turn.started")
        assert live.sockets == 1
