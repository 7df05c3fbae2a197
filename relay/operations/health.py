"""A status -> findings: what is not as it should be, the worst first, with what to do; and one line, for monitors.

The one judgement: `relay status --check`, `relay overview` and the console say the same.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum
from typing import NamedTuple

from relay.model import Health
from relay.model.subscription import SubscriptionState
from relay.operations.documents.activity import SourceDocument
from relay.operations.documents.status import StatusDocument, SubscriptionDocument, TargetDocument
from relay.operations.durations import ago, length
from relay.operations.finding_measures import measured
from relay.operations.finding_texts import TEXTS, Kind
from relay.operations.translatable import Plural

OVERDUE = timedelta(minutes=15)
"""A delivery that is pending for longer is not merely on its way; that of a paused target waits for a person."""


class Level(IntEnum):
    """The exit codes that Nagios and its kin know."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


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
    found = tuple(_finding(each, seen, sources) for each in sorted(every, key=lambda each: -each.level))
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


# ---- what is wrong


class _Judgement(NamedTuple):
    """A finding without its texts: how bad, of what kind, and of what."""

    level: Level
    kind: Kind
    target: str = ""
    source: str = ""
    route: str = ""


def _of_relay(seen: StatusDocument) -> Iterator[_Judgement]:
    if seen.daemon is None:
        yield _Judgement(Level.CRITICAL, Kind.NO_DAEMON)
    if seen.webhooks.lost:
        yield _Judgement(Level.CRITICAL, Kind.MISSING)
    if seen.stranded:
        yield _Judgement(Level.CRITICAL, Kind.STRANDED)
    if seen.disk and seen.disk.low:
        yield _Judgement(Level.WARNING, Kind.DISK)
    if seen.webhooks.unparsed:
        yield _Judgement(Level.WARNING, Kind.UNPARSED)
    if seen.configs > 1:
        yield _Judgement(Level.WARNING, Kind.ROUTES_DIFFER)
    if isinstance(seen.files, dict) and seen.files.get("refused"):
        yield _Judgement(Level.WARNING, Kind.FILE_REFUSED)
    for route in seen.names.stopped_routes if seen.names else ():
        yield _Judgement(Level.WARNING, Kind.ROUTE_STOPPED, route=route)


def _of_sources(seen: StatusDocument, sources: Sequence[SourceDocument]) -> Iterator[_Judgement]:
    for name, subscription in seen.subscriptions.items():
        if level := _of_subscription(subscription):
            yield _Judgement(level, Kind.SUBSCRIPTION, source=name)
    for each in sources:
        if each.failed_2h * 2 >= each.most_failed:
            level = Level.CRITICAL if each.failed_2h >= each.most_failed else Level.WARNING
            yield _Judgement(level, Kind.FAILED_ANSWERS, source=each.source)


def _of_subscription(seen: SubscriptionDocument) -> Level:
    """What is unknown, or away for a while, is nothing to look at; a webhook that was disconnected is left alone."""
    fine = (None, SubscriptionState.OK, SubscriptionState.API_AWAY)
    if seen.state in fine or not seen.guarded:
        return Level.OK
    gone = seen.state in (SubscriptionState.DISABLED, SubscriptionState.MISSING)
    return Level.CRITICAL if gone else Level.WARNING


def _of_targets(seen: StatusDocument) -> Iterator[_Judgement]:
    for each in seen.targets:
        if found := _of_target(each, seen):
            yield _Judgement(*found, target=each.target)
        if each.dead:
            yield _Judgement(Level.WARNING, Kind.DEAD, target=each.target)


def _of_target(target: TargetDocument, seen: StatusDocument) -> tuple[Level, Kind] | None:
    running, report = seen.daemon is not None, target.breaker
    waits = seen.at - target.oldest_at if target.oldest_at else timedelta()
    if target.paused:
        return Level.WARNING, Kind.PAUSED
    if target.pending and target.in_routes is False:
        return Level.WARNING, Kind.ORPHANED
    if running and report and report.state is not Health.OK and not target.idle:
        return Level.CRITICAL, Kind.CIRCUIT_OPEN
    if waits > OVERDUE:
        return Level.CRITICAL, Kind.OVERDUE
    if running and report and report.error:
        return Level.WARNING, Kind.FAILING
    return None


# ---- in words


def _finding(judgement: _Judgement, seen: StatusDocument, sources: Sequence[SourceDocument]) -> Finding:
    level, kind, target, source, route = judgement
    texts, measure = TEXTS[kind], measured(kind, target or source, seen, sources)
    line = texts.line.of(measure.count) if isinstance(texts.line, Plural) else texts.line
    values = {
        "name": target or source or route or measure.file,
        "count": measure.count,
        "age": length(measure.age),
        "ago": ago(measure.age),
        "why": measure.why,
        **_of_account(judgement, seen),
    }
    subject = f"{target or source}: " if target or source else ""
    return Finding(
        level=level,
        kind=kind,
        text=subject + line.format(**values),
        advice=texts.advice.format(**values),
        target=target,
        source=source,
        route=route,
    )


def _of_account(judgement: _Judgement, seen: StatusDocument) -> dict[str, str]:
    """What only English texts say: the state of a webhook in amoCRM, and why it, or a route, is as it is."""
    match judgement.kind:
        case Kind.SUBSCRIPTION:
            found = seen.subscriptions[judgement.source]
            state = str(found.state).replace("_", " ")
            return {"state": state, "why": found.detail or f"relay connect {judgement.source}"}
        case Kind.ROUTE_STOPPED if seen.names:
            return {"why": seen.names.stopped_routes[judgement.route]}
    return {}
