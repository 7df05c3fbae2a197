"""What a store promises to the guard of subscriptions and to those who ask about it; errors are as `contract` says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from relay.model.subscription import GuardRecord, SwitchedOff
from relay.store.records import AuditEntry


class GuardStore(Protocol):
    """Records of the guard, one for each source, and what they rest on. An act and its audit entry are one commit."""

    async def records(self) -> Mapping[str, GuardRecord]:
        """Return them by source."""
        ...

    async def record(self, record: GuardRecord, *, switched_off: SwitchedOff | None = None) -> None:
        """Replace what the guard knows, but not `off` and `resumed_at`, which are operators'.

        With `switched_off` that span, too: the one of the same `since` is replaced.
        """
        ...

    async def switch(self, source: str, *, off: bool, act: AuditEntry) -> None:
        """Have the guard leave this source alone, or look after it again.

        What it saw at its last look (`state`, `since`, `checked_at`, `detail`) is forgotten, as it is outdated.
        """
        ...

    async def resume(self, source: str, act: AuditEntry) -> None:
        """Set `resumed_at` to `act.at`."""
        ...

    async def record_failed_answers(self, source: str, counts: Mapping[datetime, int]) -> None:
        """Store how many webhooks of the source this relay did not answer with 2xx, by minute; a count never shrinks.

        Those older than `model.heal.HORIZON` are dropped.
        """
        ...

    async def failed_answers(self, source: str, *, since: datetime, until: datetime) -> int:
        """Return how many webhooks no relay answered with 2xx in the minutes that begin from `since` to `until`."""
        ...

    async def switched_off(self, source: str, *, since: datetime) -> Sequence[SwitchedOff]:
        """Return the spans that end after `since` or have not ended, oldest first."""
        ...
