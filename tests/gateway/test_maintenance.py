"""What the gateway forgets by itself, every few hours, and what it never does."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, func, select

from rookery.gateway import setup_codes, tables
from rookery.gateway.callers import DEVICE_IDLE, DEVICE_LIFE, ENDED_KEPT, caller_behind, prune
from rookery.gateway.idempotency import KEPT, Once, claim
from rookery.gateway.operations import setting_up
from rookery.gateway.setup_codes import VALID_FOR
from rookery.gateway.shapes import Nothing
from rookery.ids import UserId
from rookery.users import CredentialKind, Issued, credentials
from rookery.users import tables as user_tables
from tests.gateway.at_the_desk import AtTheDesk
from tests.support.house import TestHouse

BOB = UserId("bob")
HOUR = timedelta(hours=1)
EVERY = 6 * HOUR


async def count(house: TestHouse, table: Table) -> int:
    return await house.database.read(lambda c: c.execute(select(func.count()).select_from(table)).scalar_one())


async def passes(house: TestHouse, time: timedelta) -> None:
    """Let time pass, and maintenance come by once after it."""
    await _passes(house, time)
    await _passes(house, EVERY)


async def _passes(house: TestHouse, time: timedelta) -> None:
    await house.clock.passes(time.total_seconds())
    async with asyncio.timeout(20):
        while not any(0 < left <= EVERY.total_seconds() for left in house.clock.waited_for):
            await asyncio.sleep(0.001)


async def test_a_key_is_forgotten_after_a_day(house: TestHouse) -> None:
    """And not before: until then the same request is answered the same."""
    await house.person("bob")
    once = Once.of(BOB, "POST /api/agents", "k", b"one")
    await house.database.write(lambda c: claim(c, once, "made", house.clock.now()))
    await passes(house, EVERY)
    assert await count(house, tables.idempotency) == 1
    await passes(house, KEPT)
    assert await count(house, tables.idempotency) == 0


async def test_a_code_that_ran_out_is_forgotten(house: TestHouse) -> None:
    """It was good for nothing any more."""
    await setting_up.make_setup_link(AtTheDesk(house).operator, Nothing())
    assert await count(house, user_tables.setup_codes) == 1
    await passes(house, VALID_FOR)
    assert await count(house, user_tables.setup_codes) == 0


async def test_a_code_in_force_stays(house: TestHouse) -> None:
    """Until its last moment."""
    now = house.clock.now()

    def work(connection: Connection) -> bool:
        code, _ = setup_codes.make(connection, now)
        setup_codes.prune(connection, now + VALID_FOR - timedelta(microseconds=1))
        return setup_codes.is_valid(connection, code, now)

    assert await house.database.write(work)


async def test_ended_credentials_are_forgotten_after_a_month(house: TestHouse) -> None:
    """Devices that ran out end by it; tokens that nobody ended stay, whatever their age; the trail stays whole."""
    await house.person("bob")
    kinds = (CredentialKind.TOKEN, CredentialKind.TOKEN, CredentialKind.DEVICE)
    token, ended, device = [await issue(house, kind) for kind in kinds]
    await house.database.write(
        lambda c: credentials.end(c, BOB, CredentialKind.TOKEN, ended.credential.id, now=house.clock.now())
    )
    trail = await count(house, tables.audit)
    await passes(house, DEVICE_IDLE)
    listed = await house.database.read(lambda c: credentials.list_credentials(c, BOB, CredentialKind.DEVICE))
    assert listed == []
    assert await count(house, user_tables.credentials) == 3
    await passes(house, ENDED_KEPT - DEVICE_IDLE)
    assert await count(house, user_tables.credentials) == 2
    await passes(house, DEVICE_IDLE + EVERY)
    assert await count(house, user_tables.credentials) == 1
    assert await standing(house, token, CredentialKind.TOKEN, house.clock.now())
    assert await standing(house, device, CredentialKind.DEVICE, house.clock.now()) is False
    assert await count(house, tables.audit) == trail


async def test_whoever_could_come_in_still_can(house: TestHouse) -> None:
    """Whatever its age and its last use: a device ends by maintenance exactly when it had run out."""
    await house.person("bob")
    now = house.clock.now()
    ages = [DEVICE_IDLE, DEVICE_LIFE, HOUR, timedelta(0), DEVICE_LIFE + HOUR]
    devices: list[Issued] = []
    for age in ages:
        for used in (timedelta(0), DEVICE_IDLE, DEVICE_IDLE + timedelta(seconds=1)):
            made = await issue(house, CredentialKind.DEVICE, now - age)
            which, at = made.credential.id, now - min(used, age)
            await house.database.write(lambda c, which=which, at=at: credentials.used(c, which, now=at))
            devices.append(made)
    before = [await standing(house, one, CredentialKind.DEVICE, now) for one in devices]
    await house.database.write(lambda c: prune(c, now))
    assert [await standing(house, one, CredentialKind.DEVICE, now) for one in devices] == before
    alive = await house.database.read(lambda c: credentials.list_credentials(c, BOB, CredentialKind.DEVICE))
    assert len(alive) == sum(before)
    assert 0 < sum(before) < len(before)


async def issue(house: TestHouse, kind: CredentialKind, at: datetime | None = None) -> Issued:
    now = at or house.clock.now()
    return await house.database.write(lambda c: credentials.issue(c, BOB, kind, "it", now=now))


async def standing(house: TestHouse, issued: Issued, kind: CredentialKind, now: datetime) -> bool:
    """Whether somebody comes in by it."""
    found = await house.database.read(lambda c: caller_behind(c, issued.secret, kind, now))
    return found is not None
