"""A status -> whether a person is needed, in one line: for monitors that know exit codes and no metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from relay.model import Health
from relay.operations.documents.status import StatusDocument, TargetDocument
from relay.operations.durations import ago, length

OVERDUE = timedelta(minutes=15)
"""A delivery that is pending for longer is not merely on its way; that of a paused target waits for a person."""


class Level(IntEnum):
    """The exit codes that Nagios and its kin know."""

    OK = 0
    WARNING = 1
    CRITICAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is not as it should be."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The worst level, and one line: what is wrong, the worst first, else what is well."""

    level: Level
    line: str


def judge(seen: StatusDocument) -> Verdict:
    """CRITICAL: webhooks or deliveries do not get through. WARNING: somebody should look, and nothing is lost yet."""
    found = sorted((*_of_relay(seen), *_of_targets(seen)), key=lambda each: -each.level)
    level = found[0].level if found else Level.OK
    said = "; ".join(each.text for each in found) if found else _well(seen)
    return Verdict(level=level, line=f"{level.name}: {said}")


def failed(why: str) -> Verdict:
    """The store cannot be asked."""
    return Verdict(level=Level.CRITICAL, line=f"CRITICAL: {' '.join(why.split())}")


def _well(seen: StatusDocument) -> str:
    last = seen.webhooks.last_at
    webhook = "no webhook yet" if last is None else f"last webhook {ago(seen.at - last)}"
    pending = sum(each.pending for each in seen.targets)
    return f"{len(seen.targets)} targets, {pending} pending, {webhook}"


def _of_relay(seen: StatusDocument) -> Iterator[Finding]:
    if seen.daemon is None:
        yield Finding(level=Level.CRITICAL, text="no daemon runs")
    if lost := seen.webhooks.lost:
        yield Finding(level=Level.CRITICAL, text=f"at most {lost} webhooks are missing that were answered 200")
    if seen.stranded:
        yield Finding(level=Level.CRITICAL, text=f"{seen.stranded} webhooks in spools of relays that are gone")
    if seen.disk and seen.disk.low:
        yield Finding(level=Level.WARNING, text="the disk of the store is nearly full")
    if seen.webhooks.unparsed:
        yield Finding(level=Level.WARNING, text=f"{seen.webhooks.unparsed} unparsed")
    if seen.configs > 1:
        yield Finding(level=Level.WARNING, text="relays have different routes")
    if isinstance(seen.files, dict) and seen.files.get("refused"):
        yield Finding(level=Level.WARNING, text="a newer routes file is refused")


def _of_targets(seen: StatusDocument) -> Iterator[Finding]:
    for target in seen.targets:
        if finding := _of_target(target, seen):
            yield finding
        if target.dead:
            yield Finding(level=Level.WARNING, text=f"{target.target}: {target.dead} dead")


def _of_target(target: TargetDocument, seen: StatusDocument) -> Finding | None:
    name, running = target.target, seen.daemon is not None
    waits = seen.at - target.oldest_at if target.oldest_at else timedelta()
    if target.paused:
        return Finding(level=Level.WARNING, text=f"{name}: paused {ago(seen.at - target.paused.at)}")
    if target.pending and target.in_routes is False:
        return Finding(level=Level.WARNING, text=f"{name}: {target.pending} pending, and not in the routes")
    report = target.breaker
    if running and report and report.state is not Health.OK and not target.idle:
        return Finding(level=Level.CRITICAL, text=f"{name}: circuit open {ago(seen.at - report.since)}")
    if waits > OVERDUE:
        return Finding(level=Level.CRITICAL, text=f"{name}: {target.pending} pending, the oldest for {length(waits)}")
    if running and report and report.error:
        return Finding(level=Level.WARNING, text=f"{name}: failing")
    return None
