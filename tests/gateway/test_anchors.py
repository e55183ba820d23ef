"""The heads of the audit trail, written down beside it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from sqlalchemy import delete

from rookery.gateway import audit
from rookery.gateway.anchors import EVERY, Anchors
from rookery.gateway.audit import Anchor
from rookery.gateway.gateway import Gateway
from rookery.gateway.log import Logger
from rookery.gateway.tables import audit as table
from rookery.sessions import Brains
from rookery.storage import Database
from tests.gateway.test_audit import NOW, row
from tests.support.house import TestHouse


class Anchored(TestHouse):
    """A house that writes heads down in two places."""

    __test__ = False

    @property
    def heads(self) -> Anchors:
        return Anchors(self.home / "heads.jsonl", self.home / "elsewhere" / "heads.jsonl")

    def _gateway(self, database: Database, brains: Brains, log: Logger) -> Gateway:
        gateway = super()._gateway(database, brains, log)
        gateway.anchors = self.heads
        return gateway

    async def does(self, number: int) -> None:
        """Something that leaves a row in the trail."""
        await self.database.write(lambda connection: audit.keep(connection, row(number)))

    @property
    def seqs(self) -> list[list[int]]:
        return [
            [json.loads(line)["seq"] for line in place.read_text().splitlines()] if place.exists() else []
            for place in self.heads.places
        ]


def test_a_head_is_one_synced_line_for_its_owner_alone(tmp_path: Path) -> None:
    """The same head is written once, in each place where it is not the newest yet."""
    first, second = tmp_path / "one", tmp_path / "two"
    Anchors(first).write(Anchor(1, "a", NOW))
    anchors = Anchors(first, second)
    for anchor in (Anchor(1, "a", NOW), Anchor(2, "b", NOW), Anchor(2, "b", NOW)):
        anchors.write(anchor)
    assert first.read_text() == second.read_text()
    assert [json.loads(line)["seq"] for line in first.read_text().splitlines()] == [1, 2]
    assert {place.stat().st_mode & 0o777 for place in (first, second)} == {0o600}
    assert anchors.newest() == Anchor(2, "b", NOW)
    assert set(anchors.read().anchors) == {Anchor(1, "a", NOW), Anchor(2, "b", NOW)}


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    """It stays alone on its line, is counted, and what is written next can be read."""
    place = tmp_path / "heads"
    anchors = Anchors(place)
    assert anchors.newest() is None
    anchors.write(Anchor(1, "a", NOW))
    with place.open("ab") as file:
        file.write(b'{"seq":2,"ha')
    assert anchors.newest() == Anchor(1, "a", NOW)
    anchors.write(Anchor(3, "c", NOW))
    found = anchors.read()
    assert ({anchor.seq for anchor in found.anchors}, found.spoiled) == ({1, 3}, 1)


def test_a_place_that_cannot_be_written_spares_the_others(tmp_path: Path) -> None:
    """It is told, after the rest has been written; a link is no place."""
    (tmp_path / "link").symlink_to(tmp_path / "target")
    anchors = Anchors(tmp_path / "gone" / "heads", tmp_path / "link", tmp_path / "heads")
    with pytest.raises(OSError, match=r".+"):
        anchors.write(Anchor(1, "a", NOW))
    assert Anchors(tmp_path / "heads").newest() == Anchor(1, "a", NOW)
    assert len(anchors.unwritable()) == 2
    assert not (tmp_path / "target").exists()
    assert Anchors(tmp_path / "heads").unwritable() == []
    assert Anchors(tmp_path / "heads", tmp_path / "other").on_one_disk()


async def test_heads_are_written_at_start_every_ten_minutes_and_at_the_end(tmp_path: Path) -> None:
    """Only those that are new; a second place that is missing is told in the log, and found when it is there."""
    async with Anchored(tmp_path) as house:
        await _passes(house)
        assert house.seqs == [[], []]
        await house.does(1)
        await house.does(2)
        assert house.seqs == [[], []]
        await _passes(house)
        assert house.seqs == [[2], []]
        assert '"event":"audit.not_anchored"' in house.log_text
        (tmp_path / "elsewhere").mkdir()
        await _passes(house)
        assert house.seqs == [[2], [2]]
        await house.does(3)
        await house.restart()
        assert house.seqs == [[2, 3], [2, 3]]
        await house.does(4)
    assert house.seqs == [[2, 3, 4], [2, 3, 4]]


async def test_a_trail_cut_while_the_gateway_runs_is_told_in_the_log(tmp_path: Path) -> None:
    """The row that was written down last is looked for each time, and verifying finds it missing for ever."""
    (tmp_path / "elsewhere").mkdir()
    async with Anchored(tmp_path) as house:
        for number in range(3):
            await house.does(number)
        await _passes(house)
        assert "audit.broken" not in house.log_text
        await house.database.write(lambda connection: connection.execute(delete(table).where(table.c.seq > 1)))
        await house.does(9)
        await house.does(10)
        await house.does(11)
        await _passes(house)
        assert '"event":"audit.broken","seq":3' in house.log_text
        await house.does(12)
        await _passes(house)
        anchors = house.heads.read().anchors
        broken = await house.database.read(lambda connection: audit.verify(connection, anchors))
    assert broken is not None
    assert broken.seq == 3


async def _passes(house: Anchored) -> None:
    """Ten minutes pass, and what is due then is done: it waits for the next ten."""
    await _waits(house)
    await house.clock.passes(EVERY.total_seconds())
    await _waits(house)


async def _waits(house: Anchored) -> None:
    async with asyncio.timeout(20):
        while EVERY.total_seconds() not in house.clock.waited_for:
            await asyncio.sleep(0)
