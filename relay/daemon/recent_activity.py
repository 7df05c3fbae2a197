"""What was delivered, received and routed lately, counted in memory -> the store, where `relay status` reads it.

Targets by the minute for an hour, sources and routes by the hour for a day: signals feed it, nothing is looked up. The
report of the process before is taken over, so that a restart forgets nothing but its last seconds.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Delivered
from relay.signals import Attempted, ConfigActivated, DuplicateReceived, Signal, WebhookStored
from relay.store.activity import HOUR, MINUTE, Activity, Counts, Hits, added
from relay.store.question_contract import QuestionStore

RECORD_EVERY = 5.0  # seconds
MINUTES = 60  # that are kept of a target
HOURS = 24  # of a source or a route


class _Hits:
    """The counts of one source or route."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.last: float | None = None
        self.hours: Counter[int] = Counter()

    def count(self, at: float) -> None:
        self.hours[int(at // HOUR)] += 1
        self.last = at

    def report(self, now: float) -> Hits:
        return Hits(since=self.since, last=self.last, hours=_newest(self.hours, int(now // HOUR) - HOURS))


class RecentActivity:
    """Counts signals of the event loop; `seconds` is the clock, in Unix seconds."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._since = seconds()
        self._delivered: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._failed: defaultdict[str, Counter[int]] = defaultdict(Counter)
        self._sources: dict[str, _Hits] = {}
        self._routes: dict[str, _Hits] = {}
        self._unrouted: Counter[int] = Counter()
        self._before: Activity | None = None

    def count(self, signal: Signal) -> None:
        """Count it, if it is of an attempt, or of a webhook that was answered 200."""
        match signal:
            case Attempted():
                counts = self._delivered if isinstance(signal.verdict, Delivered) else self._failed
                counts[signal.delivery.target][int(self._seconds() // MINUTE)] += 1
            case WebhookStored():
                at = self._seconds()
                self._count(self._sources, signal.webhook.source, at)
                for each in signal.routed:
                    for route in each.routes:
                        self._count(self._routes, route, at)
                    if each.unrouted:
                        self._unrouted[int(at // HOUR)] += 1
            case DuplicateReceived():
                self._count(self._sources, signal.webhook.source, self._seconds())
            case ConfigActivated():
                self._sources = self._only(self._sources, signal.sources)
                self._routes = self._only(self._routes, signal.routes)

    def _count(self, hits: dict[str, _Hits], name: str, at: float) -> None:
        if (known := hits.get(name)) is None:
            known = hits[name] = _Hits(at)
        known.count(at)

    def _only(self, hits: dict[str, _Hits], names: Iterable[str]) -> dict[str, _Hits]:
        """Forget what the routes file no longer names; what is new in it is known from now on."""
        now = self._seconds()
        return {name: hits.get(name) or _Hits(now) for name in names}

    def report(self) -> Activity:
        """Return all that is not older than its window, with what the process before has reported."""
        now = self._seconds()
        mine = Activity(
            since=self._since,
            delivered=_recent(self._delivered, now),
            failed=_recent(self._failed, now),
            sources={name: each.report(now) for name, each in self._sources.items()},
            routes={name: each.report(now) for name, each in self._routes.items()},
            unrouted=_newest(self._unrouted, int(now // HOUR) - HOURS),
        )
        if self._before is None:
            return mine
        self._before = _still(self._before, mine, now)
        return added([mine, self._before]) or mine

    def recall(self, before: Activity) -> None:
        """Take over what the process before has reported."""
        self._before = before

    async def keep_recording(self, store: QuestionStore, clock: Callable[[], datetime]) -> None:
        """Take over what the process before has recorded, then record what is new, for ever; the caller cancels it."""
        recalled, recorded = False, None
        while True:
            with suppress(StoreBusy):
                if not recalled:
                    before, recalled = await store.own_activity(), True
                    if before:
                        self.recall(before)
                if (activity := self.report()) != recorded:
                    await store.record_activity(activity, now=clock())
                    recorded = activity
            await asyncio.sleep(RECORD_EVERY)


def _newest(counts: Counter[int], first: int) -> Counts:
    """Forget what was before, and return the rest."""
    for old in [each for each in counts if each <= first]:
        del counts[old]
    return dict(counts)


def _recent(by_target: dict[str, Counter[int]], now: float) -> dict[str, Counts]:
    first = int(now // MINUTE) - MINUTES
    found = {target: _newest(counts, first) for target, counts in by_target.items()}
    for target in [target for target, counts in found.items() if not counts]:
        del by_target[target], found[target]
    return found


def _still(before: Activity, mine: Activity, now: float) -> Activity:
    """Return what of it is in its window, of names that the routes file still has."""
    return Activity(
        since=before.since,
        delivered=_counted_since(before.delivered, int(now // MINUTE) - MINUTES),
        failed=_counted_since(before.failed, int(now // MINUTE) - MINUTES),
        sources=_hit_since(before.sources, mine.sources, int(now // HOUR) - HOURS),
        routes=_hit_since(before.routes, mine.routes, int(now // HOUR) - HOURS),
        unrouted=_since(before.unrouted, int(now // HOUR) - HOURS),
    )


def _counted_since(by_target: Mapping[str, Counts], minute: int) -> dict[str, Counts]:
    """Without the targets that have nothing left."""
    return {target: left for target, counts in by_target.items() if (left := _since(counts, minute))}


def _since(counts: Counts, first: int) -> Counts:
    """What came after that minute or hour."""
    return {at: number for at, number in counts.items() if at > first}


def _hit_since(before: Mapping[str, Hits], names: Collection[str], hour: int) -> dict[str, Hits]:
    return {
        name: Hits(since=one.since, last=one.last, hours=_since(one.hours, hour))
        for name, one in before.items()
        if name in names
    }
