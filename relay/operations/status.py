"""GET /status, /targets, /targets/{target}, `relay status`: the state of every target, of intake and of the daemon."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from relay.errors import NotFoundError
from relay.model import Health
from relay.model.subscription import GuardRecord
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.listing import Listing
from relay.operations.documents.status import (
    IntakeDocument,
    MisaddressedDocument,
    NamesDocument,
    SnapshotDocument,
    StatusDocument,
    SubscriptionDocument,
    TargetDocument,
    UnauthorizedDocument,
    breaker_document,
    deaths_document,
    disk_document,
    paused_document,
    relay_document,
)
from relay.operations.known_names import known_names
from relay.operations.which import LOOK, MAX_PAGE
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion
from relay.store.records import Filter, Status, TargetStatus

FILES = "files"
MISADDRESSED = "misaddressed"
UNAUTHORIZED = "unauthorized"
OLDEST_SNAPSHOT = "oldest_snapshot"
"""Names under which the running daemon publishes reports: its files, requests at wrong addresses, wrong tokens, and who
keeps PostgreSQL from vacuuming."""

PROMPT = timedelta(minutes=1)  # a delivery that is pending for less may be on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Everything:
    """Nothing to choose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneTarget:
    """The name of a target."""

    target: str


async def status(desk: Desk, _asked: Everything) -> StatusDocument:
    """Show every target that the routes in force name or the store has something of, and what stands around them."""
    found, config = await desk.store.status(), desk.config_or_none()
    known = await _known(desk, config)
    shown = status_document(found, now=desk.now(), routed=config.targets if config else None, known=known)
    if config is None:
        return shown
    return replace(shown, subscriptions=watched(config, found), names=_names(config))


def watched(config: Config, found: Status) -> dict[str, SubscriptionDocument]:
    """What is known of the webhooks in amoCRM; one that is not watched any more is not looked at again."""
    return {name: _subscription(each) for name, each in found.guards.items() if _guards(config, name)}


def _guards(config: Config, source: str) -> bool:
    return source in config.sources and config.sources[source].guard is not None


async def _known(desk: Desk, config: Config | None) -> Collection[str]:
    """The targets of the routes, or else of the newest deliveries: no index has the names of all."""
    if config:
        return config.targets
    return {each.target for each in await desk.store.find(Filter(), limit=MAX_PAGE, budget=LOOK)}


def status_document(
    found: Status, *, now: datetime, routed: Collection[str] | None, known: Collection[str] = ()
) -> StatusDocument:
    """The document of a status; `known`: targets beside those of the store, `routed`: None if that is unknown."""
    files = found.reports.get(FILES)
    return StatusDocument(
        at=now,
        targets=_targets(found, now, routed, known),
        webhooks=_intake(found),
        disk=disk_document(found.disk) if found.disk else None,
        daemon=found.owner,
        relays=tuple(relay_document(each) for each in found.relays),
        files=files.value if files and found.owner is not None else None,
        files_by=files.relay if files else "",
        oldest_snapshot=_oldest_snapshot(found),
        subscriptions={name: _subscription(each) for name, each in found.guards.items()},
        names=None,
    )


async def targets(desk: Desk, _asked: Everything) -> Listing[TargetDocument]:
    """List the targets alone."""
    found, config = await desk.store.status(), desk.config_or_none()
    known = await _known(desk, config)
    return Listing(data=_targets(found, desk.now(), config.targets if config else None, known))


async def target(desk: Desk, asked: OneTarget) -> TargetDocument:
    """Show one target; NotFoundError with a suggestion for a name that nothing knows."""
    every = {each.target: each for each in (await targets(desk, Everything())).data}
    if asked.target not in every:
        raise NotFoundError(f"no target {quoted(asked.target)} {suggestion(asked.target, sorted(every))}")
    return every[asked.target]


def _targets(
    found: Status, now: datetime, routed: Collection[str] | None, known: Collection[str]
) -> tuple[TargetDocument, ...]:
    names = sorted({*found.targets, *known})
    return tuple(_target(name, found.targets.get(name, TargetStatus()), found, routed, now) for name in names)


def _target(
    name: str, target: TargetStatus, found: Status, routed: Collection[str] | None, now: datetime
) -> TargetDocument:
    running = found.owner is not None
    return TargetDocument(
        target=name,
        pending=target.pending,
        dead=target.dead,
        deaths=deaths_document(target.deaths) if target.deaths else None,
        oldest_at=target.oldest_at,
        paused=paused_document(target.pause) if target.pause else None,
        breaker=breaker_document(target.condition, running=running) if target.condition else None,
        breakers={relay: breaker_document(each, running=running) for relay, each in target.conditions.items()},
        in_routes=None if routed is None else name in routed,
        idle=running and _is_idle(target, now),
    )


def _is_idle(target: TargetStatus, now: datetime) -> bool:
    """Whether a circuit is open only because no delivery comes to close it: its pause is over, and none waits.

    Where relays share the store, others may deliver well to that target.
    """
    report = target.condition
    if report is None or report.health is not Health.OPEN or report.probe_at is None:
        return False
    well = any(each.health is Health.OK for each in target.conditions.values())
    young = target.oldest_at is None or (well and now - target.oldest_at < PROMPT)
    return report.probe_at <= now and young


# ---- what stands around the targets


def _intake(found: Status) -> IntakeDocument:
    return IntakeDocument(
        last_at=found.last_at,
        unparsed=found.unparsed,
        unrouted=found.unrouted,
        misaddressed=MisaddressedDocument(**_rejections(found, MISADDRESSED, "address", "detail")),
        unauthorized=UnauthorizedDocument(**_rejections(found, UNAUTHORIZED, "detail", "remote")),
        lost=sum(loss.count for loss in found.losses),
    )


def _rejections(found: Status, name: str, *of_the_last: str) -> dict[str, Any]:
    report = found.reports.get(name)
    value: Mapping[str, Any] = report.value if report and isinstance(report.value, dict) else {}
    times = {key: _instant(value.get(key)) for key in ("since", "last_at")}
    return {"count": value.get("count", 0), **times, **{key: value.get(key) for key in of_the_last}}


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _oldest_snapshot(found: Status) -> SnapshotDocument | None:
    """None if no relay runs, or none has seen for minutes what keeps PostgreSQL from vacuuming."""
    report = found.reports.get(OLDEST_SNAPSHOT)
    value = report.value if report and found.owner is not None else None
    if not isinstance(value, dict) or not value:
        return None
    return SnapshotDocument(by=str(value["by"]), since=datetime.fromisoformat(str(value["since"])))


def _subscription(record: GuardRecord) -> SubscriptionDocument:
    return SubscriptionDocument(
        state=record.state,
        since=record.since,
        checked_at=record.checked_at,
        detail=record.detail,
        guarded=not record.off,
    )


def _names(config: Config) -> NamesDocument:
    known = known_names(config)
    return NamesDocument(as_of=dict(known.as_of), outdated=known.outdated, stopped_routes=dict(known.stopped))


STATUS = Operation(
    name="status",
    method="GET",
    path="/status",
    role=Role.VIEWER,
    parameters=Everything,
    document=StatusDocument,
    run=status,
    summary="Show the state of every target, of intake and of the relays.",
)

TARGETS = Operation(
    name="targets",
    method="GET",
    path="/targets",
    role=Role.VIEWER,
    parameters=Everything,
    document=Listing[TargetDocument],
    run=targets,
    summary="List the targets, their state and backlog.",
)

TARGET = Operation(
    name="target",
    method="GET",
    path="/targets/{target}",
    role=Role.VIEWER,
    parameters=OneTarget,
    document=TargetDocument,
    run=target,
    summary="Show a target, its state and backlog.",
)
