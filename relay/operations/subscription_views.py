"""What the guard knows of the webhooks in amoCRM -> plain JSON."""

from datetime import datetime

from relay.model import Json
from relay.model.subscription import GuardRecord
from relay.rfc3339 import rfc3339
from relay.store.records import Status


def subscriptions(status: Status) -> dict[str, Json]:
    """By source; `state` is null before the first look, and `guarded` false after `relay disconnect`."""
    return {name: _subscription(each) for name, each in status.guards.items()}


def _subscription(record: GuardRecord) -> dict[str, Json]:
    return {
        "state": record.state,
        "since": _time(record.since),
        "checked_at": _time(record.checked_at),
        "detail": record.detail,
        "guarded": not record.off,
    }


def _time(at: datetime | None) -> str | None:
    return rfc3339(at) if at else None
