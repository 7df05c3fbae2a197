"""A store whose daemon is stopped -> its rows, table by table, as a store of another kind takes them."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import apsw

from relay.errors import CorruptError
from relay.store import guard_rows, heal_rows
from relay.store.checksum import checksum
from relay.store.sqlite.account_files import held_at_once
from relay.store.sqlite.ack_gaps import missing
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.migrate import check_version
from relay.store.sqlite.missing_database import check_exists
from relay.store.sqlite.moved_files import check_permitted
from relay.store.sqlite.sql import Row, rows
from relay.store.sqlite.watermark import acked
from relay.store.times import to_ms

UNREADABLE = (TypeError, ValueError, AttributeError, apsw.Error)  # UnicodeDecodeError is a ValueError

_PIPELINE = (
    "case when json_valid(cast(payload as text))"
    " then cast(json_extract(cast(payload as text), '$.data.pipeline_id') as text) end"
)
_RELAY = "coalesce((select name from relays), '')"
_TABLES = {
    "webhooks": "seq, id, source, received_at, content_type, request_id, body, query, signature, unparsed, digest,"
    " dated, traceparent, kind, checksum",
    "events": "seq, id, webhook, kind, entity, action, entity_id, pipeline_id, received_at, payload, erased_at,"
    " unrouted, checksum",
    "deliveries": "event, target, routes, state, attempt, base, replays, pending_since, due_at, settled_at, why, key,"
    " held, dismissed_at",
    "dismissed": "webhook, at",
    "attempts": "event, target, number, started_at, took_us, verdict, reason, status, detail, late",
    "pauses": "target, paused_at, who, reason",
    "audit": "seq, id, at, who, command, details, count",
    "losses": "relay, noticed_at, count, after, accepted_at",
    "tombstones": "entity, entity_id, source, at, act",
    "erasures": "act, at, rewritten_at",
    "enrichments": "event, at, value, reason, checksum",
    "heal_events": heal_rows.RECORD,
    "hook_index": heal_rows.HOOK,
    "heal_marks": "source, lane, upto",
    "run_marks": "relay, began_at, ended_at",
    "heal_requests": heal_rows.REQUEST,
    "guards": guard_rows.COLUMNS,
    "refusals": "source, relay, minute, number",
    "refused": "minute, source, reason, relay, count, last_at, detail, remote, address",
    "switched_off": "source, since, until, ours",
}
"""Each with its columns."""

_COMPUTED = {
    ("webhooks", "dated"): "coalesce(cast(dated as text), '')",
    ("events", "pipeline_id"): _PIPELINE,
    ("deliveries", "due_at"): "iif(claimed and state = 'pending', :now, due_at)",  # its daemon lives no more
    ("losses", "relay"): _RELAY,
    ("run_marks", "relay"): _RELAY,
    ("refusals", "relay"): _RELAY,
    ("refused", "relay"): _RELAY,
    ("losses", "count"): "last - first + 1",
}


class Table(NamedTuple):
    """Its name, its columns and its rows, which are read as they are asked for."""

    name: str
    columns: tuple[str, ...]
    rows: Iterator[Row]


@contextmanager
def exported(store: Path) -> Iterator[list[Table]]:
    """Own the store meanwhile, and read it as it stands at one moment. Nothing in it is changed.

    The grants of accounts beside it are held, too, so that no command renews one that is on its way.

    Raises ConfigurationError if there is none, StoreLocked if a daemon runs, StoreUnsafe if it is of another version,
    StoreBusy if a command holds a grant; reading a row CorruptError.
    """
    check_exists(store)
    check_permitted(store, owner=True)
    lock = Lock(store)
    try:
        with closing(apsw.Connection(str(store), flags=apsw.SQLITE_OPEN_READWRITE)) as connection:
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            connection.set_busy_timeout(1_000)
            check_version(connection, str(store))
            connection.execute("begin")
            with held_at_once(store) as accounts:
                tables = [
                    Table(name, tuple(_TABLES[name].split(", ")), _read(connection, store, name)) for name in _TABLES
                ]
                yield [*tables, Table("account_records", ("account", "document"), iter(accounts))]
    finally:
        lock.release()


def _read(connection: apsw.Connection, store: Path, name: str) -> Iterator[Row]:
    now = datetime.now(UTC)
    columns = _TABLES[name].split(", ")
    asked = ", ".join(_COMPUTED.get((name, column), column) for column in columns)
    order = ", ".join(map(str, range(1, 1 + min(3, len(columns)))))
    try:
        for row in connection.cursor().execute(f"select {asked} from {name} order by {order}", {"now": to_ms(now)}):
            yield _with_checksum(name, row)
        if name == "losses" and (gap := missing(connection.cursor(), acked(store), now)):
            owner = next((found for (found,) in rows(connection.cursor(), "select name from relays")), "")
            yield owner, to_ms(now), gap.count, gap.after and to_ms(gap.after), None
    except UNREADABLE as error:
        raise CorruptError(f"{store} has a row of {name} that cannot be read ({error}): see `relay verify`") from error


def _with_checksum(name: str, row: Row) -> Row:
    """Return the row; one that an earlier version stored without a checksum gets one."""
    if row[-1] is not None or name not in ("webhooks", "events"):
        return row
    content, id_ = (row[6], b"") if name == "webhooks" else (row[9], row[1].encode())
    return (*row[:-1], checksum(content, id_))
