"""Signals as a relay emits them, for the tests of this room."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from relay.model import Dead, Delivered, Delivery, Outcome, Reason, Webhook
from relay.signals import Attempted, CircuitClosed, CircuitOpened, WebhookStored

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
CANARY = "canary +79991234567 ivan@example.com"


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def opened(target: str = "bot", *, detail: str = f"5xx 503 {CANARY}", failures: int | None = 10) -> CircuitOpened:
    return CircuitOpened(target=target, failures=failures, probe_at=NOON, detail=detail)


def closed(target: str = "bot") -> CircuitClosed:
    return CircuitClosed(target=target, failures=None)


def attempted(target: str = "bot", *, delivered: bool = False, status: int = 400) -> Attempted:
    outcome = Outcome(
        reason=Reason.OK if delivered else Reason.CLIENT_ERROR,
        started_at=NOON,
        took=seconds(0.1),
        status=200 if delivered else status,
        detail=CANARY,
    )
    delivery = Delivery(
        event_id=str(uuid4()),
        target=target,
        attempt=1,
        policy_attempt=1,
        pending_since=NOON,
        received_at=NOON,
        payload=CANARY.encode(),
        token=1,
    )
    verdict = Delivered() if delivered else Dead(f"answered {status}: {CANARY}")
    return Attempted(delivery=delivery, outcome=outcome, verdict=verdict, lag=None)


def stored(source: str = "crm", *, unparsed: str | None = None, at: datetime = NOON) -> WebhookStored:
    webhook = Webhook(
        id=str(uuid4()),
        source=source,
        received_at=at,
        content_type="",
        body=CANARY.encode(),
        unparsed=unparsed,
    )
    return WebhookStored(webhook=webhook, routed=(), deliveries=0, took=seconds(0.01))
