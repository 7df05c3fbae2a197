"""What relays did lately: counts by minute and by hour, as each reports them and as they add up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from relay.model import Json

MINUTE = 60
HOUR = 3600
Counts = dict[int, int]
"""How many in a minute, or in an hour: the Unix time divided by its length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What came of one source, or by one route, by hour; known `since` then. `last`: when the last one came."""

    since: float
    last: float | None = None
    hours: Counts = field(default_factory=dict)

    def within(self, first: int) -> int:
        """How many came from that hour on."""
        return sum(count for hour, count in self.hours.items() if hour >= first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Attempts by target and minute for the last hour, webhooks, routed and `unrouted` events by hour for the
    last day.

    Times are Unix seconds. `since`: what was before is not counted.
    """

    since: float
    delivered: dict[str, Counts] = field(default_factory=dict)
    failed: dict[str, Counts] = field(default_factory=dict)
    sources: dict[str, Hits] = field(default_factory=dict)
    routes: dict[str, Hits] = field(default_factory=dict)
    unrouted: Counts = field(default_factory=dict)


def as_json(activity: Activity) -> Json:
    """Return it as stored."""
    return {
        "since": activity.since,
        "delivered": {target: _texts(counts) for target, counts in activity.delivered.items()},
        "failed": {target: _texts(counts) for target, counts in activity.failed.items()},
        "sources": {name: _hits_json(hits) for name, hits in activity.sources.items()},
        "routes": {name: _hits_json(hits) for name, hits in activity.routes.items()},
        "unrouted": _texts(activity.unrouted),
    }


def of_json(value: Any) -> Activity | None:
    """Read what was stored; None for what cannot be read: a relay replaces it within seconds."""
    try:
        return Activity(
            since=float(value["since"]),
            delivered={target: _numbers(counts) for target, counts in value["delivered"].items()},
            failed={target: _numbers(counts) for target, counts in value["failed"].items()},
            sources={name: _hits_of(hits) for name, hits in value["sources"].items()},
            routes={name: _hits_of(hits) for name, hits in value["routes"].items()},
            unrouted=_numbers(value.get("unrouted", {})),  # an older relay does not count it
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _texts(counts: Counts) -> Json:
    return {str(at): number for at, number in counts.items()}


def _numbers(counts: Any) -> Counts:
    return {int(at): int(number) for at, number in counts.items()}


def _hits_json(hits: Hits) -> Json:
    return {"since": hits.since, "last": hits.last, "hours": _texts(hits.hours)}


def _hits_of(value: Any) -> Hits:
    last = value["last"]
    return Hits(since=float(value["since"]), last=None if last is None else float(last), hours=_numbers(value["hours"]))


def added(reports: Iterable[Activity]) -> Activity | None:
    """Add up what several relays did; None if none said anything."""
    every = list(reports)
    if not every:
        return None
    return Activity(
        since=min(each.since for each in every),
        delivered=_by_name(each.delivered for each in every),
        failed=_by_name(each.failed for each in every),
        sources=_all_hits(each.sources for each in every),
        routes=_all_hits(each.routes for each in every),
        unrouted=dict(sum((Counter(each.unrouted) for each in every), Counter())),
    )


def _by_name(reports: Iterable[Mapping[str, Counts]]) -> dict[str, Counts]:
    total: dict[str, Counter[int]] = {}
    for report in reports:
        for name, counts in report.items():
            total.setdefault(name, Counter()).update(counts)
    return {name: dict(counts) for name, counts in total.items()}


def _all_hits(reports: Iterable[Mapping[str, Hits]]) -> dict[str, Hits]:
    total: dict[str, Hits] = {}
    for report in reports:
        for name, hits in report.items():
            known = total.get(name)
            total[name] = _both(known, hits) if known else hits
    return total


def _both(one: Hits, other: Hits) -> Hits:
    return Hits(
        since=min(one.since, other.since),
        last=max(filter(None, (one.last, other.last)), default=None),
        hours=dict(Counter(one.hours) + Counter(other.hours)),
    )
