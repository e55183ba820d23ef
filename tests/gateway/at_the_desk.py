"""A test house's desk, and what people do at it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from sqlalchemy import Connection, select

from rookery.config import Config
from rookery.gateway import tables
from rookery.gateway.callers import Caller, caller_behind
from rookery.gateway.home import Home
from rookery.gateway.house import House
from rookery.gateway.operations import Desk, logins
from rookery.gateway.operations.logins import LoggedIn
from rookery.gateway.shapes import Login, PasswordSet
from rookery.ids import UserId
from rookery.outbound.lazy import LazyOutbound
from rookery.policy import Member
from rookery.users import CredentialKind, User
from tests.support.house import TestHouse

PASSWORD = "one green heron"
HOME = "192.0.2.1"
CAFE = "198.51.100.7"


class AtTheDesk:
    """The operations on a test house, by whoever asks."""

    def __init__(
        self, house: TestHouse, *, address: str | None = "http://127.0.0.1:8484", config: Config | None = None
    ) -> None:
        opened = House(Home(house.home), house.gateway, LazyOutbound())
        self.house = house
        self.operator = Desk(opened, config or Config(), None, address, house.clock.now())

    def by(self, user_id: str, *, admin: bool = False) -> Desk:
        """The desk with a person at it."""
        return self.operator.of(Member(UserId(user_id), admin))

    async def password(self, user_id: str, password: str = PASSWORD) -> None:
        """Give somebody a password."""
        await logins.set_password(self.operator, PasswordSet(user_id=user_id, password=password))

    async def login(
        self, username: str, password: str = PASSWORD, *, source: str = HOME, device: str = "browser"
    ) -> LoggedIn:
        """Come in as somebody."""
        ask = Login(username=username, password=password)
        return await logins.login(self.operator, ask, source=source, device_name=device)

    async def caller(self, secret: str, kind: CredentialKind = CredentialKind.DEVICE) -> Caller | None:
        """Who a secret stands for now."""
        now = self.house.clock.now()
        return await self.house.database.read(lambda c: caller_behind(c, secret, kind, now))

    async def user(self, user_id: str) -> User:
        """What is kept of somebody."""
        from rookery import users

        return await self.house.database.read(lambda c: users.get_user(c, UserId(user_id)))

    async def record(self) -> list[tuple[str, str | None, str, str, str]]:
        """The audit trail: who, whom it concerns, what, to what, and whether it was allowed."""

        def look(connection: Connection) -> list[tuple[str, str | None, str, str, str]]:
            rows = connection.execute(select(tables.audit).order_by(tables.audit.c.seq))
            return [(row.actor, row.on_behalf_of, row.action, row.object, row.decision) for row in rows]

        return await self.house.database.read(look)

    @contextmanager
    def told(self) -> Generator[list[tuple[str, str | None]]]:
        """The revocations that whoever holds something open is told of meanwhile."""
        heard: list[tuple[str, str | None]] = []
        with self.house.gateway.revocations.listen(lambda user_id, which: heard.append((user_id, which))):
            yield heard
