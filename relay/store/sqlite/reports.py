"""What a daemon says of itself, by name -> rows that commands beside it read."""

from datetime import datetime

import apsw
import orjson

from relay.model import Json
from relay.store.records import Report
from relay.store.sqlite.query import rows
from relay.store.sqlite.times import from_ms, to_ms


def publish(cursor: apsw.Cursor, name: str, value: Json, now: datetime) -> None:
    """In place of what was said under `name` before."""
    cursor.execute(
        "insert into reports (name, as_of, value) values (?, ?, ?)"
        " on conflict (name) do update set as_of = excluded.as_of, value = excluded.value",
        (name, to_ms(now), orjson.dumps(value).decode()),
    )


def reports(cursor: apsw.Cursor) -> dict[str, Report]:
    """By name, without those that a disk has made unreadable: the daemon will replace them."""
    found = rows(cursor, "select name, as_of, value from reports where typeof(as_of) = 'integer' and json_valid(value)")
    return {name: Report(as_of=from_ms(as_of), value=orjson.loads(value)) for name, as_of, value in found}
