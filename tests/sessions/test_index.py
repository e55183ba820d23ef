"""The list of sessions in `agent.db`: it may be old, damaged, deleted or from another version."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import sqlite as sqlite_dialect

from rookery.errors import StorageCorrupt, StorageUnavailable
from rookery.ids import SessionId
from rookery.messages import AnyEntry, encode_line
from rookery.sessions.brains import FileBrains
from rookery.sessions.index import MIGRATIONS, AgentDb
from rookery.sessions.summary import SessionSummary, begin, fold
from rookery.sessions.tables import indexed
from rookery.storage.threads import WriterThreads
from tests.sessions.lines import ALICE, S1, answered, at, header, info, said

KEY = "agent:alice:main"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "agents" / "alice"


@pytest.fixture
async def listed(home: Path, threads: WriterThreads) -> list[SessionSummary]:
    """A brain with three sessions, listed once and closed."""
    brains = FileBrains(home.parent, threads)
    async with brains.use(ALICE) as brain:
        for number in range(3):
            session = await brain.open_session(SessionId(f"s{number}"), KEY, at(0))
            await session.append(said("t.0", seconds=number), answered("t.1", seconds=number))
            await session.append(info("t.2", title=f"Number {number}", seconds=number))
        summaries = await brain.sessions(10)
    await brains.close()
    assert [summary.title for summary in summaries] == ["Number 2", "Number 1", "Number 0"]
    return summaries


async def list_again(home: Path, threads: WriterThreads) -> list[SessionSummary]:
    """What a process that has just started lists."""
    brains = FileBrains(home.parent, threads)
    async with brains.use(ALICE) as brain:
        summaries = await brain.sessions(10)
    await brains.close()
    return summaries


async def test_deleting_it_loses_nothing(home: Path, threads: WriterThreads, listed: list[SessionSummary]):
    """Every session with all its metadata is back from the transcripts."""
    for path in home.glob("agent.db*"):
        path.unlink()
    assert await list_again(home, threads) == listed


@pytest.mark.parametrize("damage", ["text", "middle", "empty", "missing table", "newer", "directory of pages"])
async def test_a_damaged_one_is_put_aside_and_made_anew(
    home: Path, threads: WriterThreads, listed: list[SessionSummary], damage: str
):
    """Whatever the damage, the list is right, and the damaged file is kept for somebody to look at."""
    path = home / "agent.db"
    content = path.read_bytes()
    match damage:
        case "text":
            path.write_bytes(b"this is no database at all" * 100)
        case "middle":
            path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
        case "empty":
            path.write_bytes(b"")
        case "missing table":
            with sqlite3.connect(path) as raw:
                raw.execute("DROP TABLE sessions")
            raw.close()
        case "newer":
            with sqlite3.connect(path) as raw:
                raw.execute("PRAGMA user_version = 99")
            raw.close()
        case _:
            path.write_bytes(content[: len(content) // 2])
    assert await list_again(home, threads) == listed
    assert len(list(home.glob("agent.db.corrupt-1"))) == (0 if damage == "empty" else 1)


async def test_it_catches_up_with_what_was_written_without_it(
    home: Path, threads: WriterThreads, listed: list[SessionSummary]
):
    """Longer, shorter, new and missing transcripts are noticed at the next start."""
    sessions = home / "sessions"
    with (sessions / "s0.jsonl").open("ab") as file:
        file.write(encode_line(info("t.3", title="Later", seconds=50)) + b"torn")
    shorter = (sessions / "s1.jsonl").read_bytes().splitlines(keepends=True)[:2]
    (sessions / "s1.jsonl").write_bytes(b"".join(shorter))
    (sessions / "s2.jsonl").unlink()
    (sessions / "new.jsonl").write_bytes(encode_line(header("new", created=60)))
    (sessions / "notes.txt").write_text("not ours")
    (sessions / "headless.jsonl").write_bytes(encode_line(said("t.0")))

    summaries = await list_again(home, threads)
    assert [(summary.session_id, summary.title, summary.entry_count) for summary in summaries] == [
        ("new", None, 0),
        ("s0", "Later", 4),
        ("s1", None, 1),
    ]


async def test_a_transcript_replaced_by_another_is_read_anew(
    home: Path, threads: WriterThreads, listed: list[SessionSummary]
):
    """A longer file in which no line begins where the index stopped is another file."""
    path = home / "sessions" / "s0.jsonl"
    first, then = header("s0", created=70), said("x.0", "y" * 2_000, seconds=71)
    path.write_bytes(encode_line(first) + encode_line(then))
    assert (await list_again(home, threads))[0] == fold(begin(first), [then])


async def test_an_append_does_not_touch_it(home: Path, threads: WriterThreads):
    """It is opened when somebody lists, and not before."""
    async with FileBrains(home.parent, threads).use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        assert list(home.glob("agent.db*")) == []
        assert len(await brain.sessions(10)) == 1
        assert {stat.S_IMODE(path.stat().st_mode) for path in home.glob("agent.db*")} == {0o600}

        before = (home / "agent.db-wal").read_bytes()
        await session.append(said("t.1"))
        assert (home / "agent.db-wal").read_bytes() == before
        await brain.catch_up()
        assert (home / "agent.db-wal").read_bytes() != before
    await brain.close()


async def test_a_disk_that_refuses_it_does_not_stop_the_brain(home: Path, threads: WriterThreads):
    """Without `agent.db` there is no list, but every session works; the list comes back with the disk."""
    async with FileBrains(home.parent, threads).use(ALICE) as brain:
        (home / "agent.db").mkdir()
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        with pytest.raises(StorageUnavailable):
            await brain.sessions(10)
        (home / "agent.db").rmdir()
        assert [summary.session_id for summary in await brain.sessions(10)] == [S1]
    await brain.close()


async def test_reindex_mends_a_row_that_is_wrong(home: Path, threads: WriterThreads, listed: list[SessionSummary]):
    """A wrong row under a right length is what only `doctor --reindex` can find."""
    with sqlite3.connect(home / "agent.db") as raw:
        raw.execute("UPDATE sessions SET title = 'wrong'")
    raw.close()
    assert await list_again(home, threads) != listed
    brains = FileBrains(home.parent, threads)
    async with brains.use(ALICE) as brain:
        await brain.reindex()
        assert await brain.sessions(10) == listed
    await brains.close()


@pytest.mark.parametrize("version", range(len(MIGRATIONS) + 1))
def test_every_older_schema_is_migrated(tmp_path: Path, version: int):
    """From the empty file and from each version there ever was, one open leads to the present tables."""
    path = tmp_path / "agent.db"
    old = AgentDb(path, MIGRATIONS[:version])
    old.transaction(lambda connection: connection.exec_driver_sql("SELECT 1"))
    old.close()

    db = AgentDb(path)
    rows = db.transaction(lambda connection: connection.execute(select(indexed)).all())
    info = db.transaction(lambda connection: connection.exec_driver_sql("PRAGMA table_info(sessions)").all())
    (user_version,) = db.transaction(lambda connection: connection.exec_driver_sql("PRAGMA user_version").one())
    db.close()
    assert rows == []
    assert user_version == len(MIGRATIONS)
    dialect = sqlite_dialect.dialect()
    expected = [
        (column.name, column.type.compile(dialect).replace("BIGINT", "INTEGER"), not column.nullable)
        for column in indexed.columns
    ]
    assert [(row.name, row.type, bool(row.notnull)) for row in info] == expected


def test_a_migration_that_fails_leaves_the_old_schema(tmp_path: Path):
    """A step is taken whole, with its version, or not at all."""
    path = tmp_path / "agent.db"
    AgentDb(path).transaction(lambda _: None)
    broken = AgentDb(path, (*MIGRATIONS, "CREATE TABLE more (x); SELECT * FROM nowhere"))
    with pytest.raises(StorageCorrupt):
        broken.transaction(lambda _: None)
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
        assert raw.execute("SELECT count(*) FROM sqlite_master WHERE name = 'more'").fetchone() == (0,)
    raw.close()


def entry(kind: int, number: int) -> AnyEntry:
    match kind:
        case 0:
            return said(f"{number}", seconds=kind)
        case 1:
            return answered(f"{number}", (number, 1), seconds=number % 7)
        case 2:
            return info(f"{number}", title=f"t{number}", tags=(str(number),), seconds=number)
        case _:
            return info(f"{number}", status=["active", "archived", "pinned"][number % 3], archived_at=at(number))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 3), max_size=30), st.data())
def test_folding_in_parts_is_folding_at_once(kinds: list[int], data: st.DataObject):
    """Wherever the index stopped and went on, the sum is the same."""
    entries = [entry(kind, number) for number, kind in enumerate(kinds)]
    cut = data.draw(st.integers(0, len(entries)))
    whole = fold(begin(header()), entries)
    assert fold(fold(begin(header()), entries[:cut]), entries[cut:]) == whole
    assert whole.entry_count == len(entries)


def test_what_was_used_before_costs_were_kept_has_no_known_cost(tmp_path: Path):
    """A session in which nothing was used cost nothing all the same; so does the index that is made anew."""
    path = tmp_path / "agent.db"
    old = AgentDb(path, MIGRATIONS[:1])
    row = "('s{0}', 'k', '[]', 'active', 0, 0, 1, {0}, 0, 10)"
    columns = "session_id, session_key, tags, status, created_at, updated_at, entry_count, input_tokens"
    old.transaction(
        lambda connection: connection.exec_driver_sql(
            f"INSERT INTO sessions ({columns}, output_tokens, indexed_bytes) "
            f"VALUES {row.format(0)}, {row.format(7)}"
        )
    )
    old.close()

    db = AgentDb(path)
    found = db.transaction(lambda connection: connection.execute(select(indexed)).all())
    db.close()
    assert {row.session_id: row.cost_nano_usd for row in found} == {"s0": 0, "s7": None}
