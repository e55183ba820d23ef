"""Whoever leaves takes everything along and nothing else; and a gateway that does otherwise is found out."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from rookery.gateway import audit
from rookery.gateway.operations import leaving
from rookery.gateway.shapes import UserErase, UserNamed
from rookery.usage.ledger import ledger
from tests.gateway.a_life import Life, bytes_under, furnish, live, rows
from tests.gateway.at_the_desk import AtTheDesk
from tests.isolation import canaries
from tests.isolation.mistakes_leaving import ERASING, EXPORTING, Mistake
from tests.isolation.trials import in_memory
from tests.support.house import TestHouse


async def test_nothing_is_wrong() -> None:
    """What finds the mistakes finds none where none is made."""
    assert await _wrong_of_erasing() == []
    assert await _wrong_of_exporting() == []


@pytest.mark.parametrize("mistake", ERASING, ids=str)
async def test_a_mistake_in_erasing_is_caught(mistake: Mistake) -> None:
    """Something of hers is left, or something of the house's is not as it was."""
    with mistake.apply():
        try:
            wrong = await _wrong_of_erasing()
        except Exception as error:  # the database itself may say no
            wrong = [str(error)]
    assert wrong != []


@pytest.mark.parametrize("mistake", EXPORTING, ids=str)
async def test_a_mistake_in_exporting_is_caught(mistake: Mistake) -> None:
    """Something of another's is in it."""
    with mistake.apply():
        assert await _wrong_of_exporting() != []


async def _wrong_of_erasing() -> list[str]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        async with TestHouse(Path(directory)) as house:
            await furnish(house)
            alice, bob = await live(house, "alice", 1), await live(house, "bob", 2)
            spent, kept = await _spent(house), _brains_of(house, "bob")
            await leaving.erase(AtTheDesk(house).operator, UserErase(user_id="alice"))
            wrong = [
                f"{name} holds words of hers" for name, texts in (await rows(house)).items() if _in(alice, texts)
            ]
            wrong += [f"{name} names her" for name, data in bytes_under(house.home) if b"alice" in data]
            wrong += [
                f"{name} holds words of hers"
                for name, data in bytes_under(house.home)
                if alice.words & {one.lower() for one in canaries.found_in(data)}
            ]
            if await _spent(house) != spent:
                wrong.append("what was spent is another sum")
            if _brains_of(house, "bob") != kept or not bob.words:
                wrong.append("somebody else's brain is another")
            broken = await house.database.read(lambda connection: audit.verify(connection, []))
            return [*wrong, *([] if broken is None else [broken.detail])]


async def _wrong_of_exporting() -> list[str]:
    with tempfile.TemporaryDirectory(dir=in_memory()) as directory:
        async with TestHouse(Path(directory)) as house:
            await furnish(house)
            alice, bob = await live(house, "alice", 1), await live(house, "bob", 2)
            parts = leaving.export(AtTheDesk(house).operator, UserNamed(user_id="alice"))
            archive = zipfile.ZipFile(io.BytesIO(b"".join([part.data async for part in parts])))
            held = [name + archive.read(name).decode(errors="replace") for name in archive.namelist()]
            wrong = [f"{where} is missing" for where, word in alice.said.items() if word not in "".join(held)]
            return [*wrong, *(["somebody else's words"] if _in(bob, held) else [])]


def _in(life: Life, texts: list[str]) -> set[str]:
    return life.words & {one.lower() for text in texts for one in canaries.found_in(text)}


def _brains_of(house: TestHouse, user_id: str) -> dict[str, bytes]:
    return {name: data for name, data in bytes_under(house.home / "agents") if name.startswith(user_id)}


async def _spent(house: TestHouse) -> tuple[object, ...]:
    def look(connection: Connection) -> tuple[object, ...]:
        c = ledger.c
        return tuple(
            connection.execute(select(func.count(), func.sum(c.input_tokens), func.sum(c.nano_usd))).one()
        )

    return await house.database.read(look)
