"""What operators did -> lines that stay."""

import apsw
import orjson

from relay.store.contract import Act
from relay.store.query import rows
from relay.store.times import from_ms, to_ms


def note(cursor: apsw.Cursor, act: Act, count: int) -> int:
    """Count `count` more for this act; how many it were before."""
    before = rows(cursor, "select count from audit where id = ?", (act.id,))
    details = orjson.dumps(dict(act.details)).decode()
    cursor.execute(
        "insert into audit (id, at, who, command, details, count) values (?, ?, ?, ?, ?, ?)"
        " on conflict (id) do update set count = count + excluded.count",
        (act.id, to_ms(act.at), act.who, act.command, details, count),
    )
    return before[0][0] if before else 0


def audit(cursor: apsw.Cursor, limit: int) -> list[Act]:
    """Newest first."""
    found = rows(
        cursor, "select id, at, who, command, details, count from audit order by at desc, id desc limit ?", (limit,)
    )
    return [
        Act(id=id_, at=from_ms(at), who=who, command=command, details=orjson.loads(details), count=count)
        for id_, at, who, command, details, count in found
    ]
