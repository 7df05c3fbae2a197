"""Records and statuses of a store -> JSON, the one shape of each thing in `--json` and the API.

Times are RFC 3339 in UTC, lengths of time are seconds, cursors are opaque.
"""

from datetime import datetime

from relay.model import Json, Outcome
from relay.operations.upkeep import SpoolFile
from relay.rfc3339 import rfc3339
from relay.store.records import (
    AttemptRecord,
)


def _time(at: datetime | None) -> str | None:
    return None if at is None else rfc3339(at)


def outcome(shown: AttemptRecord | Outcome) -> dict[str, Json]:
    """What an attempt returned, in `show` and in `tail`; `took` is in seconds."""
    return {
        "reason": shown.reason,
        "status": shown.status,
        "took": shown.took.total_seconds(),
        "detail": shown.detail,
    }


# ---- the store


def spool_file(spool: SpoolFile) -> dict[str, Json]:
    """What a spool of this machine holds."""
    return {
        "file": str(spool.file),
        "webhooks": spool.webhooks,
        "oldest_at": _time(spool.oldest_at),
        "refused": spool.refused,
    }
