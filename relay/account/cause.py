"""Failed answers and outages of ours -> whether amoCRM may have switched a webhook off for them. Pure.

amoCRM does so after 100 failed answers in two hours ("Webhooks API", 2026), and says so in the flag that a person sets,
too. What has been the cause of a try to switch it on does not count again.
"""

from collections.abc import Iterable
from datetime import timedelta

from relay.model.heal import Span
from relay.model.subscription import GuardRecord

WITHIN = timedelta(hours=2)
ENOUGH_FAILED_ANSWERS = 100
ENOUGH_OUTAGE = timedelta(minutes=1)
"""In all. Restarts do not add up to it, nor do 100 answers fail in less."""


def window(record: GuardRecord) -> Span | None:
    """Return when a cause must lie for a webhook that is switched off; None if there can be none."""
    if record.disabled_at is None:
        return None
    until = record.disabled_at
    since = min(until, record.seen_on_at or until) - WITHIN
    if record.spent_at:
        since = max(since, record.spent_at)
    return Span(since, until) if since < until else None


def is_enough(within: Span, *, failed: int, outages: Iterable[Span]) -> bool:
    """Whether this may have switched the webhook off; what lies outside the window does not count."""
    overlaps = (min(each.until, within.until) - max(each.since, within.since) for each in outages)
    away = sum((each for each in overlaps if each > timedelta()), timedelta())
    return failed >= ENOUGH_FAILED_ANSWERS or away >= ENOUGH_OUTAGE


def is_resumed(record: GuardRecord) -> bool:
    """Whether an operator had the guard go on since it was switched off, and no try has followed."""
    if record.disabled_at is None or record.resumed_at is None:
        return False
    return record.resumed_at >= max(record.disabled_at, record.spent_at or record.disabled_at)


def was_tried(record: GuardRecord) -> bool:
    """Whether a try to switch it on has failed."""
    return bool(record.disabled_at and record.spent_at and record.spent_at >= record.disabled_at)
