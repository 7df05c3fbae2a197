"""SQL and its values -> rows, and rows -> a table."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from itertools import chain
from typing import Any, Protocol, TypeVar

import apsw

T = TypeVar("T")
Row = tuple[Any, ...]

MOST_ROWS = 64  # of one statement
ANY_SIZE = 16  # up to so many rows each number has a statement of its own: a batch of 7 is no 4, 2 and 1
PREPARED = 200  # statements that a connection keeps prepared: eight of each such size, and all others


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


def at_once(cursor: apsw.Cursor, sql: str, given: Sequence[Row]) -> list[Row]:
    """Run `sql` with its row, as `{(?, ?, 0)}`, repeated for the rows given; return what it returns.

    Many rows per statement, and statements that return few: at every step of one the interpreter's lock goes to the
    event loop, which may keep it for a while.
    """
    found: list[Row] = []
    done, total = 0, len(given)
    while left := total - done:
        # above ANY_SIZE a power of two: apsw keeps as few statements prepared
        size = left if left <= ANY_SIZE else min(MOST_ROWS, 1 << left.bit_length() - 1)
        part = given if size == total else given[done : done + size]
        found += _execute(cursor, _repeated(sql, size), list(chain.from_iterable(part)))
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
def _repeated(sql: str, size: int) -> str:
    before, row, after = re.split("[{}]", sql)
    return f"{before}{', '.join([row] * size)}{after}"
