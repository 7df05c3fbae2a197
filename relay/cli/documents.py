"""The store's records -> the JSON documents that `--json` prints. Times are RFC 3339, lengths are seconds."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import orjson

from relay.cli.next_step import in_flight
from relay.cli.output import rfc3339
from relay.ingest.misaddressed import MISADDRESSED
from relay.model import Json, Webhook
from relay.store.contract import (
    AttemptRecord,
    AuditEntry,
    DeliveryRecord,
    EventRecord,
    HealthReport,
    Page,
    Pause,
    Status,
    TargetStatus,
    WebhookRecord,
)
from relay.store.disk import Disk

T = TypeVar("T")


def page(shown: Page[T], document: Callable[[T], Json]) -> dict[str, Json]:
    """Part of a listing; `next` is what `--before` or `--after` takes, null at the end."""
    return {"data": [document(each) for each in shown], "next": shown.next}


def delivery(record: DeliveryRecord, status: Status) -> dict[str, Json]:
    """A delivery without its attempts; `attempt` is the number of the last one.

    `in_flight`: an attempt is under way, for a second or more; null if no daemon runs.
    """
    return {
        "event": record.event_id,
        "type": record.type,
        "entity_id": record.entity_id,
        "received_at": rfc3339(record.received_at),
        "target": record.target,
        "routes": list(record.routes),
        "state": record.state,
        "claimed": record.claimed,
        "in_flight": in_flight(record, status),
        "attempt": record.attempt,
        "replays": record.replays,
        "due_at": _time(record.due_at),
        "settled_at": _time(record.settled_at),
        "why": record.why,
    }


def attempt(record: AttemptRecord) -> dict[str, Json]:
    """One attempt."""
    return {
        "number": record.number,
        "started_at": rfc3339(record.started_at),
        "took": record.took.total_seconds(),
        "verdict": record.verdict,
        "reason": record.reason,
        "status": record.status,
        "detail": record.detail,
    }


def webhook(shown: Webhook) -> dict[str, Json]:
    """A webhook; `body` is null if it is not UTF-8 (`relay show --raw` has the bytes), `size` is in bytes."""
    return {
        "id": shown.id,
        "source": shown.source,
        "received_at": rfc3339(shown.received_at),
        "content_type": shown.content_type,
        "request_id": shown.request_id,
        "query": shown.query,
        "signature": shown.signature,
        "unparsed": shown.unparsed,
        "corrupt": shown.corrupt,
        "size": len(shown.body),
        "body": _text(shown.body),
    }


def whole(record: WebhookRecord, status: Status) -> dict[str, Json]:
    """A webhook with all that came of it; `raw` is there if it went to targets unparsed."""
    whole_: dict[str, Json] = {
        "webhook": webhook(record.webhook),
        "events": [_event(event, status) for event in record.events],
    }
    if record.raw:
        whole_["raw"] = {"id": record.raw.id, "deliveries": _deliveries(record.raw, status)}
    return whole_


def unrouted(record: EventRecord) -> dict[str, Json]:
    """An event that no route took; `event` is null if it is corrupt."""
    return {"id": record.id, "event": parsed(record), "corrupt": record.corrupt}


def parsed(record: EventRecord) -> Json:
    """An event's JSON, as targets receive it; None if what is in the store is not that any more."""
    return None if record.corrupt else orjson.loads(record.payload)


def standing(target: str, planned: TargetStatus, *, routed: bool | None, running: bool) -> dict[str, Json]:
    """One target; `in_routes` is null if there is no routes file to ask.

    Of the breaker `in_flight` and `probe_at` are null if no daemon is `running`: nothing is sent.
    """
    return {
        "target": target,
        "pending": planned.pending,
        "dead": planned.dead,
        "oldest_at": _time(planned.oldest_at),
        "paused": planned.pause and _pause(planned.pause),
        "breaker": planned.condition and _condition(planned.condition, running=running),
        "in_routes": routed,
    }


def intake(seen: Status) -> dict[str, Json]:
    """What came in; `lost`: at most so many that were answered 200 are missing."""
    return {
        "last_at": _time(seen.last_at),
        "unparsed": seen.unparsed,
        "misaddressed": misaddressed(seen),
        "lost": sum(loss.count for loss in seen.losses),
    }


def misaddressed(seen: Status) -> dict[str, Json]:
    """Requests that were meant for us at a wrong address, since the daemon that had the last one was started."""
    report = seen.reports.get(MISADDRESSED)
    said = report.value if report and isinstance(report.value, dict) else {}
    return {
        "count": said.get("count", 0),
        "since": said.get("since"),
        "last_at": said.get("last_at"),
        "address": said.get("address"),
        "detail": said.get("detail"),
    }


def disk(seen: Disk) -> dict[str, Json]:
    """Where the store is; in bytes."""
    return {"free": seen.free, "total": seen.total, "low": seen.scarce}


def act(done: AuditEntry) -> dict[str, Json]:
    """One line of the audit."""
    return {
        "id": done.id,
        "at": rfc3339(done.at),
        "who": done.who,
        "command": done.command,
        "details": dict(done.details),
        "count": done.count,
    }


def _pause(pause: Pause) -> dict[str, Json]:
    return {"at": rfc3339(pause.at), "who": pause.who, "reason": pause.reason}


def _condition(condition: HealthReport, *, running: bool) -> dict[str, Json]:
    return {
        "state": condition.health,
        "since": rfc3339(condition.since),
        "as_of": rfc3339(condition.as_of),
        "error": condition.error,
        "probe_at": _time(condition.probe_at) if running else None,
        "in_flight": condition.in_flight if running else None,
    }


def _event(record: EventRecord, status: Status) -> dict[str, Json]:
    return {**unrouted(record), "deliveries": _deliveries(record, status)}


def _deliveries(record: EventRecord, status: Status) -> list[dict[str, Json]]:
    return [
        {**delivery(each, status), "attempts": [attempt(one) for one in each.attempts]} for each in record.deliveries
    ]


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None
