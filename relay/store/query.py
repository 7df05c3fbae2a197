"""SQL and its values -> rows, and rows -> a table."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import cache
from typing import Any, Protocol, TypeVar

import apsw

T = TypeVar("T")
Row = tuple[Any, ...]

MOST_ROWS = 64  # that one statement inserts


class Run(Protocol):
    """Runs what needs a cursor: on the reading connection, or within a transaction of the writer."""

    def __call__(self, run: Callable[[apsw.Cursor], T], /) -> Awaitable[T]:
        """Its result, once it is read or committed."""
        ...


def rows(cursor: apsw.Cursor, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """All rows; the columns' types are the schema's business, so they are not checked here."""
    return list(cursor.execute(sql, values))


def insert(cursor: apsw.Cursor, into: str, given: Sequence[Row]) -> None:
    """`into` names the table and the columns of each row.

    Many rows a statement: for each one the interpreter's lock goes to the event loop, which is slow to give it back.
    """
    done = 0
    while left := len(given) - done:
        size = min(MOST_ROWS, 1 << left.bit_length() - 1)  # a power of two: SQLite keeps the few there are prepared
        cursor.execute(_insertion(into, size), [value for row in given[done : done + size] for value in row])
        done += size


@cache
def _insertion(into: str, size: int) -> str:
    marks = ", ".join("?" for _ in into.split(","))
    return f"insert into {into} values {', '.join([f'({marks})'] * size)}"
