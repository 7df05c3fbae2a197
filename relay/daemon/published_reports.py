"""What the daemon reports of itself (loaded files, rejected requests) -> the store, where `relay status` reads it.

Relays that share a store have reports of their own; of each name `Status.reports` has the newest of those that live.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Json
from relay.operations.status import MISADDRESSED, OLDEST_SNAPSHOT, UNAUTHORIZED
from relay.rfc3339 import rfc3339
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import OwnedStore

PUBLISH_EVERY = 1.0  # seconds


class Reports:
    """Counts rejected requests, and publishes that beside the reports of other parts."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._misaddressed = _Rejections(Rejection.MISADDRESSED, clock)
        self._unauthorized = _Rejections(Rejection.UNAUTHORIZED, clock)
        self._published: dict[str, Json] = {}

    def count(self, rejected: WebhookRejected) -> None:
        """Count a request that was misaddressed or unauthorized."""
        self._misaddressed.count(rejected)
        self._unauthorized.count(rejected)

    async def keep_publishing(self, store: OwnedStore, others: Mapping[str, Callable[[], Json]]) -> None:
        """Store each report under its name when it has changed, for ever.

        A report that is None is skipped: the store keeps the one of the daemon before, if any.
        """
        reports = {
            MISADDRESSED: self._misaddressed.value,
            UNAUTHORIZED: self._unauthorized.value,
            OLDEST_SNAPSHOT: lambda: _oldest_snapshot(store),
            **others,
        }
        while True:
            for name, report in reports.items():
                with suppress(StoreBusy):  # again at the next turn
                    await self.publish(store, name, report())
            await asyncio.sleep(PUBLISH_EVERY)

    async def publish(self, store: OwnedStore, name: str, value: Json) -> None:
        """Store one report, unless it is None or was stored last."""
        if value is not None and (name not in self._published or self._published[name] != value):
            await store.publish(name, value, now=store.clock())
            self._published[name] = value


class _Rejections:
    """How many requests were rejected for one `reason` since the relay started, and the last one."""

    def __init__(self, reason: Rejection, clock: Callable[[], datetime]) -> None:
        self._reason = reason
        self._clock = clock
        self._since = clock()
        self._count = 0
        self._last: tuple[datetime, WebhookRejected] | None = None

    def count(self, rejected: WebhookRejected) -> None:
        """Count it if this was the reason."""
        if rejected.reason is self._reason:
            self._count += 1
            self._last = self._clock(), rejected

    def value(self) -> Json:
        """Return the report; None before the first, so that the report of the run before stays."""
        if self._last is None:
            return None
        at, rejected = self._last
        return {
            "count": self._count,
            "since": rfc3339(self._since),
            "last_at": rfc3339(at),
            "address": rejected.address,
            "detail": rejected.detail,
            "remote": rejected.remote,
        }


def _oldest_snapshot(store: OwnedStore) -> Json:
    """Return who keeps PostgreSQL from vacuuming, and since when; {} if nobody has for long, None for a file."""
    if not store.spool():
        return None
    oldest = store.oldest_snapshot()
    return {"by": oldest.holder, "since": rfc3339(oldest.since)} if oldest and oldest.is_old(store.clock()) else {}
