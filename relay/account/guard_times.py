"""When the guard looks at a webhook. Pure."""

from datetime import datetime, timedelta

from relay.model.subscription import GuardRecord

LOOK_EVERY = timedelta(minutes=5)
LOOK_AFTER_FAILED_ANSWER = timedelta(minutes=2)
"""After a webhook that was not answered with 2xx: others may have been, too."""


def is_due(now: datetime, looked_at: datetime | None, failed_at: datetime | None, record: GuardRecord) -> bool:
    """Whether to look at a webhook: at first, every 5 minutes, 2 minutes after a failed answer, and on request."""
    if looked_at is None or now < looked_at:  # the clock was set back
        return True
    if is_asked_for(record, looked_at):
        return True
    failed = failed_at is not None and failed_at > looked_at and now - failed_at >= LOOK_AFTER_FAILED_ANSWER
    return failed or now - looked_at >= LOOK_EVERY


def is_asked_for(record: GuardRecord, looked_at: datetime) -> bool:
    """Whether an operator connected the source, or had the guard go on, since the last look."""
    if record.off:
        return False
    return record.checked_at is None or (record.resumed_at is not None and record.resumed_at > looked_at)
