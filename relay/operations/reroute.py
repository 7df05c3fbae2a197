"""Stored events that a route did not take when they arrived -> the deliveries that today's routes make of them."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from relay.amocrm import events
from relay.model import PlannedDelivery, RoutedEvent
from relay.operations import audit
from relay.operations.lookup import pages, unrouted
from relay.routes.config import Config
from relay.routes.plan import plan
from relay.store.contract import OperationsStore
from relay.store.records import AuditEntry, EventRecord, Filter

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerouted:
    """`deliveries` by target, of which so many were `added`; none are on a dry run.

    Of `events` so many are still `unrouted`, and so many `corrupt`: left as they are.
    """

    deliveries: Counter[str] = field(default_factory=Counter)
    added: int = 0
    events: int = 0
    unrouted: int = 0
    corrupt: int = 0

    def __add__(self, other: "Rerouted") -> "Rerouted":
        return Rerouted(
            deliveries=self.deliveries + other.deliveries,
            added=self.added + other.added,
            events=self.events + other.events,
            unrouted=self.unrouted + other.unrouted,
            corrupt=self.corrupt + other.corrupt,
        )


async def reroute(
    store: OperationsStore,
    wanted: Filter,
    config: Config,
    *,
    by: str,
    now: datetime,
    rate: float | None = None,
    dry_run: bool = False,
) -> Rerouted:
    """Route the unrouted events among `wanted` again; their deliveries are replays, due as `replay` has it."""
    act = audit.entry("replay --unrouted", audit.conditions(wanted), by=by, now=now)
    done = Rerouted()
    async for page in pages(lambda after: unrouted(store, wanted, limit=PAGE, after=after)):
        done += await reroute_events(store, page, config, act, rate=rate, dry_run=dry_run)
    return done


async def reroute_events(
    store: OperationsStore,
    found: Sequence[EventRecord],
    config: Config,
    act: AuditEntry,
    *,
    rate: float | None,
    dry_run: bool,
) -> Rerouted:
    """The same for these events; several calls with one `act` are one line of the audit."""
    routed = [plan(events.load(event.payload), config) for event in found if not event.corrupt]
    return Rerouted(
        deliveries=Counter(planned.target for each in routed for planned in each.planned),
        added=0 if dry_run else await store.reroute(routed, act, rate=rate),
        events=len(found),
        unrouted=sum(not each.planned for each in routed),
        corrupt=sum(event.corrupt for event in found),
    )


async def reroute_resumed(
    store: OperationsStore, config: Config, routes: Collection[str], *, since: datetime, by: str, now: datetime
) -> int:
    """Give the events from `since` on what they missed while these routes were stopped; return how many deliveries.

    An event that one of them takes gets its deliveries there, if it has none to that target; what waited without any
    delivery goes where today's routes send it. Repeated after a crash it adds what is still missing.
    """
    act = audit.entry("routes resumed", {"routes": sorted(routes)}, by=by, now=now)
    added = 0
    async for page in pages(lambda after: store.events(Filter(since=since), limit=PAGE, after=after)):
        routed = [plan(events.load(event.payload), config) for event in page if not event.corrupt]
        missed = [replace(each, planned=_of_routes(each, routes)) for each in routed]
        added += await store.reroute([each for each in missed if each.planned], act, missing=True)
        added += await store.reroute([each for each in routed if each.planned and not _of_routes(each, routes)], act)
    return added


def _of_routes(routed: RoutedEvent, routes: Collection[str]) -> tuple[PlannedDelivery, ...]:
    return tuple(each for each in routed.planned if not set(routes).isdisjoint(each.routes))
