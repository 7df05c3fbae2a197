"""Questions of operators -> records; read only, paged by key, never a transaction held open."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import apsw
import orjson

from relay.model import Webhook
from relay.store import cursors, records
from relay.store.checksum import is_corrupt
from relay.store.records import (
    LONGEST_BODY,
    AttemptRecord,
    EventRecord,
    Filter,
    Page,
    Status,
    TargetStatus,
    WebhookRecord,
)
from relay.store.rows import attempt_of, delivery_of, page, start_of, webhook_of
from relay.store.sqlite.ack_gaps import losses
from relay.store.sqlite.deaths import deaths
from relay.store.sqlite.entity_index import ABOUT
from relay.store.sqlite.guards import records as guards
from relay.store.sqlite.owner import standing
from relay.store.sqlite.sql import Row, rows
from relay.store.sqlite.target_conditions import conditions, pauses, reports
from relay.store.times import from_ms, to_ms

T = TypeVar("T")

DELIVERY_COLUMNS = (
    "d.event, e.id, e.entity, e.action, e.entity_id, e.received_at, d.target, d.routes, d.state, d.claimed,"
    " d.attempt, d.replays, d.due_at, d.settled_at, d.why, e.kind = 'unparsed',"
    " (select w.kind = 'heal' from webhooks w where w.seq = e.webhook limit 1), d.dismissed_at"
)
_DELIVERY = f"select {DELIVERY_COLUMNS} from deliveries d join events e on e.seq = d.event"
READ_SINCE = "exists (select 1 from webhooks w where w.seq = e.webhook and e.kind = 'unparsed' and w.unparsed is null)"
"""SQL for a raw delivery whose webhook was read after all: its events have taken its place."""
_WEBHOOK = (
    "select id, source, received_at, body, content_type, request_id, query, signature, unparsed, checksum, traceparent,"
    " kind, (select at from dismissed where webhook = seq) from webhooks"
)
_STARTS = (
    "select id, source, received_at, iif(typeof(body) = 'blob' and length(body) > :most, null, body), content_type,"
    " request_id, query, signature, unparsed, checksum, traceparent, kind,"
    " (select at from dismissed where webhook = seq), length(body), seq from webhooks"
)


def filter_sql(wanted: Filter, *, walked: bool = False) -> tuple[str, dict[str, Any]]:
    """The filter as SQL over `deliveries d` and `events e`, with its values; `walked`: no index need lead to a row."""
    given = {name: value for name, value in _values(wanted).items() if value is not None}
    conditions = _FILTERS | {"entity_id": "e.entity_id = :entity_id"} if walked else _FILTERS
    return " and ".join(conditions[name] for name in given) or "true", given


_FILTERS = {
    "event_ids": "e.id in (select value from json_each(:event_ids))",
    "states": "d.state in (select value from json_each(:states))",
    "target": "d.target = :target",
    "route": "exists (select 1 from json_each(d.routes) where value = :route)",
    "entity": "e.entity = :entity",
    "action": "e.action = :action",
    "entity_id": ABOUT,
    "pipeline_id": "case when json_valid(cast(e.payload as text))"  # corrupt JSON must not fail the query
    " then cast(json_extract(cast(e.payload as text), '$.data.pipeline_id') as text) = :pipeline_id end",
    "source": "(select w.source from webhooks w where w.seq = e.webhook) = :source",
    "account": "case when json_valid(cast(e.payload as text)) then :account in"
    " (cast(json_extract(cast(e.payload as text), '$.account.id') as text),"
    " cast(json_extract(cast(e.payload as text), '$.account.subdomain') as text)) end",
    "reason": "(select reason from attempts where event = d.event and target = d.target"
    " order by number desc limit 1) = :reason",
    "since": "e.received_at >= :since",
    "until": "e.received_at < :until",
    "settled_since": "d.settled_at >= :settled_since",
    "settled_until": "d.settled_at < :settled_until",
    "dismissed": "d.dismissed_at is not null",
    "undismissed": "d.dismissed_at is null",
    "dismissed_at": "d.dismissed_at = :dismissed_at",
    "replayed_since": "d.replays > 0 and d.pending_since >= :replayed_since",
    "replayed_until": "d.replays > 0 and d.pending_since < :replayed_until",
}


def _values(wanted: Filter) -> dict[str, Any]:
    return {
        "event_ids": _list(wanted.event_ids),
        "states": _list(wanted.states),
        "target": wanted.target,
        "route": wanted.route,
        "entity": wanted.entity,
        "action": wanted.action,
        "entity_id": wanted.entity_id,
        "pipeline_id": wanted.pipeline_id,
        "source": wanted.source,
        "account": wanted.account,
        "reason": wanted.reason,
        "since": _ms(wanted.since),
        "until": _ms(wanted.until),
        "settled_since": _ms(wanted.settled_since),
        "settled_until": _ms(wanted.settled_until),
        "dismissed": wanted.dismissed or None,
        "undismissed": True if wanted.dismissed is False else None,
        "dismissed_at": _ms(wanted.dismissed_at),
        "replayed_since": _ms(wanted.replayed_since),
        "replayed_until": _ms(wanted.replayed_until),
    }


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)


def _list(values: Sequence[str]) -> str | None:
    return orjson.dumps(values).decode() if values else None


def count(cursor: apsw.Cursor, wanted: Filter, replayable: bool) -> dict[str, int]:
    """Return the number of deliveries by target."""
    where, values = filter_sql(wanted)
    where = f"e.erased_at is null and not {READ_SINCE} and {where}" if replayable else where
    sql = (
        f"select d.target, count(*) from deliveries d join events e on e.seq = d.event where {where} group by d.target"
    )
    return dict(rows(cursor, sql, values))


def show(cursor: apsw.Cursor, id_: str) -> WebhookRecord | None:
    """Return the webhook of this id, of this event's id, or of the start of either; None if none or several fit."""
    found = _starting(cursor, id_, 2)
    return _record(cursor, webhook_of(found[0])) if len(found) == 1 else None


def by_seq(cursor: apsw.Cursor, seq: int) -> WebhookRecord | None:
    """Return the webhook with this seq; None if there is none."""
    found = rows(cursor, f"{_WEBHOOK} where seq = ?", (seq,))
    return _record(cursor, webhook_of(found[0])) if found else None


def _record(cursor: apsw.Cursor, webhook: Webhook) -> WebhookRecord:
    events = rows(
        cursor,
        "select kind, seq, id, payload, checksum from events"
        " where webhook = (select seq from webhooks where id = ?) order by seq",
        (webhook.id,),
    )
    return WebhookRecord(
        webhook=webhook,
        events=tuple(_event(cursor, *row) for kind, *row in events if kind != "unparsed"),
        raw=next((_event(cursor, *row) for kind, *row in events if kind == "unparsed"), None),
    )


def starting(cursor: apsw.Cursor, start: str, limit: int) -> list[str]:
    """Ids of webhooks, for their own or an event's."""
    return [row[0] for row in _starting(cursor, start, limit)]


def _starting(cursor: apsw.Cursor, start: str, limit: int) -> list[Row]:
    pattern = start.replace("*", "").replace("?", "").replace("[", "") + "*"
    return rows(
        cursor,
        f"{_WEBHOOK} where id glob :id or seq in (select webhook from events where id glob :id) limit :n",
        {"id": pattern, "n": limit},
    )


def unparsed(
    cursor: apsw.Cursor, limit: int, after: str | None, dismissed: bool, most: int | None = None
) -> Page[Webhook]:
    """Oldest first."""
    (last,) = ("",) if after is None else cursors.key("unparsed", after, str)
    which = f"{'' if dismissed else 'not '}exists (select 1 from dismissed where webhook = seq)"
    where = f"unparsed is not null and {which} and id > :last order by id limit :limit"
    values: dict[str, Any] = {"last": last, "limit": limit + 1}
    made: Callable[[Row], Webhook] = webhook_of
    columns = _WEBHOOK
    if most is not None:
        columns, made, values["most"] = _STARTS, partial(_start_of, cursor, most), min(most, LONGEST_BODY)
    found = rows(cursor, f"{columns} where {where}", values)
    return page("unparsed", found, limit, lambda row: (row[0],), made)


def _start_of(cursor: apsw.Cursor, most: int, row: Row) -> Webhook:
    """A webhook of `_STARTS`; of a long body the pages with its start alone are read."""
    *columns, size, seq = row
    if columns[3] is not None:
        return webhook_of(tuple(columns))
    start = b""
    with suppress(apsw.SQLError), cursor.connection.blob_open("main", "webhooks", "body", seq, False) as blob:
        start = blob.read(most)  # unless it was purged meanwhile
    return start_of(columns, start, size)


def webhooks(
    cursor: apsw.Cursor, during: tuple[int, int], limit: int, max_bytes: int, after: str | None
) -> Page[WebhookRecord]:
    """Oldest first, by their arrival: the index has it, whatever the bodies are."""
    at, seq = (during[0], -1) if after is None else cursors.key("webhooks", after, int, int)
    found = rows(
        cursor,
        "select received_at, seq from webhooks where (received_at, seq) > (:at, :seq) and received_at < :end"
        " order by received_at, seq limit :limit",
        {"at": at, "seq": seq, "end": during[1], "limit": limit + 1},
    )
    records: list[WebhookRecord] = []
    size = looked = 0
    for _at, each in found[:limit]:
        looked += 1
        if record := by_seq(cursor, each):
            records.append(record)
            size += len(record.webhook.body)
        if size >= max_bytes:
            break
    return Page(records, next_=cursors.cursor("webhooks", found[looked - 1]) if looked < len(found) else None)


def status(cursor: apsw.Cursor, pid: int | None, now: datetime) -> Status:
    """Read the last webhook, and count within partial indexes."""
    last = rows(cursor, "select received_at from webhooks where seq = (select max(seq) from webhooks)")
    return Status(
        targets=_targets(cursor),
        last_at=from_ms(last[0][0]) if last else None,
        unparsed=unparsed_left(cursor),
        unrouted=_unrouted(cursor),
        relays=standing(cursor, pid, now),
        losses=losses(cursor),
        reports=reports(cursor),
        guards=guards(cursor),
    )


def unparsed_left(cursor: apsw.Cursor) -> int:
    """Count unparsed webhooks that are not dismissed, which are unparsed too: without a look at a webhook."""
    sql = "select (select count(*) from webhooks where unparsed is not null) - (select count(*) from dismissed)"
    [(number,)] = rows(cursor, sql)
    return int(number)


def _unrouted(cursor: apsw.Cursor) -> int:
    sql = "select count(*) from (select 1 from events where unrouted = 1 and erased_at is null limit ?)"
    [(number,)] = rows(cursor, sql, (records.COUNTED + 1,))
    return int(number)


def _targets(cursor: apsw.Cursor) -> dict[str, TargetStatus]:
    planned, paused, reported = _backlog(cursor), pauses(cursor), conditions(cursor)
    return {
        name: replace(planned.get(name, TargetStatus()), pause=paused.get(name), condition=reported.get(name))
        for name in sorted(
            each for each in {*planned, *paused, *reported} if isinstance(each, str)
        )  # a corrupt target is no str (test_checksum: ..._leaves_the_status_of_the_rest)
    }


def _backlog(cursor: apsw.Cursor) -> dict[str, TargetStatus]:
    """Counted in the partial indexes: they hold what is pending or dead, not the history."""
    pending = rows(
        cursor,
        "select target, n, (select received_at from events where seq = oldest) from ("
        " select target, sum(n) as n, min(oldest) as oldest from ("
        "  select target, count(*) as n, min(event) as oldest from deliveries"
        "  where state = 'pending' group by claimed, target"
        " ) group by target)",
    )
    standing = {target: TargetStatus(dead=number, deaths=when) for target, (number, when) in deaths(cursor).items()}
    for target, number, oldest in pending:
        oldest_at = None if oldest is None else from_ms(oldest)  # None: the event is gone or corrupt (as above)
        standing[target] = replace(standing.get(target, TargetStatus()), pending=number, oldest_at=oldest_at)
    return standing


def _event(cursor: apsw.Cursor, seq: int, id_: str, payload: bytes, checksum: bytes | None) -> EventRecord:
    found = rows(cursor, f"{_DELIVERY} where d.event = ? order by d.target", (seq,))
    return EventRecord(
        id=id_,
        payload=payload,
        deliveries=tuple(delivery_of(row, _attempts(cursor, seq, row[6])) for row in found),
        corrupt=is_corrupt(payload, checksum, id_.encode()),
    )


def _attempts(cursor: apsw.Cursor, seq: int, target: str) -> tuple[AttemptRecord, ...]:
    found = rows(
        cursor,
        "select number, started_at, took_us, verdict, reason, status, detail from attempts"
        " where event = ? and target = ? order by number",
        (seq, target),
    )
    return tuple(map(attempt_of, found))
