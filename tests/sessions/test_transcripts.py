"""The transcripts' contract, the same on every storage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
import pytest

from rookery.errors import InvalidId, InvalidInput, StorageCorrupt
from rookery.ids import AgentId, SessionId
from rookery.messages import UnknownEntry, decode_entry, decode_header, encode_line
from rookery.sessions.summary import begin, fold
from rookery.sessions.transcripts import Summaries, Transcripts, read_lines
from tests.sessions.conftest import Storage
from tests.sessions.lines import ALICE, BOB, S1, answered, at, header, info, said


@asynccontextmanager
async def opened(storage: Storage, agent_id: AgentId = ALICE) -> AsyncGenerator[tuple[Transcripts, Summaries]]:
    async with storage.brains().use(agent_id) as brain:
        yield brain._transcripts, brain._summaries  # pyright: ignore[reportPrivateUsage]


async def test_what_was_appended_is_loaded_in_order(storage: Storage):
    """Entries come back as they were written, by a process that was not there then."""
    async with opened(storage) as (transcripts, _):
        await transcripts.append(S1, header(), [said("t.0", "naïve\nnew line \u2028 \0 end"), answered("t.1")])
        await transcripts.append(S1, header(), [info("t.2", title="Tea")])

    async with opened(storage) as (transcripts, _):
        transcript = await transcripts.load(S1)

    assert transcript is not None
    assert transcript.header == header()
    assert transcript.entries == (
        said("t.0", "naïve\nnew line \u2028 \0 end"),
        answered("t.1"),
        info("t.2", title="Tea"),
    )
    assert transcript.unreadable == 0


async def test_no_transcript_is_none(storage: Storage):
    """A session nobody wrote has no transcript, and neither has what can be no session's name."""
    async with opened(storage) as (transcripts, _):
        for name in ("s1", "", "../s1", "a/b", "a\0b", ".", "x" * 200, "s1.jsonl"):
            assert await transcripts.load(SessionId(name)) is None
            assert await transcripts.export(SessionId(name)) is None
        assert await transcripts.list_ids() == []


@pytest.mark.parametrize("name", ["", "../s1", "a/b", "a\0b", ".", "-rf", "x" * 200, "s1.torn-1"])
async def test_a_name_that_leads_elsewhere_is_refused(storage: Storage, name: str):
    """No session id becomes a path."""
    async with opened(storage) as (transcripts, _):
        with pytest.raises(InvalidId):
            await transcripts.append(SessionId(name), header(name), [said("t.0")])


async def test_an_id_that_is_there_is_not_written_again(storage: Storage):
    """The same append again changes nothing, also after a restart and inside one call."""
    async with opened(storage) as (transcripts, _):
        assert await transcripts.append(S1, header(), [said("t.0"), said("t.0", "other")]) > 0
        assert await transcripts.append(S1, header(), [said("t.0", "again")]) == 0
    async with opened(storage) as (transcripts, _):
        assert await transcripts.append(S1, header(), [said("t.0", "again"), said("t.1")]) == len(
            encode_line(said("t.1"))
        )
        transcript = await transcripts.load(S1)
    assert transcript is not None
    assert transcript.entries == (said("t.0"), said("t.1"))


async def test_a_header_alone_makes_a_transcript(storage: Storage):
    """An append without entries writes the header, once."""
    async with opened(storage) as (transcripts, _):
        assert await transcripts.append(S1, header(), []) == len(encode_line(header()))
        assert await transcripts.append(S1, header(), []) == 0
        transcript = await transcripts.load(S1)
        assert await transcripts.list_ids() == [S1]
    assert transcript is not None
    assert (transcript.header, transcript.entries) == (header(), ())


async def test_the_export_is_the_transcript_byte_for_byte(storage: Storage):
    """What is exported reads the same wherever it was kept."""
    entries = [said("t.0", "é\n\0"), answered("t.1"), info("t.2", tags=("a", "b"))]
    expected = b"".join(map(encode_line, [header(), *entries]))
    async with opened(storage) as (transcripts, _):
        written = await transcripts.append(S1, header(), entries)
        transcript = await transcripts.load(S1)
        assert await transcripts.export(S1) == expected
    assert written == len(expected)
    assert transcript is not None
    assert transcript.size == len(expected)


async def test_entries_of_a_later_version_are_kept(storage: Storage):
    """An unknown type comes back byte for byte, in its place."""
    line = b'{"id":"x.1","type":"poem","timestamp":"2027-01-01T00:00:00Z","verse":[1, 2],"parentId":"x.0"}'
    unknown = decode_entry(line)
    assert isinstance(unknown, UnknownEntry)
    async with opened(storage) as (transcripts, _):
        await transcripts.append(S1, header(), [said("x.0"), unknown, said("x.2")])
    async with opened(storage) as (transcripts, _):
        transcript = await transcripts.load(S1)
        exported = await transcripts.export(S1)
    assert transcript is not None
    assert transcript.entries == (said("x.0"), unknown, said("x.2"))
    assert transcript.unreadable == 0
    assert exported is not None
    assert line + b"\n" in exported


async def test_text_that_is_no_text_is_refused(storage: Storage):
    """A lone surrogate cannot be written anywhere; nothing is there afterwards."""
    async with opened(storage) as (transcripts, _):
        with pytest.raises(InvalidInput):
            await transcripts.append(S1, header(), [said("t.0", "\ud800")])
        assert await transcripts.load(S1) is None


async def test_agents_do_not_see_each_other(storage: Storage):
    """The same session id under two agents is two transcripts, and two lists."""
    async with opened(storage, ALICE) as (alice, alices), opened(storage, BOB) as (bob, bobs):
        await alice.append(S1, header(), [said("t.0", "canary")])
        alices.changed(S1)
        assert await bob.load(S1) is None
        assert await bob.list_ids() == []
        assert await bobs.page(10, None) == []

        await bob.append(S1, header(agent_id=BOB), [said("t.0", "mine")])
        mine, hers = await bob.export(S1), await alice.export(S1)
    assert mine is not None
    assert b"canary" not in mine
    assert hers is not None
    assert b"canary" in hers


async def test_appends_at_the_same_time_keep_every_entry_whole(storage: Storage):
    """Many at once, on several sessions: nothing is lost, and each call's entries stay together in order."""
    async with opened(storage) as (transcripts, summaries):
        await asyncio.gather(
            *(
                transcripts.append(SessionId(f"s{n % 3}"), header(f"s{n % 3}"), [said(f"{n}.0"), said(f"{n}.1")])
                for n in range(30)
            )
        )
        for session in range(3):
            transcript = await transcripts.load(SessionId(f"s{session}"))
            assert transcript is not None
            ids = [entry.id for entry in transcript.entries]
            assert sorted(ids) == sorted(f"{n}.{i}" for n in range(session, 30, 3) for i in (0, 1))
            assert all(first[:-1] == second[:-1] for first, second in zip(ids[::2], ids[1::2], strict=True))
            summaries.changed(SessionId(f"s{session}"))
            summary = await summaries.find(SessionId(f"s{session}"))
            assert summary is not None
            assert summary.entry_count == 20


async def test_the_list_is_what_the_transcripts_say(storage: Storage):
    """Metadata and sums come from the entries; the later word counts."""
    async with opened(storage) as (transcripts, summaries):
        await transcripts.append(S1, header(), [said("t.0"), answered("t.1", (10, 3)), info("t.2", title="Tea")])
        summaries.changed(S1)
        assert (await summaries.page(10, None))[0].title == "Tea"
        await transcripts.append(
            S1, header(), [answered("t.3", (7, 2), seconds=9), info("t.4", title="Coffee", tags=("x",), label="l")]
        )
        summaries.changed(S1)
        (summary,) = await summaries.page(10, None)
        assert await summaries.find(S1) == summary
        assert await summaries.find(SessionId("s2")) is None

    assert summary.session_id == S1
    assert (summary.title, summary.tags, summary.label, summary.status) == ("Coffee", ("x",), "l", "active")
    assert (summary.created_at, summary.updated_at) == (at(0), at(9))
    assert (summary.entry_count, summary.input_tokens, summary.output_tokens) == (5, 17, 5)


async def test_the_list_goes_on_where_a_page_ended(storage: Storage):
    """Latest first; the pages together hold each session once, also where times are equal."""
    async with opened(storage) as (transcripts, summaries):
        for number in range(7):
            session_id = SessionId(f"s{number}")
            await transcripts.append(session_id, header(session_id), [said("t.0", seconds=number // 2)])
            summaries.changed(session_id)

        pages: list[list[str]] = []
        cursor = None
        while page := await summaries.page(3, cursor):
            pages.append([summary.session_id for summary in page])
            cursor = page[-1].cursor
        with pytest.raises(InvalidInput):
            await summaries.page(3, "1; drop table sessions")

    assert pages == [["s6", "s5", "s4"], ["s3", "s2", "s1"], ["s0"]]


async def test_the_list_can_be_made_anew(storage: Storage):
    """`doctor --reindex` finds the same list in the transcripts alone."""
    async with opened(storage) as (transcripts, summaries):
        for number in range(3):
            session_id = SessionId(f"s{number}")
            await transcripts.append(
                session_id, header(session_id), [answered("t.0"), info("t.1", status="archived")]
            )
            summaries.changed(session_id)
        before = await summaries.page(10, None)
        await summaries.rebuild()
        assert await summaries.page(10, None) == before
        assert await transcripts.problems() == []


def test_leaving_the_archive_forgets_why_it_was_entered():
    """An active or pinned session shows no reason for having been archived once."""
    archived = fold(begin(header()), [info("t.0", status="archived", archived_at=at(5), archived_reason="done")])
    assert (archived.status, archived.archived_at, archived.archived_reason) == ("archived", at(5), "done")
    restored = fold(archived, [info("t.1", status="pinned")])
    assert (restored.status, restored.archived_at, restored.archived_reason) == ("pinned", None, None)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"{",
        b"null",
        b"\0" * 40,
        b"[" * 100_000,
        b'{"type":"info","id":"a","timestamp":"2026-01-01T00:00:00"}',
        b'{"type":"info","id":"a","timestamp":"2026-01-01T00:00:00Z","title":"\xff"}',
        b'{"type":"info","id":"a","timestamp":"2026-01-01T00:00:00Z","x":' + b"[" * 9999 + b"]" * 9999 + b"}",
        b'{"type":"message","id":"a","timestamp":"2026-01-01T00:00:00Z","role":"user","content":"text"}',
    ],
)
def test_a_line_that_is_no_entry_is_counted_and_no_more(line: bytes):
    """Damage costs the damaged line; a time without a zone could not be compared and counts as damage."""
    with pytest.raises(StorageCorrupt):
        decode_entry(line)
    good = [encode_line(entry).removesuffix(b"\n") for entry in (header(), said("t.0"), said("t.1"))]
    transcript = read_lines([*good[:2], line, good[2]], end=0, size=0)
    assert (transcript.entries, transcript.unreadable) == ((said("t.0"), said("t.1")), 1)


def test_a_damaged_header_is_replaced_by_one_further_down():
    """A first line that cannot be read does not hide the rest."""
    lines = [b"\0\0\0", encode_line(said("t.0"))[:-1], encode_line(header())[:-1], encode_line(said("t.1"))[:-1]]
    transcript = read_lines(lines, end=0, size=0)
    assert transcript.header == header()
    assert (transcript.entries, transcript.unreadable) == ((said("t.0"), said("t.1")), 1)


def test_every_line_is_one_line():
    """The wire form holds no raw newline, and reads back equal."""
    entry = said("t.0", "a\nb\r\u2028\u0085\x0b")
    line = encode_line(entry)
    assert line.count(b"\n") == 1
    assert decode_entry(line[:-1]) == entry
    assert decode_header(encode_line(header())[:-1]) == header()
    assert msgspec.json.decode(line)["type"] == "message"
