"""SQL and its values -> rows, and rows -> a table."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

import apsw

T = TypeVar("T")
Row = tuple[Any, ...]

MOST_ROWS = 64  # of one statement


class Run(Protocol):
    """Runs a function of a cursor: on the reading connection, or in a transaction of the writer."""

    def __call__(self, run: Callable[[apsw.Cursor], T], /) -> Awaitable[T]:
        """Return its result, once it is read or committed."""
        ...


def rows(cursor: apsw.Cursor, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """Return all rows; the columns' types are the schema's business, so they are not checked here."""
    return _execute(cursor, sql, values)


def a_number(column: str) -> str:
    """SQL: the column, or null if a disk has corrupted it.

    A corrupt text that is not UTF-8 would end the reading of all rows with an error.
    """
    return f"iif(typeof({column}) = 'integer', {column}, null)"


def a_blob(column: str) -> str:
    """SQL: as `a_number`, for bytes."""
    return f"iif(typeof({column}) = 'blob', {column}, null)"


def insert(cursor: apsw.Cursor, into: str, given: Sequence[Row]) -> None:
    """Insert rows; `into` names the table and the columns of each row."""
    at_once(cursor, f"insert into {into} values {{values}}", given)


def at_once(cursor: apsw.Cursor, sql: str, given: Sequence[Row]) -> list[Row]:
    """Run `sql` with `{values}` filled in with the rows, as `(?, ?), (?, ?)`; return what it returns.

    Many rows per statement, and statements that return few: at every step of one the interpreter's lock goes to the
    event loop, which may keep it for a while.
    """
    found: list[Row] = []
    done = 0
    while left := len(given) - done:
        size = min(MOST_ROWS, 1 << left.bit_length() - 1)  # a power of two: SQLite keeps the few there are prepared
        part = given[done : done + size]
        found += _execute(cursor, _filled(sql, len(part[0]), size), [value for row in part for value in row])
        done += size
    return found


def _execute(cursor: apsw.Cursor, sql: str, values: Sequence[Any] | Mapping[str, Any]) -> list[Row]:
    """Replace lone surrogates, which are no UTF-8, by U+FFFD, only in what SQLite refused."""
    try:
        return list(cursor.execute(sql, values))
    except UnicodeEncodeError:
        return list(cursor.execute(sql, _clean(values)))


def _clean(values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any] | Mapping[str, Any]:
    if isinstance(values, Mapping):
        return {name: _clean_one(value) for name, value in values.items()}
    return [_clean_one(value) for value in values]


def _clean_one(value: object) -> object:
    return re.sub("[\ud800-\udfff]", "\ufffd", value) if isinstance(value, str) else value


def change(cursor: apsw.Cursor, sql: str, given: Sequence[Row]) -> None:
    """As `at_once`, for rows that were read in this transaction, one for each given row.

    CorruptError if not all are found again: a corrupt index may show a row and miss it in the update, and the delivery
    would be sent for ever. Needed by `test_flips.test_a_table_that_is_out_of_order_ends_the_relay`.
    """
    before = cursor.connection.total_changes()
    at_once(cursor, sql, given)
    if (changed := cursor.connection.total_changes() - before) != len(given):
        raise apsw.CorruptError(f"of {len(given)} rows that were read only {changed} are found to be written")


@cache
def _filled(sql: str, width: int, size: int) -> str:
    row = f"({', '.join('?' * width)})"
    return sql.format(values=", ".join([row] * size))
