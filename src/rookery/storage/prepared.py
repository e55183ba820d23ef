"""A statement of the hot path: written in SQLAlchemy Core, compiled once, run close to the driver on SQLite.

Core costs some 20 µs a statement around a driver's 3; a message runs twenty of them. PostgreSQL, where a round
trip costs more than either, runs the same statements through Core as always.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Dialect, Executable, Select
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from rookery.storage.statements import ByDialect

Values = Mapping[str, object]


class Prepared:
    """One statement with named parameters.

    `columns` are the parameters of an INSERT, which names its columns by them. Results are as Core gives them:
    rows with the columns' names as attributes, values in their Python types.
    """

    def __init__(self, statement: Executable | ByDialect, *columns: str) -> None:
        self._statement = statement
        self._columns = columns
        self._compiled: _OnSqlite | None = None

    def first(self, connection: Connection, values: Values) -> Any:
        """The first row, None when there is none."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._on(connection), values).first()
        rows = self._on_sqlite(connection).rows(connection, values)
        return rows[0] if rows else None

    def all(self, connection: Connection, values: Values) -> list[Any]:
        """All rows."""
        if connection.dialect.name != "sqlite":
            return list(connection.execute(self._on(connection), values).all())
        return self._on_sqlite(connection).rows(connection, values)

    def run(self, connection: Connection, values: Values) -> int:
        """Write, and return how many rows that touched."""
        if connection.dialect.name != "sqlite":
            return connection.execute(self._on(connection), values).rowcount
        return self._on_sqlite(connection).write(connection, values)[0]

    def insert(self, connection: Connection, values: Values) -> int:
        """Insert one row and return the number the database counted up for it."""
        if connection.dialect.name != "sqlite":
            key = connection.execute(self._on(connection), values).inserted_primary_key
            assert key is not None, "an insert of one row has a key"
            return key[0]
        return self._on_sqlite(connection).write(connection, values)[1]

    def _on(self, connection: Connection) -> Executable:
        statement = self._statement
        return statement.on(connection) if isinstance(statement, ByDialect) else statement

    def _on_sqlite(self, connection: Connection) -> _OnSqlite:
        if self._compiled is None:
            self._compiled = _compile(self._on(connection), self._columns, connection.dialect)
        return self._compiled


class _OnSqlite(Struct, frozen=True):
    text: str
    names: tuple[str, ...]
    constants: Values
    pick: Callable[[Values], tuple[Any, ...]]
    binds: tuple[tuple[int, Callable[[Any], Any]], ...]
    row: Callable[..., Any]
    converts: tuple[tuple[int, Callable[[Any], Any]], ...]

    def rows(self, connection: Connection, values: Values) -> list[Any]:
        found = _cursor(connection).execute(self.text, self._positional(values)).fetchall()
        if not self.converts:
            return [self.row(*one) for one in found]
        rows: list[Any] = []
        for one in found:
            converted = list(one)
            for index, convert in self.converts:
                converted[index] = convert(converted[index])
            rows.append(self.row(*converted))
        return rows

    def write(self, connection: Connection, values: Values) -> tuple[int, int]:
        cursor = _cursor(connection)
        cursor.execute(self.text, self._positional(values))
        return cursor.rowcount, cursor.lastrowid

    def _positional(self, values: Values) -> Sequence[Any]:
        if self.constants:
            values = {**self.constants, **values}
        try:
            found = self.pick(values)
        except KeyError:  # a column that an INSERT says nothing of is NULL
            found = tuple([values.get(name) for name in self.names])
        if not self.binds:
            return found
        bound = list(found)
        for index, bind in self.binds:
            bound[index] = bind(bound[index])
        return bound


def _cursor(connection: Connection) -> Any:
    return connection.connection.cursor()


def _compile(statement: Executable, columns: tuple[str, ...], dialect: Dialect) -> _OnSqlite:
    compiled = statement.compile(dialect=dialect, column_keys=list(columns) or None)  # pyright: ignore[reportUnknownMemberType, reportAttributeAccessIssue, reportUnknownVariableType]
    assert isinstance(compiled, SQLCompiler), "a statement, not DDL"
    text = str(compiled)
    assert "POSTCOMPILE" not in text, "the number of parameters is fixed when a statement is prepared"
    names = tuple(compiled.positiontup or ())
    binders = ((index, _binder(compiled.binds[name].type, dialect)) for index, name in enumerate(names))
    selected = list(statement.selected_columns) if isinstance(statement, Select) else []
    columns_read = [str(column.key) for column in selected]
    readers = ((index, _reader(column.type, dialect)) for index, column in enumerate(selected))
    return _OnSqlite(
        text=text,
        names=names,
        constants={name: bind.value for name, bind in compiled.binds.items() if bind.value is not None},
        pick=_picker(names),
        binds=tuple((index, bind) for index, bind in binders if bind is not None),
        row=namedtuple("Row", columns_read),  # pyright: ignore[reportUntypedNamedTuple]
        converts=tuple((index, read) for index, read in readers if read is not None),
    )


def _picker(names: tuple[str, ...]) -> Callable[[Values], tuple[Any, ...]]:
    """Takes values in the order of the names; for fewer than two, `itemgetter` makes no tuple."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


def _binder(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reader(kind: TypeEngine[Any], dialect: Dialect) -> Callable[[Any], Any] | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)
