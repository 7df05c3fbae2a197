"""SQL and its values -> rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import apsw

Row = tuple[Any, ...]


def rows(cursor: apsw.Cursor, sql: str, values: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
    """All rows; the columns' types are the schema's business, so they are not checked here."""
    return list(cursor.execute(sql, values))
