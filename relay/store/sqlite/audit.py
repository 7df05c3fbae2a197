"""What operators did -> audit entries."""

import apsw
import orjson

from relay.store import cursors
from relay.store.audit_filter import AuditFilter
from relay.store.records import AuditEntry, Page
from relay.store.rows import page
from relay.store.sqlite.sql import Row, rows
from relay.store.times import from_ms, to_ms

PAGE = 100


def add(cursor: apsw.Cursor, act: AuditEntry, count: int) -> int:
    """Add `count` to the entry of this act; return the count before."""
    before = counted(cursor, act)
    details = orjson.dumps(dict(act.details)).decode()
    cursor.execute(
        "insert into audit (id, at, who, command, details, count) values (?, ?, ?, ?, ?, ?)"
        " on conflict (id) do update set count = count + excluded.count, seq = (select max(seq) + 1 from audit)",
        (act.id, to_ms(act.at), act.who, act.command, details, count),
    )
    return before


def counted(cursor: apsw.Cursor, act: AuditEntry) -> int:
    """Return the count in the entry of this act; 0 if there is none."""
    found = rows(cursor, "select count from audit where id = ?", (act.id,))
    return found[0][0] if found else 0


def audit(cursor: apsw.Cursor, limit: int, before: str | None, wanted: AuditFilter) -> Page[AuditEntry]:
    """Return the last entries that fit, newest first."""
    equal = "".join(f" and {name} = :{name}" for name in wanted.equal)
    found = rows(
        cursor,
        "select id, at, who, command, details, count from audit"
        f" where (at, id) < (:at, :last) and at >= :since{equal}"
        " order by at desc, id desc limit :limit",
        {**wanted.equal, **wanted.bounds(before), "limit": limit + 1},
    )
    return page("audit", found, limit, lambda row: (row[1], row[0]), _act)


def record(cursor: apsw.Cursor, act: AuditEntry, count: int) -> None:
    """Set the entry of this act, of which `count` is the whole; repeated, there is one entry."""
    cursor.execute("delete from audit where id = ?", (act.id,))
    add(cursor, act, count)


def changed(cursor: apsw.Cursor, after: str | None) -> tuple[str, list[AuditEntry]]:
    """See `contract.MaintenanceStore.audit_changes`. By `seq`, not by time: clocks of different hosts differ."""
    if after is None:
        [(last,)] = rows(cursor, "select coalesce(max(seq), 0) from audit")
        return cursors.cursor("audit_changes", (last,)), []
    (last,) = cursors.key("audit_changes", after, int)
    sql = "select id, at, who, command, details, count, seq from audit where seq > ? order by seq limit ?"
    found = rows(cursor, sql, (last, PAGE))
    next_ = cursors.cursor("audit_changes", (found[-1][6],)) if found else after
    return next_, [_act(row[:6]) for row in found]


def _act(row: Row) -> AuditEntry:
    id_, at, who, command, details, count = row
    return AuditEntry(id=id_, at=from_ms(at), who=who, command=command, details=orjson.loads(details), count=count)
