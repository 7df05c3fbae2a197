"""A webhook with all that came of it -> one line of JSON: of an archive, and of `relay export --webhooks`."""

import base64
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import orjson

from relay.model import Webhook
from relay.rfc3339 import rfc3339
from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord, WebhookRecord

_SECOND = timedelta(seconds=1)


def webhook_line(record: WebhookRecord) -> bytes:
    """Write a webhook as JSON with the keys of `relay show --json`, and its line end.

    `body` is null, and `body_base64` there, if it is not UTF-8; `event` is null if it is corrupt.
    """
    whole: dict[str, Any] = {
        "webhook": _webhook(record.webhook),
        "events": [{**_event(each), "deliveries": _deliveries(each)} for each in record.events],
    }
    if record.raw:
        whole["raw"] = {"id": record.raw.id, "deliveries": _deliveries(record.raw)}
    return orjson.dumps(whole, option=orjson.OPT_APPEND_NEWLINE)


def _webhook(webhook: Webhook) -> Mapping[str, Any]:
    return {
        "id": webhook.id,
        "source": webhook.source,
        "received_at": rfc3339(webhook.received_at),
        "content_type": webhook.content_type,
        "request_id": webhook.request_id,
        "query": webhook.query,
        "signature": webhook.signature,
        "traceparent": webhook.traceparent or None,
        "kind": webhook.kind,
        "unparsed": webhook.unparsed,
        "dismissed_at": _time(webhook.dismissed_at),
        "corrupt": webhook.corrupt,
        **_body(webhook.body),
    }


def _body(body: bytes) -> Mapping[str, str | None]:
    try:
        return {"body": body.decode()}
    except UnicodeDecodeError:
        return {"body": None, "body_base64": base64.b64encode(body).decode()}


def _event(record: EventRecord) -> Mapping[str, Any]:
    """Return the event, its JSON as it is stored."""
    event = None if record.corrupt else orjson.Fragment(record.payload)
    return {"id": record.id, "event": event, "corrupt": record.corrupt}


def _deliveries(record: EventRecord) -> list[Mapping[str, Any]]:
    return [_delivery(each) for each in record.deliveries]


def _delivery(record: DeliveryRecord) -> Mapping[str, Any]:
    return {
        "target": record.target,
        "routes": record.routes,
        "state": record.state,
        "replays": record.replays,
        "settled_at": _time(record.settled_at),
        "why": record.why,
        "dismissed_at": _time(record.dismissed_at),
        "attempts": [_attempt(each) for each in record.attempts],
    }


def _attempt(record: AttemptRecord) -> Mapping[str, Any]:
    return {
        "number": record.number,
        "started_at": rfc3339(record.started_at),
        "verdict": record.verdict,
        "reason": record.reason,
        "status": record.status,
        "took": record.took / _SECOND,
        "detail": record.detail,
    }


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)
