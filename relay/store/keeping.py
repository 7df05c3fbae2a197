"""Webhook, events, what is owed -> rows, inside the writer's transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import apsw
import orjson

from relay.model import Delivery, Owed, Routed, Webhook
from relay.store.checksum import checksum
from relay.store.contract import Duplicate
from relay.store.query import rows
from relay.store.times import to_ms


def keep(
    cursor: apsw.Cursor,
    webhook: Webhook,
    routed: Sequence[Routed],
    now: datetime | None,
    window: timedelta | None,
) -> list[Delivery] | Duplicate:
    """The deliveries born claimed; none if the webhook was kept before under its id; see `contract.Store.keep`."""
    digest = checksum(webhook.body)
    if window is not None and (first := _first(cursor, webhook, digest, window)):
        return first
    seq = _keep_webhook(cursor, webhook, digest, repeatable=window is not None)
    if seq is None:
        return []
    return [delivery for each in routed for delivery in _keep_event(cursor, seq, each, now or each.event.received_at)]


def _first(cursor: apsw.Cursor, webhook: Webhook, digest: bytes, window: timedelta) -> Duplicate | None:
    """What it repeats. A clock that was set back makes no difference."""
    found = rows(
        cursor,
        "select id, (select count(*) from events where webhook = webhooks.seq) from webhooks"
        " where source = :source and digest = :digest and received_at between :earliest and :latest"
        " and id <> :id order by received_at limit 1",
        {
            "source": webhook.source,
            "digest": digest,
            "earliest": to_ms(webhook.received_at - window),
            "latest": to_ms(webhook.received_at + window),
            "id": webhook.id,
        },
    )
    return Duplicate(webhook=found[0][0], events=found[0][1]) if found else None


def _keep_webhook(cursor: apsw.Cursor, webhook: Webhook, digest: bytes, *, repeatable: bool) -> int | None:
    """Its seq if it wants its events now; None if it has them. `repeatable`: another may be found to repeat it."""
    connection = cursor.connection
    cursor.execute(
        "insert into webhooks (id, source, received_at, content_type, request_id, body, unparsed, digest, checksum)"
        " values (?, ?, ?, ?, ?, ?, ?, ?, ?) on conflict (id) do nothing",
        (
            webhook.id,
            webhook.source,
            to_ms(webhook.received_at),
            webhook.content_type,
            webhook.request_id,
            webhook.body,
            webhook.unparsed,
            digest if repeatable else None,
            digest,
        ),
    )
    if connection.changes():
        return connection.last_insert_rowid()
    if webhook.unparsed is not None:
        return None
    mended = rows(
        cursor, "update webhooks set unparsed = null where id = ? and unparsed is not null returning seq", (webhook.id,)
    )
    return mended[0][0] if mended else None


def _keep_event(cursor: apsw.Cursor, webhook: int, routed: Routed, now: datetime) -> list[Delivery]:
    event = routed.event
    cursor.execute(
        "insert into events (id, webhook, entity, action, entity_id, received_at, payload, checksum)"
        " values (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            event.id,
            webhook,
            event.entity,
            event.action,
            event.entity_id,
            to_ms(event.received_at),
            routed.payload,
            checksum(routed.payload, event.id.encode()),
        ),
    )
    seq = cursor.connection.last_insert_rowid()
    claimed = [each for each in routed.owed if owe(cursor, seq, each, to_ms(now))]
    return [
        Delivery(
            seq=seq,
            event_id=event.id,
            target=each.target,
            attempt=1,
            policy_attempt=1,
            received_at=event.received_at,
            pending_since=now,
            payload=routed.payload,
        )
        for each in claimed
    ]


def owe(cursor: apsw.Cursor, seq: int, owed: Owed, now: int, *, replays: int = 0) -> bool:
    """True if the delivery was born claimed. `now` is when its policy begins."""
    blocked = owed.key is not None and pending_with_key(cursor, owed.target, owed.key)
    claimed = owed.lease is not None and not blocked
    due_at = now if owed.lease is None else now + owed.lease // timedelta(milliseconds=1)
    cursor.execute(
        "insert into deliveries"
        " (event, target, routes, state, claimed, attempt, base, replays, pending_since, due_at, key)"
        " values (?, ?, ?, 'pending', ?, ?, 0, ?, ?, ?, ?)",
        (
            seq,
            owed.target,
            orjson.dumps(owed.routes).decode(),
            claimed,
            int(claimed),
            replays,
            now,
            None if blocked else due_at,
            owed.key,
        ),
    )
    return claimed


def pending_with_key(cursor: apsw.Cursor, target: str, key: str) -> bool:
    """True if a delivery with this key still waits for its turn or its end."""
    sql = "select 1 from deliveries where target = ? and key = ? and state = 'pending' limit 1"
    return bool(rows(cursor, sql, (target, key)))
