"""Webhooks of amoCRM that were not answered with 2xx -> their number by source and minute, in the store."""

from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta

from relay.signals import Rejection, WebhookRejected
from relay.store.guard_contract import GuardStore

COUNTED = frozenset({Rejection.TOO_LARGE, Rejection.UNAVAILABLE, Rejection.INCOMPLETE})
"""Reasons that amoCRM counts as failed answers of this webhook: not guessed tokens, not posts of another account."""
MINUTE = timedelta(minutes=1)


class FailedAnswers:
    """Counts in memory; a `flush` stores what has changed since the one before."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counts: Counter[tuple[str, datetime]] = Counter()
        self._changed: set[tuple[str, datetime]] = set()
        self._last_at: dict[str, datetime] = {}

    def count(self, rejected: WebhookRejected) -> None:
        """Count it if amoCRM got this answer."""
        if rejected.reason in COUNTED:
            now = self._clock()
            key = rejected.source, now.replace(second=0, microsecond=0)
            self._counts[key] += 1
            self._changed.add(key)
            self._last_at[rejected.source] = now

    def last_at(self, source: str) -> datetime | None:
        """When a webhook of this source was last counted."""
        return self._last_at.get(source)

    async def flush(self, store: GuardStore) -> None:
        """Store the counts; after StoreBusy the next flush does."""
        for source in {source for source, _ in self._changed}:
            counts = {minute: self._counts[source, minute] for name, minute in self._changed if name == source}
            await store.record_failed_answers(source, counts)
            stored = {(source, minute) for minute, number in counts.items() if self._counts[source, minute] == number}
            self._changed -= stored
        self._forget(self._clock() - 2 * MINUTE)

    def _forget(self, before: datetime) -> None:
        for key in [key for key in self._counts if key[1] < before and key not in self._changed]:
            del self._counts[key]
