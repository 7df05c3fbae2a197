"""SQL and its values -> rows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import apsw

T = TypeVar("T")
Row = tuple[Any, ...]


class Run(Protocol):
    """Runs what needs a cursor: on the reading connection, or within a transaction of the writer."""

    def __call__(self, run: Callable[[apsw.Cursor], T], /) -> Awaitable[T]:
        """Its result, once it is read or committed."""
        ...


def rows(cursor: apsw.Cursor, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """All rows; the columns' types are the schema's business, so they are not checked here."""
    return list(cursor.execute(sql, values))
