"""Deliveries that are dead, delivered or scheduled for later -> pending and due."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID, uuid5

from relay.errors import NotFoundError
from relay.model import Health, State
from relay.operations import audit
from relay.operations.lookup import show
from relay.operations.reroute import Rerouted, reroute_events
from relay.routes.config import Config
from relay.store.contract import OperationsStore
from relay.store.records import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay did, or on a dry run would do.

    `found`: deliveries by target; of pending ones some may be left as they are, so `replayed` may be fewer. `probed`:
    targets with an open circuit that are probed at once. `rerouted`: what became of events without deliveries.
    """

    found: Counter[str] = field(default_factory=Counter)
    replayed: int = 0
    probed: tuple[str, ...] = ()
    rerouted: Rerouted = field(default_factory=Rerouted)

    @property
    def targets(self) -> Counter[str]:
        """By target, replayed and rerouted together."""
        return self.found + self.rerouted.deliveries

    @property
    def done(self) -> int:
        """How many deliveries became pending."""
        return self.replayed + self.rerouted.added

    @property
    def nothing(self) -> bool:
        """True if neither a delivery nor an event was found."""
        return not (self.found or self.rerouted.events)


async def replay(
    store: OperationsStore,
    wanted: Filter,
    *,
    by: str,
    now: datetime,
    rate: float | None = None,
    dry_run: bool = False,
    act_id: str | None = None,
) -> Replayed:
    """Make deliveries pending, due at `now` or `rate` a second from then on; their retry policy starts anew.

    Pending ones, if `wanted` has that state, only where they are scheduled for later.
    """
    found = Counter(await store.count(wanted, replayable=True))
    if dry_run:
        return Replayed(found=found)
    act = audit.entry("replay", audit.conditions(wanted, rate=rate), by=by, now=now, id_=act_id)
    replayed = await store.replay(wanted, act, rate=rate)
    probed = await _probed(store, found) if State.PENDING in wanted.states else ()
    return Replayed(found=found, replayed=replayed, probed=probed)


async def replay_ids(
    store: OperationsStore,
    ids: Sequence[str],
    wanted: Filter,
    config: Callable[[], Config],
    *,
    by: str,
    now: datetime,
    rate: float | None = None,
    dry_run: bool = False,
    act_id: str | None = None,
) -> Replayed:
    """Replay the events, or all events of the webhooks, with these ids or starts of ids.

    Those that no route took are rerouted, with the routes that `config` loads. NotFoundError if nothing is to be done.
    """
    chosen = [event for id_ in ids for event in (await show(store, id_)).events]
    if not chosen:
        raise NotFoundError("no events came of these webhooks: see relay show")
    done = Replayed()
    if planned := tuple(event.id for event in chosen if event.deliveries):
        these = replace(wanted, event_ids=planned)
        done = await replay(store, these, by=by, now=now, rate=rate, dry_run=dry_run, act_id=act_id)
    never = [event for event in chosen if not event.deliveries and not (wanted.target or wanted.route)]
    if never:
        details = {"event_ids": [event.id for event in never], **({"rate": rate} if rate else {})}
        second = act_id and str(uuid5(UUID(act_id), "unrouted"))  # another line of the audit
        act = audit.entry("replay --unrouted", details, by=by, now=now, id_=second)
        rerouted = await reroute_events(store, never, config(), act, rate=rate, dry_run=dry_run)
        done = replace(done, rerouted=rerouted)
    if not done.targets and not never:
        states = " or ".join(wanted.states)
        raise NotFoundError(f"nothing {states} under these ids: see relay show, or give another --state")
    return done


async def _probed(store: OperationsStore, found: Counter[str]) -> tuple[str, ...]:
    status = await store.status()
    if status.owner is None:
        return ()
    reports = {name: status.targets[name].condition for name in found if name in status.targets}
    return tuple(sorted(name for name, each in reports.items() if each and each.health is Health.OPEN))
