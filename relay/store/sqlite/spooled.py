"""Webhooks of a spool as rows: insert them, read the oldest, delete them, inside the writer's transaction.

The deliveries of a spool are never claimed: the shared store gives them out once they are forwarded.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import apsw
import orjson

from relay.model import Event, PlannedDelivery, RoutedEvent, Webhook
from relay.model.erasure import ERASED
from relay.model.heal import Hook
from relay.store.bare_events import whole
from relay.store.checksum import is_corrupt
from relay.store.heal_rows import HOOK, hook_of
from relay.store.records import KeepResult
from relay.store.requests import KeepRequest, Windows
from relay.store.sqlite import entity_index, ingest
from relay.store.sqlite.ack_gaps import last_seq
from relay.store.sqlite.sql import Row, at_once, rows
from relay.store.times import MILLISECOND, from_ms

MOST_WEBHOOKS = 128  # of one page
MOST_BYTES = 4 * 1024 * 1024  # of their bodies and payloads; a page has one webhook at least
CORRUPT = "corrupt in the spool: the disk changed it"


class Spooled(NamedTuple):
    """The reply to a webhook that was spooled; `new`: it was not in the spool before."""

    result: KeepResult
    new: bool


class OldWebhook(NamedTuple):
    """A webhook of the spool, as it is to be kept by the shared store; None if its rows are corrupt."""

    seq: int
    id: str
    request: KeepRequest | None


class OldPage(NamedTuple):
    """The oldest webhooks of the spool, in the order of arrival; `more` come after them."""

    webhooks: list[OldWebhook]
    more: bool


class Contents(NamedTuple):
    """How many webhooks are to be forwarded, arrival of the oldest of them, and how many are set apart."""

    webhooks: int
    oldest_at: datetime | None
    refused: int


def spool_all(cursor: apsw.Cursor, requests: Sequence[KeepRequest]) -> list[Spooled]:
    """Insert webhooks, as `ingest.keep_all`, with their windows; no delivery is claimed."""
    stored = _stored(cursor, [each.webhook.id for each in requests])
    results = ingest.keep_all(None, cursor, requests)
    more = [
        (each.webhook.id, _milliseconds(each.windows.window), _milliseconds(each.windows.dated), _if_late(each))
        for each in requests
        if each.windows.longest is not None or each.hooks
    ]
    at_once(cursor, _MORE, more)
    replies: list[Spooled] = []
    for request, result in zip(requests, results, strict=True):
        new = isinstance(result, list) and request.webhook.id not in stored
        stored.add(request.webhook.id)
        replies.append(Spooled(result, new))
    return replies


def contents(cursor: apsw.Cursor) -> Contents:
    """Count what is in the spool."""
    [(webhooks, refused)] = rows(
        cursor, "select (select count(*) from webhooks), (select count(*) from spooled where refused is not null)"
    )
    found = rows(
        cursor,
        "select w.received_at from webhooks w left join spooled s on s.webhook = w.seq where s.refused is null"
        " order by w.seq limit 1",
    )
    return Contents(webhooks - refused, from_ms(found[0][0]) if found else None, refused)


def oldest(cursor: apsw.Cursor, most: int) -> OldPage:
    """Return at most so many of the oldest webhooks that are not set apart."""
    seqs, more = _page(cursor, most)
    listed = orjson.dumps(seqs).decode()
    deliveries: dict[int, list[Row]] = {}
    for row in rows(cursor, _DELIVERIES, (listed,)):
        deliveries.setdefault(row[0], []).append(row)
    events: dict[int, list[Row]] = {}
    for row in rows(cursor, _EVENTS, (listed,)):
        events.setdefault(row[1], []).append(row)
    hooks: dict[str, list[Hook]] = {}
    for row in rows(cursor, _HOOKS, (listed,)):
        hooks.setdefault(row[0], []).append(hook_of(row).hook)
    found = [
        OldWebhook(row[0], str(row[1]), _request(row, events.get(row[0], []), deliveries, hooks.get(row[1], [])))
        for row in rows(cursor, _OLDEST, (listed,))
    ]
    return OldPage(found, more)


def forget(cursor: apsw.Cursor, seqs: Sequence[int]) -> int:
    """Delete webhooks that the shared store has committed, with all that came of them; return how many."""
    listed = orjson.dumps(seqs).decode()
    for seq in seqs:
        entity_index.remove(cursor, seq)
    for sql in _FORGET:
        cursor.execute(sql, (listed,))
    return len(
        rows(cursor, "delete from webhooks where seq in (select value from json_each(?)) returning seq", (listed,))
    )


def set_apart(cursor: apsw.Cursor, refused: Mapping[int, str]) -> None:
    """Mark webhooks that the shared store refuses: they stay, and are not forwarded."""
    at_once(cursor, _REFUSED, [*refused.items()])


def restart(cursor: apsw.Cursor) -> bool:
    """Have the seqs of an empty spool begin anew, so that the watermark tells how many webhooks it may hold.

    False, and nothing changes, if it is not empty.
    """
    if not last_seq(cursor) or rows(cursor, "select 1 from webhooks limit 1"):
        return False
    cursor.execute("delete from sqlite_sequence where name = 'webhooks'")
    cursor.execute("delete from spooled")
    return True


# ---- the spool itself


def mark(cursor: apsw.Cursor) -> None:
    """Make this file a spool, if it is none; what was set apart before is to be forwarded once more."""
    cursor.execute("insert into spool (clock_offset) select 0 where not exists (select 1 from spool)")
    cursor.execute("update spooled set refused = null where refused is not null")


def is_marked(cursor: apsw.Cursor) -> bool:
    """Whether this file is a spool."""
    tables = rows(cursor, "select 1 from sqlite_schema where name = 'spool'")
    return bool(tables and rows(cursor, "select 1 from spool"))


def is_another_store(cursor: apsw.Cursor) -> bool:
    """Whether a relay's database holds webhooks, or once did, and is not marked as a spool."""
    return not is_marked(cursor) and last_seq(cursor) > 0


def clock_offset(cursor: apsw.Cursor) -> timedelta:
    """Return by how much the shared store's clock was ahead of this machine's."""
    [(offset,)] = rows(cursor, "select max(clock_offset) from spool")
    return (offset or 0) * MILLISECOND


def remember_clock_offset(cursor: apsw.Cursor, offset: timedelta) -> None:
    """Replace what `clock_offset` returns."""
    cursor.execute("update spool set clock_offset = ?", (offset // MILLISECOND,))


# ---- rows


def _milliseconds(window: timedelta | None) -> int | None:
    return None if window is None else window // MILLISECOND


def _duration(milliseconds: int | None) -> timedelta | None:
    return None if milliseconds is None else milliseconds * MILLISECOND


def _stored(cursor: apsw.Cursor, ids: Iterable[str]) -> set[str]:
    listed = orjson.dumps([*map(_clean, ids)]).decode()
    return {
        id_
        for (id_,) in rows(cursor, "select id from webhooks where id in (select value from json_each(?))", (listed,))
    }


def _clean(id_: str) -> str:
    return id_.encode(errors="replace").decode()


def _page(cursor: apsw.Cursor, most: int) -> tuple[list[int], bool]:
    """Return the seqs of the oldest webhooks, as many as a page may hold, and whether there are more."""
    found = rows(cursor, _SIZES, (most + 1,))
    seqs: list[int] = []
    size = 0
    for seq, bytes_ in found[:most]:
        size += bytes_
        if seqs and size > MOST_BYTES:
            break
        seqs.append(seq)
    return seqs, len(seqs) < len(found)


def _request(
    row: Row, events: Sequence[Row], deliveries: Mapping[int, Sequence[Row]], hooks: Sequence[Hook]
) -> KeepRequest | None:
    """Return what is to be kept: without its events, as unparsed, if only those are corrupt; None if it is itself."""
    _seq, id_, source, at, content_type, request_id, body, unparsed, query, signature, kept, equal, dated = row[:13]
    trace, late = row[13:]
    if is_corrupt(body, kept):
        return None
    try:
        if_late = frozenset(orjson.loads(late)) if late else frozenset()
        routed = [_routed(each, source, deliveries.get(each[0], ()), if_late) for each in events]
    except (TypeError, ValueError, KeyError, AttributeError):
        routed, unparsed, hooks = [], unparsed or CORRUPT, ()
    webhook = Webhook(
        id=id_,
        source=source,
        received_at=from_ms(at),
        body=body,
        content_type=content_type,
        request_id=request_id,
        query=query,
        signature=signature,
        traceparent=trace or "",
        unparsed=unparsed,
    )
    return KeepRequest(webhook, routed, None, Windows(_duration(equal), _duration(dated)), hooks)


def _if_late(request: KeepRequest) -> str | None:
    """Return, as JSON, the targets that get the webhook's events even if they are late; None if there are none."""
    late = {planned.target for each in request.routed for planned in each.planned if planned.if_late}
    return orjson.dumps(sorted(late)).decode() if late and request.hooks else None


def _routed(row: Row, source: str, deliveries: Sequence[Row], if_late: frozenset[str]) -> RoutedEvent:
    """Read an event; ValueError if its payload is corrupt."""
    _seq, _webhook, id_, entity, action, entity_id, at, payload, kept, kind = row
    if is_corrupt(payload, kept, id_.encode()):
        raise ValueError(CORRUPT)
    event = Event(
        id=id_,
        source=source,
        received_at=from_ms(at),
        account={},
        entity=entity,
        action=action,
        data={"id": entity_id} if entity_id else {},
    )
    planned = tuple(
        PlannedDelivery(
            target=target,
            routes=tuple(orjson.loads(routes)),
            key=key,
            if_late=target in if_late,
            hold=_duration(held),
        )
        for _event, target, routes, key, held in deliveries
    )
    return whole(RoutedEvent(event=event, payload=b"" if kind == ingest.RAW else payload, planned=planned))


_MORE = (
    "with given (id, equal_within, dated_within, if_late) as (values {(?, ?, ?, ?)})"
    " insert into spooled (webhook, equal_within, dated_within, if_late)"
    " select w.seq, given.equal_within, given.dated_within, given.if_late from given join webhooks w using (id)"
    " where true on conflict (webhook) do update set equal_within = excluded.equal_within,"
    " dated_within = excluded.dated_within, if_late = excluded.if_late"
)
_REFUSED = (
    "insert into spooled (webhook, refused) values {(?, ?)} on conflict (webhook) do update"
    " set refused = excluded.refused"
)
_SIZES = (
    "select w.seq, length(w.body) + coalesce((select sum(length(payload)) from events where webhook = w.seq), 0)"
    " from webhooks w left join spooled s on s.webhook = w.seq where s.refused is null order by w.seq limit ?"
)
_OLDEST = (
    "select w.seq, w.id, w.source, w.received_at, w.content_type, w.request_id, w.body, w.unparsed, w.query,"
    " w.signature, w.checksum, s.equal_within, s.dated_within, w.traceparent, s.if_late"
    " from webhooks w left join spooled s on s.webhook = w.seq"
    " where w.seq in (select value from json_each(?)) order by w.seq"
)
_EVENTS = (
    "select seq, webhook, id, entity, action, entity_id, received_at, payload, checksum, kind from events"
    " where webhook in (select value from json_each(?)) order by seq"
)
# a relay may have delivered from this file meanwhile, by hand: what is settled so is not sent again
_DELIVERIES = (
    "select d.event, d.target, d.routes, d.key, d.held - d.pending_since"
    " from events e join deliveries d on d.event = e.seq"
    " where e.webhook in (select value from json_each(?)) and (d.state = 'pending' or d.state = 'dead'"
    f" and d.why not in ('{ingest.REPARSED}', '{ERASED}'))"
)
_HOOKS = (
    f"select {HOOK} from hook_index where webhook in"
    " (select id from webhooks where seq in (select value from json_each(?))) order by webhook, item, channel, key"
)
_FORGET = (
    *(
        f"delete from {table} where event in (select seq from events where webhook in (select value from json_each(?)))"
        for table in ("attempts", "deliveries", "enrichments")
    ),
    "delete from hook_index where webhook in (select id from webhooks where seq in (select value from json_each(?)))",
    "delete from events where webhook in (select value from json_each(?))",
    "delete from spooled where webhook in (select value from json_each(?))",
)
