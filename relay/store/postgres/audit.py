"""What operators did -> audit entries, whose `seq` rises in the order of the commits.

A sequence alone would not: a transaction that took its number first may commit last, and a reader that has passed the
number would never see its entry. So a writer of an entry holds a lock from before it takes the number until it has
committed. It is the last lock of a transaction, for a moment.
"""

import orjson

from relay.store import cursors
from relay.store.audit_filter import AuditFilter
from relay.store.postgres.connection import Connection, Row, Statement, Transaction
from relay.store.postgres.migrate import LOCK
from relay.store.postgres.text import clean
from relay.store.records import AuditEntry, Page
from relay.store.rows import page
from relay.store.times import from_ms, to_ms

PAGE = 100

_TAKE_TURN = "select pg_advisory_xact_lock(%s)"
_TURN = LOCK - 1
_INSERT = """
insert into audit as a (seq, id, at, who, command, details, count)
values (nextval('audit_changes'), %(id)s, %(at)s, %(who)s, %(command)s, %(details)s, %(count)s)
on conflict (id) do update set seq = excluded.seq, count =
"""
_NEWEST = "select coalesce(max(seq), 0) from audit"
_ENTRY = "id, at, who, command, details, count"
_LATEST = """
select id, at, who, command, details, count from audit
where (at, id) < (%(at)s, %(last)s) and at >= %(since)s{equal}
order by at desc, id desc
limit %(limit)s
"""


async def add(transaction: Transaction, act: AuditEntry, count: int) -> int:
    """Add `count` to the entry of this act; return the count before."""
    return await _write(transaction, "a.count + excluded.count", act, count) - count


async def record(transaction: Transaction, act: AuditEntry, count: int) -> None:
    """Set the entry of this act, of which `count` is the whole; repeated, there is one entry."""
    await _write(transaction, "excluded.count", act, count)


async def _write(transaction: Transaction, whole: str, act: AuditEntry, count: int) -> int:
    details = orjson.dumps(dict(act.details)).decode()  # first: what cannot be audited must not be done
    values = {
        "id": act.id,
        "at": to_ms(act.at),
        "who": clean(act.who),
        "command": act.command,
        "details": details,
        "count": count,
    }
    await transaction.rows(_TAKE_TURN, (_TURN,))
    [(counted,)] = await transaction.rows(f"{_INSERT} {whole} returning count", values)
    return int(counted)


def counted(act: AuditEntry) -> Statement:
    """The statement that returns the count in the entry of this act; no row if there is none."""
    return "select count from audit where id = %s", (act.id,)


def latest_statement(limit: int, before: str | None, wanted: AuditFilter) -> Statement:
    """The last entries that fit, newest first, and one more."""
    equal = "".join(f" and {name} = %({name})s" for name in wanted.equal)
    return _LATEST.format(equal=equal), {**wanted.equal, **wanted.bounds(before), "limit": limit + 1}


async def latest(look: Connection, limit: int, before: str | None, wanted: AuditFilter) -> Page[AuditEntry]:
    """Return the last entries that fit, newest first."""
    [found] = await look.run([latest_statement(limit, before, wanted)])
    return page("audit", found, limit, lambda row: (row[1], row[0]), _entry)


async def changed(look: Connection, after: str | None) -> tuple[str, list[AuditEntry]]:
    """See `contract.MaintenanceStore.audit_changes`. By `seq`, not by time: clocks of different hosts differ.

    A cursor beyond the newest entry is of a server that a fail-over has replaced: it goes back to that entry.
    """
    if after is None:
        [[newest]] = await look.run([(_NEWEST, ())])
        return cursors.cursor("audit_changes", newest), []
    (last,) = cursors.key("audit_changes", after, int)
    sql = f"select {_ENTRY}, seq from audit where seq > %s order by seq limit %s"
    found, [(newest,)] = await look.run([(sql, (last, PAGE)), (_NEWEST, ())])
    next_ = cursors.cursor("audit_changes", (found[-1][6] if found else min(last, newest),))
    return next_, [_entry(row[:6]) for row in found]


def _entry(row: Row) -> AuditEntry:
    id_, at, who, command, details, count = row
    return AuditEntry(id=id_, at=from_ms(at), who=who, command=command, details=orjson.loads(details), count=count)
