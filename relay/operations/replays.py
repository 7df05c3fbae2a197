"""POST /replays, `relay replay`: deliveries, or stored events -> deliveries that are pending and due."""

from dataclasses import dataclass, field, replace
from typing import Annotated

from msgspec import Meta

from relay.model import State
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.replays import ReplayDocument
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.replay import Replayed, replay, replay_ids
from relay.operations.reroute import reroute
from relay.operations.unknown_names import unknown_names
from relay.operations.which import Most, Rate, Which, demand_at_most
from relay.store.records import Filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Replays:
    """Give `ids` of events or webhooks, a `filter`, or `all_dead`; without states, dead deliveries are meant.

    `unrouted`: events that no route took, through the routes in force. `reroute`: all stored events of the filter, for
    the deliveries that they lack. `rate`: due so many a second, else all at once. `most`: how many were counted before;
    ConflictError if there are more, which is looked at just before.
    """

    filter: Which = field(default_factory=Which)
    ids: tuple[str, ...] = ()
    all_dead: Annotated[bool, Meta(description="Every dead delivery there is.")] = False
    unrouted: Annotated[bool, Meta(description="Events that no route took, through the routes in force.")] = False
    reroute: Annotated[bool, Meta(description="Stored events, for the deliveries that they lack.")] = False
    rate: Rate | None = None
    dry_run: Annotated[bool, Meta(description="Only count.")] = False
    most: Most | None = None


async def replays(desk: Desk, asked: Replays) -> ReplayDocument:
    """Make deliveries pending and due; a dry run only counts them. InvalidParameters if it is not said which."""
    _check(asked)
    if asked.most is not None and not asked.dry_run:
        demand_at_most((await replays(desk, replace(asked, dry_run=True))).total, asked.most)
    wanted, events = _wanted(asked), asked.unrouted or asked.reroute
    by, now, id_ = desk.asker.name, desk.now(), desk.act_id
    if events:
        rerouted = await reroute(
            desk.store, wanted, desk.config(), by=by, now=now, rate=asked.rate, dry_run=asked.dry_run,
            missing=asked.reroute, act_id=id_,
        )  # fmt: skip
        done = Replayed(rerouted=rerouted)
    elif asked.ids:
        done = await replay_ids(
            desk.store, asked.ids, wanted, desk.config, by=by, now=now, rate=asked.rate, dry_run=asked.dry_run,
            act_id=id_,
        )  # fmt: skip
    else:
        done = await replay(desk.store, wanted, by=by, now=now, rate=asked.rate, dry_run=asked.dry_run, act_id=id_)
    notes = await unknown_names(desk.store, wanted, desk.config_or_none()) if done.nothing else []
    return _document(desk, asked, wanted, done, notes)


def _wanted(asked: Replays) -> Filter:
    wanted = asked.filter.filter()
    if asked.unrouted or asked.reroute:
        return replace(wanted, states=())
    wanted = replace(wanted, states=wanted.states or (State.DEAD,))
    return wanted if asked.ids else replace(wanted, dismissed=bool(wanted.dismissed))


def _check(asked: Replays) -> None:
    narrowed = bool(asked.ids) or asked.filter != Which()
    given = asked.filter
    if asked.all_dead and (narrowed or asked.unrouted or asked.reroute):
        raise _misuse("/all_dead", "stands alone: without it, give ids or a filter")
    if asked.reroute and (asked.unrouted or asked.ids or given.state):
        raise _misuse("/reroute", "looks for events: it takes neither unrouted nor ids nor a state")
    if (asked.reroute or asked.unrouted) and _says_more(given.filter()):
        raise _misuse("/filter", "looks for events, whatever became of them: leave reason, settled and dismissed out")
    if asked.reroute and replace(given, target=None, route=None) == Which():
        raise _misuse("/filter", "say how far back: give since, or another filter of events")
    if asked.unrouted and (asked.ids or given.state or given.target or given.route):
        raise _misuse("/unrouted", "looks for events: it takes neither ids nor state, target and route")
    if not (narrowed or asked.all_dead or asked.unrouted):
        raise _misuse("/filter", "say which: give ids, a filter like target or since, unrouted or all_dead")


def _says_more(wanted: Filter) -> bool:
    """Whether a filter says more of deliveries than their target and route."""
    return replace(wanted, states=(), target=None, route=None) != wanted.of_events()


def _misuse(pointer: str, detail: str) -> InvalidParameters:
    return InvalidParameters(Fault(pointer=pointer, detail=detail))


def _document(desk: Desk, asked: Replays, wanted: Filter, done: Replayed, notes: list[str]) -> ReplayDocument:
    config, total = desk.config_or_none(), done.targets.total()
    pending = State.PENDING in wanted.states and not asked.dry_run
    return ReplayDocument(
        dry_run=asked.dry_run,
        targets=dict(sorted(done.targets.items())),
        total=total,
        done=done.done,
        left=max(total - done.done, 0) if pending else 0,
        probed=done.probed,
        orphaned=tuple(sorted(name for name in done.targets if config and name not in config.targets)),
        events=done.rerouted.events,
        unrouted=done.rerouted.unrouted,
        corrupt=done.rerouted.corrupt,
        notes=tuple(notes),
    )


REPLAYS = Operation(
    name="replay",
    method="POST",
    path="/replays",
    role=Role.OPERATOR,
    parameters=Replays,
    document=ReplayDocument,
    run=replays,
    summary="Make dead, delivered or scheduled deliveries due now, or give stored events those that they lack.",
    long=True,
)
