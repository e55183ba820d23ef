"""APSW as a driver SQLAlchemy takes for Python's own sqlite3, so that a test can put its own disk under SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import apsw

T = TypeVar("T")


class Connection:
    """What SQLAlchemy uses of a DBAPI connection."""

    isolation_level: str | None = None

    def __init__(self, vfs: str, *, filename: str = "gateway.db", pragmas: Sequence[str] = ()) -> None:
        self._apsw = _told(lambda: apsw.Connection(filename, vfs=vfs))
        for pragma in pragmas:
            self.cursor().execute(f"PRAGMA {pragma}").close()

    @property
    def in_transaction(self) -> bool:
        return self._apsw.in_transaction

    def cursor(self, *_: Any) -> Cursor:
        return Cursor(self._apsw)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        return self.cursor().execute(statement, parameters)

    def create_function(self, name: str, count: int, function: Callable[..., Any], **_: Any) -> None:
        connection: Any = self._apsw
        connection.create_scalar_function(name, function, count)

    def commit(self) -> None:
        if self.in_transaction:
            self.execute("COMMIT")

    def rollback(self) -> None:
        if self.in_transaction:
            self.execute("ROLLBACK")

    def close(self) -> None:
        with suppress(apsw.Error):  # a disk that is gone keeps nobody from closing
            self._apsw.close(force=True)


class Cursor:
    """What SQLAlchemy uses of a DBAPI cursor; all rows are fetched at once."""

    arraysize = 1

    def __init__(self, connection: apsw.Connection) -> None:
        self._apsw = connection
        self._rows: list[Any] = []
        self.description: Any = None
        self.lastrowid = 0
        self.rowcount = -1

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Cursor:
        cursor: Any = self._apsw.cursor()
        self.description = None

        def before(of: apsw.Cursor, _sql: str, _bindings: Any) -> bool:
            columns = of.get_description()
            self.description = tuple((name, *[None] * 6) for name, _ in columns) or None
            return True

        cursor.exec_trace = before
        changes = self._apsw.total_changes()
        self._rows = _told(lambda: list(cursor.execute(statement, tuple(parameters))))
        self.lastrowid = self._apsw.last_insert_rowid()
        self.rowcount = self._apsw.total_changes() - changes
        return self

    def executemany(self, statement: str, rows: Iterable[Sequence[Any]]) -> Cursor:
        count = 0
        for row in rows:
            count += self.execute(statement, row).rowcount
        self.rowcount = count
        return self

    def fetchone(self) -> Any:
        return self._rows.pop(0) if self._rows else None

    def fetchmany(self, size: int | None = None) -> list[Any]:
        size = size or self.arraysize
        taken, self._rows = self._rows[:size], self._rows[size:]
        return taken

    def fetchall(self) -> list[Any]:
        taken, self._rows = self._rows, []
        return taken

    def close(self) -> None: ...


def _told(work: Callable[[], T]) -> T:
    """Say an error of APSW's as Python's sqlite3 says it."""
    try:
        return work()
    except apsw.Error as error:
        # What a VFS in Python raised comes through as it is, without a result.
        given = apsw.SQLITE_IOERR if isinstance(error, apsw.IOError) else apsw.SQLITE_ERROR
        code = int(getattr(error, "extendedresult", given))
        kind = sqlite3.IntegrityError if code & 0xFF == apsw.SQLITE_CONSTRAINT else sqlite3.OperationalError
        told = kind(str(error))
        told.sqlite_errorcode = code
        raise told from error
