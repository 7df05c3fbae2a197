"""Records and statuses of a store -> JSON, the one shape of each thing in `--json` and the API.

Times are RFC 3339 in UTC, lengths of time are seconds, cursors are opaque.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import orjson

from relay.model import Json, Outcome, Webhook
from relay.model.enrich import Enrichment
from relay.model.trace import attempt_span_id, trace_id
from relay.operations import known_names
from relay.operations.lookup import Names
from relay.operations.next_step import in_flight
from relay.operations.status import FILES, MISADDRESSED, OLDEST_SNAPSHOT, UNAUTHORIZED, Overview
from relay.operations.subscription_views import subscriptions
from relay.operations.upkeep import SpoolFile
from relay.rfc3339 import rfc3339
from relay.store.records import (
    AttemptRecord,
    AuditEntry,
    DeliveryRecord,
    Disk,
    EventRecord,
    HealthReport,
    IntegrityReport,
    Page,
    Pause,
    RelayStanding,
    Status,
    TargetStatus,
    WebhookRecord,
)

T = TypeVar("T")

NO_NAMES: Names = {}
NOT_FETCHED: Mapping[str, Enrichment] = {}


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


# ---- deliveries, webhooks, events


def page(shown: Page[T], view: Callable[[T], Json]) -> dict[str, Json]:
    """Part of a listing; `next` is the cursor for `--before` or `--after`, null at the end."""
    return {"data": [view(each) for each in shown], "next": shown.next}


def listed(record: DeliveryRecord, status: Status, names: Names) -> dict[str, Json]:
    """A delivery in a listing; `names`: what amoCRM calls the things in its event, as far as that is known."""
    return {**delivery(record, status), "names": dict(names.get(record.event_id, {}))}


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
        "healed": record.healed,
        "dismissed_at": _time(record.dismissed_at),
    }


def attempt(record: AttemptRecord) -> dict[str, Json]:
    """One attempt."""
    return {
        "number": record.number,
        "started_at": rfc3339(record.started_at),
        "verdict": record.verdict,
        **outcome(record),
    }


def outcome(shown: AttemptRecord | Outcome) -> dict[str, Json]:
    """What an attempt returned, in `show` and in `tail`; `took` is in seconds."""
    return {
        "reason": shown.reason,
        "status": shown.status,
        "took": shown.took.total_seconds(),
        "detail": shown.detail,
    }


def webhook(shown: Webhook) -> dict[str, Json]:
    """A webhook; `body` is null if it is not UTF-8 (`relay show --raw` has the bytes), `size` is in bytes.

    `kind` is `heal` if it never came, but was made of the account's feed.
    `trace_id`: that of the `traceparent` it came with, else its own id; each attempt sends it on.
    """
    return {
        "id": shown.id,
        "source": shown.source,
        "received_at": rfc3339(shown.received_at),
        "content_type": shown.content_type,
        "request_id": shown.request_id,
        "query": shown.query,
        "signature": shown.signature,
        "traceparent": shown.traceparent or None,
        "trace_id": trace_id(shown.trace),
        "kind": shown.kind,
        "unparsed": shown.unparsed,
        "dismissed_at": _time(shown.dismissed_at),
        "corrupt": shown.corrupt,
        "size": len(shown.body),
        "body": _text(shown.body),
    }


def _text(body: bytes) -> str | None:
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def webhook_record(
    record: WebhookRecord,
    status: Status,
    names: Names = NO_NAMES,
    fetched: Mapping[str, Enrichment] = NOT_FETCHED,
) -> dict[str, Json]:
    """A webhook with all that came of it; `raw` is there if it went to targets unparsed."""
    whole: dict[str, Json] = {
        "webhook": webhook(record.webhook),
        "events": [
            {**event(each, names), **enriched(fetched.get(each.id)), "deliveries": _deliveries(each, status)}
            for each in record.events
        ],
    }
    if record.raw:
        whole["raw"] = {"id": record.raw.id, "deliveries": _deliveries(record.raw, status)}
    return whole


def _deliveries(record: EventRecord, status: Status) -> list[dict[str, Json]]:
    return [
        {**delivery(each, status), "attempts": [{**attempt(one), **_span(each, one)} for one in each.attempts]}
        for each in record.deliveries
    ]


def _span(record: DeliveryRecord, made: AttemptRecord) -> dict[str, Json]:
    """The id of its span: the parent id of the `traceparent` that it sent, if that was not one of a batch."""
    return {"span_id": attempt_span_id(record.event_id, record.target, made.number)}


def event(record: EventRecord, names: Names = NO_NAMES) -> dict[str, Json]:
    """An event without its deliveries; `event` is null if it is corrupt.

    `names`: what amoCRM calls the things in it, as far as that is known.
    """
    return {
        "id": record.id,
        "event": payload(record),
        "names": dict(names.get(record.id, {})),
        "corrupt": record.corrupt,
    }


def enriched(found: Enrichment | None) -> dict[str, Json]:
    """What was fetched beside an event, all of it: a target gets the parts and fields that it asks for.

    Null without a reason: nothing was asked for, or it was not fetched yet.
    """
    if found is None or found.value is None:
        return {"enriched": None, "enriched_reason": found.reason if found else ""}
    return {"enriched": {**found.value, "at": rfc3339(found.at)}, "enriched_reason": ""}


def payload(record: EventRecord) -> Json:
    """An event's JSON, as targets receive it; None if it is corrupt."""
    return None if record.corrupt else orjson.loads(record.payload)


# ---- status


def overview(seen: Overview) -> dict[str, Json]:
    """`relay status`."""
    return {
        "targets": [_target(name, each, seen) for name, each in seen.targets.items()],
        "webhooks": {
            "last_at": _time(seen.status.last_at),
            "unparsed": seen.status.unparsed,
            "misaddressed": misaddressed(seen.status),
            "unauthorized": unauthorized(seen.status),
            "lost": sum(loss.count for loss in seen.status.losses),
        },
        "disk": seen.status.disk and _disk(seen.status.disk),
        "daemon": seen.status.owner,
        "relays": [_relay(each) for each in seen.status.relays],
        "files": files(seen.status),
        "oldest_snapshot": oldest_snapshot(seen.status),
        "subscriptions": subscriptions(seen.status),
        "names": seen.names and known_names.view(seen.names),
    }


def _target(name: str, target: TargetStatus, seen: Overview) -> dict[str, Json]:
    """`in_routes` is null if there is no routes file that can be used.

    `breakers`: by the relay that sees it so, where several share the store; `breaker` is the worst of them.
    """
    return {
        "target": name,
        "pending": target.pending,
        "dead": target.dead,
        "oldest_at": _time(target.oldest_at),
        "paused": target.pause and _pause(target.pause),
        "breaker": target.condition and _breaker(target.condition, running=seen.running),
        "breakers": {relay: _breaker(each, running=seen.running) for relay, each in target.conditions.items()},
        "in_routes": seen.in_routes(name),
    }


def _pause(pause: Pause) -> dict[str, Json]:
    return {"at": rfc3339(pause.at), "who": pause.who, "reason": pause.reason}


def _breaker(report: HealthReport, *, running: bool) -> dict[str, Json]:
    """`probe_at`, `in_flight` and `rate` are null if no daemon is `running`: nothing is sent.

    `rate`: deliveries a second, within the last minute; `delivered_at`: the last one, also of an earlier daemon.
    """
    return {
        "state": report.health,
        "since": rfc3339(report.since),
        "as_of": rfc3339(report.as_of),
        "error": report.error,
        "probe_at": _time(report.probe_at) if running else None,
        "in_flight": report.in_flight if running else None,
        "delivered_at": _time(report.delivered_at),
        "rate": report.rate if running else None,
    }


def misaddressed(status: Status) -> dict[str, Json]:
    """Requests meant for us at a wrong address, since the start of the daemon that received the last one."""
    return _rejections(status, MISADDRESSED, "address", "detail")


def unauthorized(status: Status) -> dict[str, Json]:
    """Requests with a wrong token, or for a source that there is not, since the same start; who sent the last one."""
    return _rejections(status, UNAUTHORIZED, "detail", "remote")


def _rejections(status: Status, name: str, *of_the_last: str) -> dict[str, Json]:
    report = status.reports.get(name)
    value = report.value if report and isinstance(report.value, dict) else {}
    return {"count": value.get("count", 0), **{key: value.get(key) for key in ("since", "last_at", *of_the_last)}}


def files(status: Status) -> Json:
    """`loaded` and `refused`, as `relay.reloader` reports them; None if no daemon runs or none has reported yet."""
    report = status.reports.get(FILES)
    return report.value if report and status.owner is not None else None


def oldest_snapshot(status: Status) -> dict[str, str] | None:
    """Who keeps PostgreSQL from vacuuming, `since` when; None if no relay runs, or none has seen that for minutes."""
    report = status.reports.get(OLDEST_SNAPSHOT)
    value = report.value if report and status.owner is not None else None
    return {key: str(value[key]) for key in ("by", "since")} if isinstance(value, dict) and value else None


def _relay(relay: RelayStanding) -> dict[str, Json]:
    """One that is gone is there until its spool is known to be empty; `config` differs where the routes do."""
    return {
        "name": relay.name,
        "host": relay.host,
        "pid": relay.pid,
        "version": relay.version,
        "since": rfc3339(relay.since),
        "seen_at": rfc3339(relay.seen_at),
        "gone_at": _time(relay.gone_at),
        "config": relay.config,
        "spooled": relay.spooled,
        "spooled_at": _time(relay.spooled_at),
    }


def spool_file(spool: SpoolFile) -> dict[str, Json]:
    """What a spool of this machine holds."""
    return {
        "file": str(spool.file),
        "webhooks": spool.webhooks,
        "oldest_at": _time(spool.oldest_at),
        "refused": spool.refused,
    }


def _disk(disk: Disk) -> dict[str, Json]:
    """Where the store is; in bytes."""
    return {"free": disk.free, "total": disk.total, "low": disk.scarce}


def act(entry: AuditEntry) -> dict[str, Json]:
    """One line of the audit."""
    return {
        "id": entry.id,
        "at": rfc3339(entry.at),
        "who": entry.who,
        "command": entry.command,
        "details": dict(entry.details),
        "count": entry.count,
    }


# ---- the store


def verified(report: IntegrityReport, accepted: int) -> dict[str, Json]:
    """`relay verify`; `accepted`: so many missing webhooks were accepted before it looked."""
    return {
        "sound": report.sound,
        "structure": list(report.structure),
        **{
            name: {"checked": each.rows, "without_checksum": each.unmarked, "corrupt": list(each.corrupt)}
            for name, each in report.contents.items()
        },
        "losses": [
            {
                "at_most": loss.count,
                "after": _time(loss.after),
                "noticed_at": rfc3339(loss.noticed_at),
                "relay": loss.relay,
            }
            for loss in report.losses
        ],
        "notes": list(report.notes),
        "accepted": accepted,
    }
