"""A status -> what is not as it should be, the worst first, each with what to do; and in one line, for monitors.

The one judgement: `relay status --check`, `relay overview` and the console say the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum, StrEnum

from relay.model import Health
from relay.model.subscription import SubscriptionState
from relay.operations.documents.activity import SourceDocument
from relay.operations.documents.status import StatusDocument, SubscriptionDocument, TargetDocument
from relay.operations.durations import ago, length

OVERDUE = timedelta(minutes=15)
"""A delivery that is pending for longer is not merely on its way; that of a paused target waits for a person."""


class Level(IntEnum):
    """The exit codes that Nagios and its kin know."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


class Kind(StrEnum):
    """What is wrong."""

    NO_DAEMON = "no_daemon"
    MISSING = "missing"
    STRANDED = "stranded"
    DISK = "disk"
    UNPARSED = "unparsed"
    ROUTES_DIFFER = "routes_differ"
    FILE_REFUSED = "file_refused"
    ROUTE_STOPPED = "route_stopped"
    SUBSCRIPTION = "subscription"
    FAILED_ANSWERS = "failed_answers"
    PAUSED = "paused"
    ORPHANED = "orphaned"
    CIRCUIT_OPEN = "circuit_open"
    OVERDUE = "overdue"
    FAILING = "failing"
    DEAD = "dead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be, of a target, a source or a route if one is named; `advice`: what to do."""

    level: Level
    kind: Kind
    text: str
    advice: str
    target: str = ""
    source: str = ""
    route: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The worst level, and one line: what is wrong, the worst first, else what is well."""

    level: Level
    line: str
    findings: tuple[Finding, ...] = ()

    @property
    def text(self) -> str:
        """The line that monitors show: `WARNING: crm: 3 dead`."""
        return f"{self.level.name}: {self.line}"


def judge(seen: StatusDocument, sources: Sequence[SourceDocument] = ()) -> Verdict:
    """CRITICAL: webhooks or deliveries do not get through. WARNING: somebody should look, and nothing is lost yet."""
    every = (*_of_relay(seen), *_of_sources(seen, sources), *_of_targets(seen))
    found = tuple(sorted(every, key=lambda each: -each.level))
    line = "; ".join(each.text for each in found) if found else _well(seen)
    return Verdict(level=found[0].level if found else Level.OK, line=line, findings=found)


def failed(why: str) -> Verdict:
    """The store cannot be asked."""
    return Verdict(level=Level.CRITICAL, line=" ".join(why.split()))


def _well(seen: StatusDocument) -> str:
    last = seen.webhooks.last_at
    webhook = "no webhook yet" if last is None else f"last webhook {ago(seen.at - last)}"
    pending = sum(each.pending for each in seen.targets)
    return f"{len(seen.targets)} targets, {pending} pending, {webhook}"


# ---- the relay


def _of_relay(seen: StatusDocument) -> Iterator[Finding]:
    if seen.daemon is None:
        yield Finding(
            level=Level.CRITICAL,
            kind=Kind.NO_DAEMON,
            text="no daemon runs",
            advice="start relay run, or its service; the end of its log says why it stopped",
        )
    if lost := seen.webhooks.lost:
        yield Finding(
            level=Level.CRITICAL,
            kind=Kind.MISSING,
            text="at most 1 webhook is missing that was answered 200"
            if lost == 1
            else f"at most {lost} webhooks are missing that were answered 200",
            advice="relay verify says since when; put the newer database back, then relay verify --accept-loss",
        )
    if seen.stranded:
        yield Finding(
            level=Level.CRITICAL,
            kind=Kind.STRANDED,
            text=f"{seen.stranded} webhook{'s' * (seen.stranded != 1)} in spools of relays that are gone",
            advice="start that relay again, or relay spool drain FILE where its spool is",
        )
    if seen.disk and seen.disk.low:
        yield Finding(
            level=Level.WARNING,
            kind=Kind.DISK,
            text="the disk of the store is nearly full",
            advice="free space on that file system; never delete relay.db-wal",
        )
    if seen.webhooks.unparsed:
        yield Finding(
            level=Level.WARNING,
            kind=Kind.UNPARSED,
            text=f"{seen.webhooks.unparsed} unparsed",
            advice="relay list --unparsed says why; relay reparse after an upgrade, or relay dismiss ID",
        )
    yield from _of_routes(seen)


def _of_routes(seen: StatusDocument) -> Iterator[Finding]:
    if seen.configs > 1:
        yield Finding(
            level=Level.WARNING,
            kind=Kind.ROUTES_DIFFER,
            text="relays have different routes",
            advice="give each relay the same routes file; relay status lists them",
        )
    if isinstance(seen.files, dict) and seen.files.get("refused"):
        yield Finding(
            level=Level.WARNING,
            kind=Kind.FILE_REFUSED,
            text="a newer routes file is refused",
            advice="relay status quotes what is wrong with it; relay check before it is saved",
        )
    for route, why in (seen.names.stopped_routes if seen.names else {}).items():
        yield Finding(
            level=Level.WARNING,
            kind=Kind.ROUTE_STOPPED,
            text=f"route {route} is stopped",
            advice=f"{why}; what it may take waits until then",
            route=route,
        )


# ---- sources


def _of_sources(seen: StatusDocument, sources: Sequence[SourceDocument]) -> Iterator[Finding]:
    for name, subscription in seen.subscriptions.items():
        if finding := _of_subscription(name, subscription):
            yield finding
    for each in sources:
        if each.failed_2h * 2 >= each.most_failed:
            yield Finding(
                level=Level.CRITICAL if each.failed_2h >= each.most_failed else Level.WARNING,
                kind=Kind.FAILED_ANSWERS,
                text=f"{each.source}: {each.failed_2h} failed answers in 2 h",
                advice="relay list --refused says why; look in amoCRM whether the webhook is still on",
                source=each.source,
            )


def _of_subscription(source: str, seen: SubscriptionDocument) -> Finding | None:
    """What is unknown, or away for a while, is nothing to look at; a webhook that was disconnected is left alone."""
    fine = (None, SubscriptionState.OK, SubscriptionState.API_AWAY)
    if seen.state in fine or not seen.guarded:
        return None
    gone = seen.state in (SubscriptionState.DISABLED, SubscriptionState.MISSING)
    return Finding(
        level=Level.CRITICAL if gone else Level.WARNING,
        kind=Kind.SUBSCRIPTION,
        text=f"{source}: webhook in amoCRM {str(seen.state).replace('_', ' ')}",
        advice=seen.detail or f"relay connect {source}",
        source=source,
    )


# ---- targets


def _of_targets(seen: StatusDocument) -> Iterator[Finding]:
    for target in seen.targets:
        if finding := _of_target(target, seen):
            yield finding
        if target.dead:
            yield Finding(
                level=Level.WARNING,
                kind=Kind.DEAD,
                text=f"{target.target}: {target.dead} dead",
                advice=f"mend the target, then relay replay --state dead --target {target.target}; or relay dismiss",
                target=target.target,
            )


def _of_target(target: TargetDocument, seen: StatusDocument) -> Finding | None:
    name, running = target.target, seen.daemon is not None
    waits = seen.at - target.oldest_at if target.oldest_at else timedelta()
    if target.paused:
        return Finding(
            level=Level.WARNING,
            kind=Kind.PAUSED,
            text=f"{name}: paused {ago(seen.at - target.paused.at)}",
            advice=f"relay resume {name}, once the reason is gone",
            target=name,
        )
    if target.pending and target.in_routes is False:
        return Finding(
            level=Level.WARNING,
            kind=Kind.ORPHANED,
            text=f"{name}: {target.pending} pending, and not in the routes",
            advice=f"put it back into the routes file, or relay drop --target {name}",
            target=name,
        )
    report = target.breaker
    if running and report and report.state is not Health.OK and not target.idle:
        return Finding(
            level=Level.CRITICAL,
            kind=Kind.CIRCUIT_OPEN,
            text=f"{name}: circuit open {ago(seen.at - report.since)}",
            advice="mend the target, or its url in the routes file: nothing is lost, and the backlog follows by itself",
            target=name,
        )
    if waits > OVERDUE:
        return Finding(
            level=Level.CRITICAL,
            kind=Kind.OVERDUE,
            text=f"{name}: {target.pending} pending, the oldest for {length(waits)}",
            advice=f"relay list --state pending --target {name} says what they wait for",
            target=name,
        )
    if running and report and report.error:
        return Finding(
            level=Level.WARNING,
            kind=Kind.FAILING,
            text=f"{name}: failing",
            advice=f"relay attempts --failed --target {name} says what it answers",
            target=name,
        )
    return None
