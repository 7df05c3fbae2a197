"""Events that no route took when they arrived -> the deliveries that the routes of today make of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from relay.amocrm import events
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
