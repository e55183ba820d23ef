"""Removing a session, the same on every storage: nothing of it is left, and nothing brings it back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rookery.errors import NotFound
from rookery.ids import SessionId
from tests.sessions.conftest import Storage
from tests.sessions.lines import ALICE, BOB, S1, at, info, said

KEY = "agent:alice:main"
OTHER = SessionId("s2")


async def test_a_removed_session_is_gone_with_every_word(storage: Storage):
    """Not opened, not listed, not exported, and not after a restart either; others stay as they are."""
    async with storage.brains().use(ALICE) as brain:
        for session_id in (S1, OTHER):
            session = await brain.open_session(session_id, KEY, at(0))
            await session.append(said("t.0", "secret"))
        await brain.sessions(10)
        await brain.remove(S1)
        assert [one.session_id for one in await brain.sessions(10)] == [OTHER]
        for gone in (brain.session(S1), brain.summary(S1), brain.export(S1)):
            with pytest.raises(NotFound):
                await gone
    async with storage.brains().use(ALICE) as brain:
        assert [one.session_id for one in await brain.sessions(10)] == [OTHER]
        with pytest.raises(NotFound):
            await brain.session(S1)
        assert (await brain.session(OTHER)).entries


async def test_what_is_not_there_is_gone_already(storage: Storage):
    """Removing twice, or what never was, changes nothing."""
    async with storage.brains().use(ALICE) as brain:
        await brain.remove(S1)
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        await brain.remove(S1)
        await brain.remove(S1)
        for name in ("", "../s1", "a/b", "."):
            await brain.remove(SessionId(name))
        assert await brain.sessions(10) == []


async def test_whoever_still_holds_it_cannot_bring_it_back(storage: Storage):
    """An append to a session that was removed meanwhile is refused, and writes nothing."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        await brain.remove(S1)
        with pytest.raises(NotFound):
            await session.append(info("t.1", title="back"))
        assert await brain.sessions(10) == []


async def test_appends_that_race_a_removal_leave_all_or_nothing(storage: Storage):
    """Whichever comes first, at the end there is no session."""
    async with storage.brains().use(ALICE) as brain:
        session = await brain.open_session(S1, KEY, at(0))
        await session.append(said("t.0"))
        appends = [session.append(said(f"t.{number}")) for number in range(1, 6)]
        await asyncio.gather(*appends[:3], brain.remove(S1), *appends[3:], return_exceptions=True)
        assert await brain.sessions(10) == []
        with pytest.raises(NotFound):
            await brain.session(S1)


async def test_an_id_can_be_begun_anew(storage: Storage):
    """After a removal nothing of before shows in a session of the same id."""
    async with storage.brains().use(ALICE) as brain:
        for text in ("first", "second"):
            session = await brain.open_session(S1, KEY, at(0))
            await session.append(said("t.0", text))
            assert [entry.id for entry in session.entries] == ["t.0"]
            assert text.encode() in await brain.export(S1)
            await brain.remove(S1)


async def test_a_removal_is_of_one_agent(storage: Storage):
    """Another agent's session of the same id is not touched."""
    brains = storage.brains()
    for agent_id in (ALICE, BOB):
        async with brains.use(agent_id) as brain:
            await (await brain.open_session(S1, f"agent:{agent_id}:main", at(0))).append(said("t.0"))
    async with brains.use(ALICE) as brain:
        await brain.remove(S1)
    async with brains.use(BOB) as brain:
        assert (await brain.session(S1)).entries


@pytest.mark.parametrize("storage", ["files"], indirect=True)
async def test_what_a_crash_broke_off_goes_too(storage: Storage, tmp_path: Path):
    """The bytes that were set aside are a person's words as well."""
    async with storage.brains().use(ALICE) as brain:
        await (await brain.open_session(S1, KEY, at(0))).append(said("t.0", "secret"))
    directory = tmp_path / "agents" / ALICE / "sessions"
    (directory / "s1.torn-1").write_bytes(b'{"secret')
    (directory / "s10.torn-1").write_bytes(b"others")
    async with storage.brains().use(ALICE) as brain:
        await brain.remove(S1)
    assert [path.name for path in directory.iterdir()] == ["s10.torn-1"]
