"""What the store answers to questions of operators beside listings of deliveries: frozen values."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from relay.store.records import AttemptRecord, DeliveryRecord, EventRecord

LATE = timedelta(seconds=5)
"""An attempt that began so long after its event arrived is found by its own time; one before that by the arrival."""


ACTIVITY_KEPT = timedelta(days=8)
"""A report of a relay's activity is kept for so long: nothing in it is asked for later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """Which attempts: all conditions that are given must hold. `since` is included, `until` is not.

    `failed`: those that did not deliver. `reason`: a value of `Reason`. `slower`: those that took longer.
    """

    failed: bool = False
    target: str | None = None
    reason: str | None = None
    slower: timedelta | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAttempt:
    """An attempt, with its delivery as it is now, which is without attempts."""

    attempt: AttemptRecord
    delivery: DeliveryRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class StoryEvent:
    """An event about something, with its deliveries and the last attempt of each. `healed`: see `DeliveryRecord`."""

    event: EventRecord
    webhook: str
    source: str
    received_at: datetime
    healed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UnroutedKind:
    """How many events of one type no route took, and when the first and the last of those arrived."""

    entity: str
    action: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedMinute:
    """Requests of one source that were refused for one reason within the minute that began at `minute`.

    `source` is `-` unless the token was right, `reason` a value of `Rejection`. Of the last one, at `last_at`: `detail`
    says why, `remote` sent it, and `address` is where it went, masked, if that was wrong.
    """

    minute: datetime
    source: str
    reason: str
    count: int
    last_at: datetime
    detail: str
    remote: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefusedTotal:
    """How many requests of one source were refused for one reason, and when the last of them was."""

    source: str
    reason: str
    count: int
    last_at: datetime
