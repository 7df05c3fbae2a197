"""Stored events -> the deliveries that today's routes make of them, and that they do not have yet."""

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from relay.amocrm import events
from relay.errors import NotFoundError
from relay.model import PlannedDelivery, RoutedEvent
from relay.operations import audit
from relay.operations.lookup import pages
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion
from relay.routes.plan import plan
from relay.store.contract import OperationsStore
from relay.store.records import AuditEntry, EventRecord, Filter

PAGE = 100
PAUSE = 0.02  # seconds between pages, in which others write


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerouted:
    """`deliveries` by target, of which so many were `added`; none are on a dry run.

    Of `events` so many are still `unrouted`, if such were asked for, and so many `corrupt`: left as they are.
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
    missing: bool = False,
    act_id: str | None = None,
) -> Rerouted:
    """Route the unrouted events among `wanted` again; their deliveries are replays, due as `replay` has it.

    `missing`: all events, and each gets the deliveries that it lacks; target and route of `wanted` are those of what is
    planned. No pair of event and target is planned twice, however often this is called. NotFoundError for a target or a
    route that the routes do not have.
    """
    command = "replay --reroute" if missing else "replay --unrouted"
    if missing:
        _demand_names(wanted, config)
    act = audit.entry(command, audit.conditions(wanted, rate=rate), by=by, now=now, id_=act_id)
    done = Rerouted()
    async for page in pages(lambda after: store.events(wanted, limit=PAGE, after=after, unrouted=not missing)):
        routed = [_only(each, wanted) for each in _planned(page, config)] if missing else _planned(page, config)
        done += await _reroute(store, page, routed, act, rate=rate, dry_run=dry_run, missing=missing)
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
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
    """Route these events again, which have no delivery; several calls with one `act` are one line of the audit."""
    return await _reroute(store, found, _planned(found, config), act, rate=rate, dry_run=dry_run, missing=False)


def _demand_names(wanted: Filter, config: Config) -> None:
    for kind, name, known in (
        ("target", wanted.target, [*config.targets]),
        ("route", wanted.route, [each.name for each in config.routes if each.name]),
    ):
        if name is not None and name not in known:
            raise NotFoundError(f"no {kind} {quoted(name)} in the routes file {suggestion(name, sorted(known))}")


def _planned(found: Sequence[EventRecord], config: Config) -> list[RoutedEvent]:
    return [plan(events.load(event.payload), config) for event in found if not event.corrupt]


def _only(routed: RoutedEvent, wanted: Filter) -> RoutedEvent:
    """Leave the deliveries to the target, and by the route, that are wanted."""
    planned = (each for each in routed.planned if wanted.target in (None, each.target))
    return replace(routed, planned=tuple(each for each in planned if wanted.route in (None, *each.routes)))


async def _reroute(
    store: OperationsStore,
    found: Sequence[EventRecord],
    routed: Sequence[RoutedEvent],
    act: AuditEntry,
    *,
    rate: float | None,
    dry_run: bool,
    missing: bool,
) -> Rerouted:
    return Rerouted(
        deliveries=Counter(await store.reroutable(routed, missing=missing)),
        added=0 if dry_run else await store.reroute(routed, act, rate=rate, missing=missing),
        events=len(found),
        unrouted=0 if missing else sum(not each.planned for each in routed),
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
