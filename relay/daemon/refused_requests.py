"""Requests that were not answered with 2xx -> the store, by minute, source and reason: `relay list --refused`.

Guesses of tokens cost no more than a row a minute. Strangers are left out: nothing of theirs was meant for us.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from relay.errors import StoreBusy
from relay.signals import Rejection, WebhookRejected
from relay.store.question_contract import QuestionStore
from relay.store.question_records import RefusedMinute

RECORD_EVERY = 2.0  # seconds
MAX_TEXT = 300  # characters of what is said of the last one
MINUTE = timedelta(minutes=1)

Key = tuple[datetime, str, str]
"""Minute, source, reason."""


class RefusedRequests:
    """Counts in memory; `record` stores what has changed since the time before."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._minutes: dict[Key, RefusedMinute] = {}
        self._changed: set[Key] = set()

    def count(self, rejected: WebhookRejected) -> None:
        """Count it, unless it was a stranger's."""
        if rejected.reason is Rejection.STRANGER:
            return
        now = self._clock()
        key = now.replace(second=0, microsecond=0), rejected.source, rejected.reason.value
        before = self._minutes.get(key)
        self._minutes[key] = RefusedMinute(
            minute=key[0],
            source=key[1],
            reason=key[2],
            count=before.count + 1 if before else 1,
            last_at=now,
            detail=rejected.detail[:MAX_TEXT],
            remote=rejected.remote[:MAX_TEXT],
            address=rejected.address[:MAX_TEXT],
        )
        self._changed.add(key)

    async def record(self, store: QuestionStore) -> None:
        """Store what is new; after StoreBusy the next call does."""
        refused = {key: self._minutes[key] for key in self._changed}
        if refused:
            await store.record_refused(list(refused.values()))
        self._changed -= {key for key, each in refused.items() if self._minutes[key] == each}
        over = self._clock() - 2 * MINUTE
        for key in [key for key in self._minutes if key[0] < over and key not in self._changed]:
            del self._minutes[key]

    async def keep_recording(self, store: QuestionStore) -> None:
        """Record for ever; the caller cancels it."""
        while True:
            with suppress(StoreBusy):
                await self.record(store)
            await asyncio.sleep(RECORD_EVERY)
