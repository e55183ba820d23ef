"""A brain and its sessions, and the pool that keeps brains open; the same on every storage."""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from rookery.errors import InvalidId, NotFound, StorageUnavailable
from rookery.ids import AgentId, SessionId, TurnId
from rookery.messages import AnyEntry, Header, encode_line
from rookery.sessions.brain import Brain
from rookery.sessions.brains import BrainPool, FileBrains, MemoryBrains, RowBrains
from rookery.sessions.twin import MemorySummaries, MemoryTranscripts
from rookery.storage import as_agent
from rookery.storage.postgres import PostgresDatabase
from rookery.storage.threads import WriterThreads
from tests.sessions.bad_disk import BadDisk
from tests.sessions.conftest import Storage
from tests.sessions.lines import ALICE, BOB, S1, answered, at, header, info, said

KEY = "agent:alice:main"


async def test_a_session_reads_as_it_was_written(storage: Storage):
    """Entries, prompt history, turns and metadata are there at once, and after a restart."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        assert (session.entries, session.last_entry_id, session.status) == ([], None, "active")
        await session.append(said("t.0", turn="t"), answered("t.1", turn="t"))
        await session.append(info("i.0", title="Tea", label="x", tags=("a",), status="pinned"))
        await session.append(said("u.0", turn="u"))

        for brains in (None, storage.brains()):
            if brains is not None:
                async with brains.use(ALICE) as restarted:
                    session = await restarted.session(S1)
            assert session.header == header()
            assert [entry.id for entry in session.entries] == ["t.0", "t.1", "i.0", "u.0"]
            assert [entry.parent_id for entry in session.entries] == [None, "t.0", "t.1", "i.0"]
            assert [message.entry.id for message in session.messages] == ["t.0", "t.1", "u.0"]
            assert [entry.id for entry in session.entries_of(TurnId("t"))] == ["t.0", "t.1"]
            assert list(session.entries_of(TurnId("nobody"))) == []
            assert (session.title, session.label, session.tags, session.status) == ("Tea", "x", ("a",), "pinned")
            assert session.last_entry_id == "u.0"
            assert session.summary == (await brain.sessions(1))[0] == await brain.summary(S1)
            assert session.size == len(await brain.export(S1))


async def test_an_entry_written_twice_is_there_once(storage: Storage):
    """Recovery writes what may be there already; the first one stands."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"), said("t.0", "other"))
        await session.append(said("t.0", "again"), said("t.1"))
        await session.append(said("t.0", "again"))
        assert list(session.entries) == [said("t.0"), said("t.1", parent_id="t.0")]


async def test_one_session_is_one_object(storage: Storage):
    """Whoever opens a session, and however many at once, shares it."""
    async with storage.brains().use(ALICE) as brain:
        opened = await asyncio.gather(*(brain.open_session(S1, KEY, at(0)) for _ in range(5)))
        assert len(set(map(id, opened))) == 1
        await opened[0].append(said("t.0"))
        assert await brain.session(S1) is opened[0]
    async with storage.brains().use(ALICE) as brain:
        opened = await asyncio.gather(brain.session(S1), brain.open_session(S1, KEY, at(9)))
        assert opened[0] is opened[1]
        assert opened[0].header == header()


async def test_a_session_nobody_wrote_is_not_found(storage: Storage):
    """Neither a missing session nor a name that can be none tells more than that."""
    async with storage.brains().use(ALICE) as brain:
        for name in ("s1", "../../bob/sessions/s1", ""):
            with pytest.raises(NotFound):
                await brain.session(SessionId(name))
            with pytest.raises(NotFound):
                await brain.export(SessionId(name))
            with pytest.raises(NotFound):
                await brain.summary(SessionId(name))
        with pytest.raises(InvalidId):
            await brain.open_session(SessionId("../s1"), KEY, at(0))


async def test_an_opened_session_is_written_with_its_first_append(storage: Storage):
    """Opening leaves no trace; an append without entries makes the session lasting."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        assert await brain.sessions(10) == []
        await session.append()
        (summary,) = await brain.sessions(10)
        assert (summary.session_id, summary.session_key, summary.entry_count) == (S1, KEY, 0)


async def test_appends_at_the_same_time_form_one_chain(storage: Storage):
    """Whatever the interleaving, each entry's parent is the one before it."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await asyncio.gather(*(session.append(said(f"{n}.0"), said(f"{n}.1")) for n in range(20)))
        ids = [entry.id for entry in session.entries]
        assert [entry.parent_id for entry in session.entries] == [None, *ids[:-1]]
    async with storage.brains().use(ALICE) as brain:
        assert [entry.id for entry in (await brain.session(S1)).entries] == ids


async def test_a_brain_holds_one_agent_only(storage: Storage):
    """The same session id in two brains is two sessions."""
    async with storage.brains().use(ALICE) as alice, storage.brains().use(BOB) as bob:
        await (await alice.open_session(S1, KEY, at(0))).append(said("t.0", "canary"))
        with pytest.raises(NotFound):
            await bob.session(S1)
        await (await bob.open_session(S1, "agent:bob:main", at(0))).append(said("t.0", "mine"))
        assert b"canary" not in await bob.export(S1)
        assert b"canary" in await alice.export(S1)


class Gate(MemoryTranscripts):
    """A storage whose appends wait until the test lets them, and fail when it says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = asyncio.Event()
        self.open = asyncio.Event()
        self.broken = False

    async def append(self, session_id: SessionId, header: Header, entries: Sequence[AnyEntry]) -> int:
        self.waiting.set()
        await self.open.wait()
        if self.broken:
            raise StorageUnavailable
        return await super().append(session_id, header, entries)


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def gated(gate: Gate) -> Brain:
    return Brain(ALICE, gate, MemorySummaries(gate))


async def test_nothing_shows_before_it_is_on_disk(gate: Gate, gated: Brain):
    """The session changes when the append has been synced, and not when it failed."""
    session = await gated.open_session(S1, KEY, at(0))
    append = asyncio.create_task(session.append(said("t.0")))
    await gate.waiting.wait()
    assert session.entries == []
    gate.broken = True
    gate.open.set()
    with pytest.raises(StorageUnavailable):
        await append
    assert (session.entries, session.messages, session.summary.entry_count) == ([], [], 0)
    gate.broken = False
    await session.append(said("t.0"))
    assert [entry.id for entry in session.entries] == ["t.0"]


@pytest.mark.parametrize("broken", [False, True])
async def test_a_cancelled_append_ends_before_the_caller_does(gate: Gate, gated: Brain, broken: bool):
    """Cancelled in mid-write, even twice: the caller goes on when disk and session agree again."""
    session = await gated.open_session(S1, KEY, at(0))
    append = asyncio.create_task(session.append(said("t.0")))
    await gate.waiting.wait()
    for _ in range(2):
        append.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert not append.done()
    gate.broken = broken
    gate.open.set()
    with pytest.raises(asyncio.CancelledError):
        await append
    assert [entry.id for entry in session.entries] == ([] if broken else ["t.0"])
    assert gate.lines.get(S1, [])[1:] == ([] if broken else [encode_line(said("t.0"))])


async def test_sessions_in_memory_are_bounded_and_those_in_use_are_kept(storage: Storage):
    """Old sessions leave the memory, except while somebody holds them."""
    brains = storage.brains(session_bytes=20_000)
    async with brains.use(ALICE) as brain:
        held = await brain.open_session(S1, KEY, at(0))
        await held.append(said("t.0", "x" * 5_000))
        for number in range(20):
            other = await brain.open_session(SessionId(f"o{number}"), KEY, at(0))
            await other.append(said("t.0", "x" * 5_000))
            del other
        gc.collect()
        assert len(brain._open) <= 5  # pyright: ignore[reportPrivateUsage]
        assert brain._bytes <= 20_000  # pyright: ignore[reportPrivateUsage]
        assert await brain.session(S1) is held
        again = await brain.session(SessionId("o0"))
        assert [entry.id for entry in again.entries] == ["t.0"]


async def test_two_gateways_see_each_others_entries(database: PostgresDatabase):
    """Where several gateways share a database, a session opened again holds what the other one wrote."""
    one, two = RowBrains(database), RowBrains(database)
    async with one.use(ALICE) as ours, two.use(ALICE) as theirs:
        session = await ours.open_session(S1, KEY, at(0))
        other = await theirs.open_session(S1, KEY, at(0))
        await session.append(said("a.0"))
        await other.append(said("b.0"))
        await session.append(said("a.1"))
        message = session.messages[0]
        message.wire("test", lambda _: b"encoded")

        assert await ours.session(S1) is session
        assert [entry.id for entry in session.entries] == ["a.0", "b.0", "a.1"]
        assert session.messages[0] is message
        assert session.size == len(await ours.export(S1))
        assert session.summary == await ours.summary(S1)
        assert session.summary.entry_count == 3
        await theirs.session(S1)
        assert list(other.entries) == list(session.entries)


async def test_without_an_agent_the_database_shows_nothing(database: PostgresDatabase):
    """Row-level security holds by itself: a query that names no agent, or another, sees no row."""
    async with RowBrains(database).use(ALICE) as brain:
        await (await brain.open_session(S1, KEY, at(0))).append(said("t.0"))

    query = text("SELECT (SELECT count(*) FROM entries) + (SELECT count(*) FROM sessions)")

    def count(agent_id: AgentId | None) -> Callable[[Connection], int | None]:
        def work(connection: Connection) -> int | None:
            if agent_id is not None:
                as_agent(connection, agent_id)
            return connection.scalar(query)

        return work

    assert [await database.read(count(agent_id)) for agent_id in (None, BOB, ALICE)] == [0, 0, 2]


async def test_idle_brains_are_bounded_and_those_in_use_are_pinned(storage: Storage):
    """A brain in use never waits for a slot and is never closed; of idle ones the last used stay."""
    brains = storage.brains(open_brains=2)
    agents = [AgentId(f"agent{number}") for number in range(6)]

    async with brains.use(agents[0]):
        pass  # from here on it is idle, and may be closed until it is used again
    async with brains.use(agents[0]) as first:
        for agent_id in agents[1:]:
            async with brains.use(agent_id), brains.use(agents[0]) as again:
                assert again is first
        assert brains.open_count == 3
    assert brains.open_count == 2
    async with brains.use(agents[0]) as again:
        assert again is first
    await brains.close()
    assert brains.open_count == 0


async def test_a_brain_closed_while_in_use_closes_when_it_is_released(storage: Storage):
    """Closing the pool leaves those at work their brain."""
    brains = storage.brains()
    async with brains.use(ALICE) as brain:
        await brains.close()
        await (await brain.open_session(S1, KEY, at(0))).append(said("t.0"))
    assert brains.open_count == 0


async def nothing_kept(agent_id: AgentId) -> None:
    """How a brain is erased that keeps nothing when it is closed."""


async def test_an_erased_brain_is_gone_with_everything_in_it(storage: Storage):
    """Nothing of it is there for who opens it next, and other brains are left alone."""
    brains = storage.brains()
    for agent in (ALICE, BOB):
        async with brains.use(agent) as brain:
            await (await brain.open_session(S1, f"agent:{agent}:main", at(0))).append(said("t.0"))
            await brain.attachments.add("a.txt", "text/plain", b"hello", added_by="user:x", created_at=at(0))
    await brains.erase(ALICE)
    await brains.erase(ALICE)
    async with brains.use(ALICE) as brain:
        assert (await brain.sessions(10), await brain.attachments.listed()) == ([], [])
    async with brains.use(BOB) as brain:
        assert len(await brain.sessions(10)) == len(await brain.attachments.listed()) == 1
    await brains.close()


async def test_a_brain_in_use_is_erased_when_it_is_free(storage: Storage):
    """Whoever works in it finishes first."""
    brains = storage.brains()
    async with brains.use(ALICE) as brain:
        erasing = asyncio.create_task(brains.erase(ALICE))
        await asyncio.sleep(0)
        await (await brain.open_session(S1, KEY, at(0))).append(said("t.0"))
        assert not erasing.done()
    await erasing
    async with brains.use(ALICE) as brain:
        assert await brain.sessions(10) == []
    await brains.close()


async def test_a_session_is_rewritten_in_its_place(storage: Storage):
    """Ids and order stay, what somebody holds open changes with it, and it can be appended to."""
    brains = storage.brains()
    async with brains.use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0", "a secret"), answered("t.1"))
        before = [entry.id for entry in session.entries]

        def blank(entry: AnyEntry) -> AnyEntry:
            return said("t.0", "[erased]") if entry.id == "t.0" else entry

        await brain.rewrite(S1, blank)
        await session.append(said("u.0", "later"))
        assert [entry.id for entry in session.entries] == [*before, "u.0"]
        data = await brain.export(S1)
    await brains.close()
    assert b"a secret" not in data
    assert b"[erased]" in data
    assert b"later" in data
    async with (fresh := storage.brains()).use(ALICE) as brain:
        assert [entry.id for entry in (await brain.session(S1)).entries] == [*before, "u.0"]
    await fresh.close()


async def test_everybody_at_once_opens_one_brain():
    """Many that ask for the same brain while it is being opened get the same one."""
    opened: list[AgentId] = []

    async def open_brain(agent_id: AgentId) -> Brain:
        opened.append(agent_id)
        await asyncio.sleep(0)
        if len(opened) == 1:
            raise StorageUnavailable("the first time it fails")
        transcripts = MemoryTranscripts()
        return Brain(agent_id, transcripts, MemorySummaries(transcripts))

    brains = BrainPool(open_brain, nothing_kept, 1)

    async def use() -> int:
        async with brains.use(ALICE) as brain:
            return id(brain)

    results = await asyncio.gather(*(use() for _ in range(4)), return_exceptions=True)
    assert isinstance(results[0], StorageUnavailable)
    assert len(set(results[1:])) == 1
    assert opened == [ALICE, ALICE]


async def test_a_brain_is_not_opened_while_it_is_closing():
    """Two brains of one agent would not know of each other's writes: the second waits for the first to end."""
    events: list[str] = []
    closing = asyncio.Event()

    class Slow(MemorySummaries):
        async def close(self) -> None:
            await closing.wait()
            events.append("closed")

    async def open_brain(agent_id: AgentId) -> Brain:
        events.append("opened")
        transcripts = MemoryTranscripts()
        return Brain(agent_id, transcripts, Slow(transcripts))

    brains = BrainPool(open_brain, nothing_kept, 0)

    async def use() -> None:
        async with brains.use(ALICE):
            events.append("used")

    await use()
    second = asyncio.create_task(use())
    await asyncio.sleep(0)
    assert events == ["opened", "used"]
    closing.set()
    await second
    await brains.close()
    assert events == ["opened", "used", "closed", "opened", "used", "closed"]


async def test_a_full_disk_is_told_and_forgotten(tmp_path: Path, threads: WriterThreads):
    """While the disk is full appends fail and show nothing; when there is room again the session goes on."""
    disk = BadDisk()
    async with FileBrains(tmp_path / "agents", threads, ops=disk.ops).use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        disk.failing = dict.fromkeys(range(len(disk.calls), len(disk.calls) + 50), errno.ENOSPC)
        with pytest.raises(StorageUnavailable):
            await session.append(said("t.1"))
        assert [entry.id for entry in session.entries] == ["t.0"]
        disk.failing = {}
        await session.append(said("t.1"))
        assert [entry.id for entry in session.entries] == ["t.0", "t.1"]
    async with FileBrains(tmp_path / "agents", threads).use(ALICE) as brain:
        assert [entry.id for entry in (await brain.session(S1)).entries] == ["t.0", "t.1"]


async def test_a_disk_that_takes_no_directory_opens_no_brain(tmp_path: Path, threads: WriterThreads):
    """Opening says what is wrong, and works when it no longer is."""
    disk = BadDisk({0: errno.EIO})
    brains = FileBrains(tmp_path / "agents", threads, ops=disk.ops)
    with pytest.raises(StorageUnavailable, match="agents"):
        async with brains.use(ALICE):
            raise AssertionError("never entered")
    async with brains.use(ALICE) as brain:
        assert await brain.sessions(10) == []


async def test_the_twin_keeps_what_it_held():
    """A brain in memory that was closed for want of room still knows its sessions."""
    brains = MemoryBrains(open_brains=0)
    async with brains.use(ALICE) as brain:
        await (await brain.open_session(S1, KEY, at(0))).append(said("t.0"))
    async with brains.use(ALICE) as again:
        assert again is not brain
        assert [entry.id for entry in (await again.session(S1)).entries] == ["t.0"]


async def test_work_of_one_key_runs_in_order_and_never_at_the_same_time(threads: WriterThreads):
    """Other keys go on meanwhile; what is raised reaches the one who asked."""
    order: list[int] = []
    blocked, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        blocked.set()
        go_on.wait()
        order.append(0)

    def fail() -> None:
        raise ValueError("mine")

    first = asyncio.create_task(threads.run("a", wait))
    while not blocked.is_set():
        await asyncio.sleep(0)
    rest = [asyncio.create_task(threads.run("a", lambda n=n: order.append(n))) for n in range(1, 20)]
    assert await threads.run("b", lambda: "beside") == "beside"
    with pytest.raises(ValueError, match="mine"):
        await threads.run("b", fail)
    assert order == []
    go_on.set()
    await asyncio.gather(first, *rest)
    assert order == list(range(20))


async def test_closed_threads_have_done_all_their_work():
    """What was handed in before the end is done, also when nobody waits for it; afterwards nothing is."""
    threads = WriterThreads(2)
    done: list[int] = []
    tasks = [asyncio.create_task(threads.run(str(n % 3), lambda n=n: done.append(n))) for n in range(50)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await threads.close()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert sorted(done) == list(range(50))
    with pytest.raises(StorageUnavailable):
        await threads.run("a", lambda: None)
