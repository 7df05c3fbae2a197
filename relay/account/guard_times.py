"""When the guard looks at a webhook. Pure."""

from datetime import datetime, timedelta

LOOK_EVERY = timedelta(minutes=5)
LOOK_AFTER_REFUSAL = timedelta(minutes=2)
"""After a webhook that was not answered with 2xx: others may have been, too."""


def is_due(now: datetime, looked_at: datetime | None, refused_at: datetime | None) -> bool:
    """Whether to look at a webhook: at first, every 5 minutes, and 2 minutes after one was refused since."""
    if looked_at is None or now < looked_at:  # the clock was set back
        return True
    refused = refused_at is not None and refused_at > looked_at and now - refused_at >= LOOK_AFTER_REFUSAL
    return refused or now - looked_at >= LOOK_EVERY
