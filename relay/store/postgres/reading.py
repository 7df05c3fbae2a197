"""Questions of operators about webhooks, events and deliveries -> records; read only, paged by key."""

from collections.abc import Hashable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from relay.model import Webhook
from relay.store import cursors
from relay.store.checksum import is_corrupt
from relay.store.postgres.connection import Connection, Row, Values
from relay.store.postgres.filters import READ_SINCE, filter_sql
from relay.store.postgres.text import clean
from relay.store.records import LONGEST_BODY, DeliveryRecord, EventRecord, Filter, Page, WebhookRecord
from relay.store.rows import attempt_of, delivery_of, page, start_of, webhook_of

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

DELIVERY_COLUMNS = (
    "d.event, e.id, e.entity, e.action, e.entity_id, e.received_at, d.target, d.routes, d.state,"
    " d.claim is not null, d.attempt, d.replays, d.due_at, d.settled_at, d.why, e.kind = 'unparsed',"
    " (select w.kind = 'heal' from webhooks w where w.seq = e.webhook limit 1), d.dismissed_at"
)
_DELIVERY = f"select {DELIVERY_COLUMNS} from deliveries d join events e on e.seq = d.event"
_WEBHOOK = (
    "select id, source, received_at, body, content_type, request_id, query, signature, unparsed, checksum, traceparent,"
    " kind, (select at from dismissed where webhook = w.seq) from webhooks w"
)
_STARTS = (
    "select id, source, received_at, substring(body from 1 for %s::int), content_type, request_id, query, signature,"
    " unparsed, checksum, traceparent, kind, (select at from dismissed where webhook = w.seq), octet_length(body)"
    " from webhooks w"
)
STARTING = """
select w.id, found.seq from (
  select seq from webhooks where id >= %(first)s and id < %(end)s
  union select webhook from events where id >= %(first)s and id < %(end)s
) found, lateral (select id from webhooks where webhooks.seq = found.seq limit 1) w limit %(limit)s
"""  # a union: with `or` the whole table is read; lateral: a plan for any start would join with the whole table
_ATTEMPTS = (
    "select a.event, a.target, a.number, a.started_at, a.took_us, a.verdict, a.reason, a.status, a.detail"
    " from events e join attempts a on a.event = e.seq where e.webhook = any(%s::bigint[]) order by a.number"
)
BY_ARRIVAL = """
select received_at, seq, octet_length(body) from webhooks
where (received_at, seq) > (%(at)s, %(seq)s) and received_at < %(end)s
order by received_at, seq limit %(limit)s
"""
BY_SEQ = (
    f"select seq, {_WEBHOOK.removeprefix('select ')} where seq = any(%s::bigint[]) order by seq",
    "select webhook, kind, seq, id, payload, checksum from events where webhook = any(%s::bigint[]) order by seq",
    f"{_DELIVERY} where e.webhook = any(%s::bigint[]) order by d.event, d.target",
    _ATTEMPTS,
)
_LAST = "\U0010ffff"  # no character sorts after it


async def count(look: Connection, wanted: Filter, replayable: bool) -> dict[str, int]:
    """Return the number of deliveries by target."""
    where, values = filter_sql(wanted)
    where = f"e.erased_at is null and not {READ_SINCE} and {where}" if replayable else where
    counted = "select d.target, count(*) from deliveries d join events e on e.seq = d.event"
    return dict(await _rows(look, f"{counted} where {where} group by d.target", values))


async def starting(look: Connection, start: str, limit: int) -> list[str]:
    """Ids of webhooks, for their own or an event's."""
    return [id_ for id_, _seq in await _starting(look, start, limit)]


async def show(look: Connection, id_: str) -> WebhookRecord | None:
    """Return the webhook of this id, of this event's id, or of the start of either; None if none or several fit."""
    found = await _starting(look, id_, 2)
    if len(found) != 1:
        return None
    [(_id, seq)] = found
    records = await by_seq(look, [seq])
    return records[0] if records else None  # none: purged meanwhile


async def by_seq(look: Connection, seqs: Sequence[int]) -> list[WebhookRecord]:
    """Return the webhooks with these seqs, in their order, without those that are gone."""
    webhooks, events, deliveries, attempts = await look.run([(sql, (list(seqs),)) for sql in BY_SEQ])
    made = _grouped(((each[0], each[1]), attempt_of(each[2:])) for each in attempts)
    of_event = _grouped((each[0], delivery_of(each, made.get((each[0], each[6]), ()))) for each in deliveries)
    of_webhook = _grouped((of, (kind, _event(row, of_event.get(row[0], ())))) for of, kind, *row in events)
    return [_record(webhook_of(row[1:]), of_webhook.get(row[0], ())) for row in webhooks]


def _record(webhook: Webhook, events: Sequence[tuple[str, EventRecord]]) -> WebhookRecord:
    return WebhookRecord(
        webhook=webhook,
        events=tuple(each for kind, each in events if kind != "unparsed"),
        raw=next((each for kind, each in events if kind == "unparsed"), None),
    )


async def unparsed(
    look: Connection, limit: int, after: str | None, dismissed: bool, most: int | None = None
) -> Page[Webhook]:
    """Oldest first."""
    (last,) = ("",) if after is None else cursors.key("unparsed", after, str)
    # a scalar subquery, which cannot become a hash of the whole table, as `exists` may
    which = f"(select at from dismissed where webhook = w.seq) is {'not ' if dismissed else ''}null"
    where = f"unparsed is not null and {which} and id > %s order by id limit %s"
    if most is None:
        found = await _rows(look, f"{_WEBHOOK} where {where}", (last, limit + 1))
        return page("unparsed", found, limit, lambda row: (row[0],), webhook_of)
    found = await _rows(look, f"{_STARTS} where {where}", (min(most, LONGEST_BODY), last, limit + 1))
    return page("unparsed", found, limit, lambda row: (row[0],), partial(_start_of, most))


def _start_of(most: int, row: Row) -> Webhook:
    *columns, size = row
    return start_of(columns, columns[3], size) if size > most else webhook_of(tuple(columns))


async def webhooks(
    look: Connection, during: tuple[int, int], limit: int, max_bytes: int, after: str | None
) -> Page[WebhookRecord]:
    """Oldest first, by their arrival."""
    at, seq = (during[0], -1) if after is None else cursors.key("webhooks", after, int, int)
    place = {"at": at, "seq": seq, "end": during[1], "limit": limit + 1}
    found = await _rows(look, BY_ARRIVAL, place)
    size = looked = 0
    for *_place, of_body in found[:limit]:
        looked += 1
        size += of_body
        if size >= max_bytes:
            break
    records = await by_seq(look, [each for _at, each, _size in found[:looked]])
    records.sort(key=lambda each: each.webhook.received_at)  # seqs are in this order within one time
    next_ = cursors.cursor("webhooks", found[looked - 1][:2]) if looked < len(found) else None
    return Page(records, next_=next_)


# ---- rows


async def _rows(look: Connection, sql: str, values: Values) -> list[Row]:
    [found] = await look.run([(sql, values)])
    return found


async def _starting(look: Connection, start: str, limit: int) -> list[Row]:
    first = clean(start)
    return await _rows(look, STARTING, {"first": first, "end": first + _LAST, "limit": limit})


def _grouped(found: Iterable[tuple[K, T]]) -> dict[K, tuple[T, ...]]:
    groups: dict[K, list[T]] = {}
    for key, each in found:
        groups.setdefault(key, []).append(each)
    return {key: tuple(group) for key, group in groups.items()}


def _event(row: Sequence[Any], deliveries: tuple[DeliveryRecord, ...] = ()) -> EventRecord:
    _seq, id_, payload, checksum = row
    corrupt = is_corrupt(payload, checksum, id_.encode())
    return EventRecord(id=id_, payload=payload, deliveries=deliveries, corrupt=corrupt)
