"""Signals -> spans, each as the bytes of an OTLP `Span`: a webhook's intake and its commit, and every attempt.

    POST /hooks/{source}/{token}   SERVER     child of the span of the traceparent that came; its id: the webhook's
    ├─ commit                      INTERNAL   from the call of the store to its reply
    └─ send TARGET                 CLIENT     one for each attempt; its id: the parent id that the target got

Names of attributes: OpenTelemetry's conventions for HTTP, messaging and CloudEvents; `relay.…` are our own. No header,
no body, no answer, and of a URL host and port alone: whatever else is in it may be a secret.

OpenTelemetry's SDK takes 70 µs for such a span, this 5. What is the same in many spans is encoded once, by its classes;
of two encoded messages, one behind the other, a reader makes one.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from relay.model import Reason, VerdictName, Webhook
from relay.model.trace import attempt_span_id, span_id, trace_id
from relay.observe import wire
from relay.signals import Attempted, DuplicateReceived, Endpoint, WebhookStored

MOST_FIXED = 2_000  # kept parts that many spans share
ROUTE = "/hooks/{source}/{token}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LOCAL_PARENT, _REMOTE_PARENT = 0x101, 0x301  # sampled; bits 8 and 9: whether the parent is another process's
_HEAD = re.compile(rb'\{"id":"[^"\\]*","type":"([^"\\]*)","timestamp":"[^"\\]*","source":"([^"\\]*)"').match


def of_stored(signal: WebhookStored) -> Iterator[bytes]:
    """Return the spans of a webhook that is stored: its intake and its commit."""
    webhook = signal.webhook
    outcome = "accepted" if webhook.unparsed is None else "unparsed"
    events = len(signal.routed) if webhook.unparsed is None else 0
    counts = wire.number("relay.events", events) + wire.number("relay.deliveries", signal.deliveries)
    return _of_webhook(webhook, outcome, signal.took, signal.commit, counts)


def of_duplicate(signal: DuplicateReceived) -> Iterator[bytes]:
    """Return the spans of a webhook that repeats one."""
    return _of_webhook(signal.webhook, "duplicate", signal.took, signal.commit, wire.text("relay.first", signal.first))


def _of_webhook(webhook: Webhook, outcome: str, took: timedelta, commit: float, attributes: bytes) -> Iterator[bytes]:
    trace, start = webhook.trace, webhook.received_at
    intake, end = span_id(trace), start + took
    yield (
        _fixed_intake(webhook.source, outcome, bool(webhook.traceparent))
        + _own(trace, intake, span_id(webhook.traceparent), (start, end))
        + wire.text("messaging.message.id", webhook.id)
        + wire.number("http.request.body.size", len(webhook.body))
        + attributes
    )
    if commit:
        began, span = end - timedelta(seconds=commit), attempt_span_id(webhook.id, "commit", 0)
        yield _fixed_commit() + _own(trace, span, intake, (began, end))


def of_attempt(signal: Attempted, endpoint: Endpoint | None) -> Iterator[bytes]:
    """Return the span of an attempt; `endpoint`: of its target, None if the routes name it no more."""
    delivery, outcome, verdict = signal.delivery, signal.outcome, signal.verdict
    found = _HEAD(delivery.payload)
    type_, source = (each.decode(errors="replace") for each in found.groups()) if found else ("", "")
    fixed = _fixed_attempt(
        delivery.target,
        endpoint,
        delivery.attempt,
        type_,
        source,
        verdict.name,
        outcome.reason,
        outcome.status,
        outcome.batch,
    )
    span = attempt_span_id(delivery.event_id, delivery.target, delivery.attempt)
    yield (
        fixed
        + _own(delivery.trace, span, span_id(delivery.trace), (outcome.started_at, outcome.started_at + outcome.took))
        + wire.text("messaging.message.id", delivery.event_id)
        + wire.text("cloudevents.event_id", delivery.event_id)
        + wire.text("relay.entity_id", delivery.entity_id)
    )


# ---- what a span has of its own


def _own(trace: str, span: str, parent: str, times: tuple[datetime, datetime]) -> bytes:
    return wire.ids_and_times(trace_id(trace), span, parent, _nanoseconds(times[0]), _nanoseconds(times[1]))


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND * 1000


# ---- what many spans share


@lru_cache(maxsize=MOST_FIXED)
def _fixed_intake(source: str, outcome: str, remote_parent: bool) -> bytes:
    fixed = Span(
        name=f"POST {ROUTE}",
        kind=Span.SPAN_KIND_SERVER,
        flags=_REMOTE_PARENT if remote_parent else _LOCAL_PARENT,
        attributes=_attributes(
            {
                "http.request.method": "POST",
                "http.route": ROUTE,
                "http.response.status_code": 200,
                "messaging.system": "amocrm",
                "messaging.operation.name": "receive",
                "messaging.operation.type": "receive",
                "messaging.destination.name": source,
                "relay.outcome": outcome,
            }
        ),
    )
    return bytes(fixed.SerializeToString())


@lru_cache(maxsize=1)
def _fixed_commit() -> bytes:
    return bytes(Span(name="commit", kind=Span.SPAN_KIND_INTERNAL, flags=_LOCAL_PARENT).SerializeToString())


@lru_cache(maxsize=MOST_FIXED)
def _fixed_attempt(
    target: str,
    endpoint: Endpoint | None,
    attempt: int,
    type_: str,
    source: str,
    verdict: VerdictName,
    reason: Reason,
    status: int | None,
    batch: int | None,
) -> bytes:
    """`error.type`: the status, or why there was none."""
    failed = verdict is not VerdictName.DELIVERED
    fixed = Span(
        name=f"send {target}",
        kind=Span.SPAN_KIND_CLIENT,
        flags=_LOCAL_PARENT,
        status=Status(code=Status.STATUS_CODE_ERROR) if failed else None,
        attributes=_attributes(
            {
                "http.request.method": endpoint and endpoint.method,
                "http.request.resend_count": attempt - 1 or None,
                "http.response.status_code": status,
                "server.address": endpoint and endpoint.host,
                "server.port": endpoint and endpoint.port,
                "error.type": (str(status) if status else reason.value) if failed else None,
                "messaging.system": "amocrm",
                "messaging.operation.name": "send",
                "messaging.operation.type": "send",
                "messaging.destination.name": target,
                "messaging.batch.message_count": batch,
                "cloudevents.event_spec_version": "1.0",
                "cloudevents.event_type": f"com.amocrm.{type_}" if type_ else None,
                "cloudevents.event_source": f"/amocrm/{source}" if source else None,
                "relay.attempt": attempt,
                "relay.outcome": verdict.value,
                "relay.reason": reason.value,
            }
        ),
    )
    return bytes(fixed.SerializeToString())


def _attributes(values: Mapping[str, str | int | None]) -> list[KeyValue]:
    """Leave out those that are None."""
    return [
        KeyValue(key=key, value=AnyValue(string_value=value) if isinstance(value, str) else AnyValue(int_value=value))
        for key, value in values.items()
        if value is not None
    ]
