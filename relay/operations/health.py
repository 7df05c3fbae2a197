"""An overview -> whether a person is needed, in one line: for monitors that know exit codes and no metrics."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import IntEnum

from relay.model import Health
from relay.operations.durations import ago, length
from relay.operations.status import FILES, Overview
from relay.store.records import TargetStatus

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


def judge(seen: Overview) -> Verdict:
    """CRITICAL: webhooks or deliveries do not get through. WARNING: somebody should look, and nothing is lost yet."""
    found = sorted((*_of_relay(seen), *_of_targets(seen)), key=lambda each: -each.level)
    level = found[0].level if found else Level.OK
    said = "; ".join(each.text for each in found) if found else _well(seen)
    return Verdict(level=level, line=f"{level.name}: {said}")


def failed(why: str) -> Verdict:
    """The store cannot be asked."""
    return Verdict(level=Level.CRITICAL, line=f"CRITICAL: {' '.join(why.split())}")


def _well(seen: Overview) -> str:
    last = seen.status.last_at
    webhook = "no webhook yet" if last is None else f"last webhook {ago(seen.at - last)}"
    pending = sum(each.pending for each in seen.targets.values())
    return f"{len(seen.targets)} targets, {pending} pending, {webhook}"


def _of_relay(seen: Overview) -> Iterator[Finding]:
    status = seen.status
    if not seen.running:
        yield Finding(level=Level.CRITICAL, text="no daemon runs")
    if lost := sum(loss.count for loss in status.losses):
        yield Finding(level=Level.CRITICAL, text=f"at most {lost} webhooks are missing that were answered 200")
    if status.stranded:
        yield Finding(level=Level.CRITICAL, text=f"{status.stranded} webhooks in spools of relays that are gone")
    if status.disk and status.disk.scarce:
        yield Finding(level=Level.WARNING, text="the disk of the store is nearly full")
    if status.unparsed:
        yield Finding(level=Level.WARNING, text=f"{status.unparsed} unparsed")
    if status.configs > 1:
        yield Finding(level=Level.WARNING, text="relays have different routes")
    report = status.reports.get(FILES)
    if seen.running and report and isinstance(report.value, dict) and report.value.get("refused"):
        yield Finding(level=Level.WARNING, text="a newer routes file is refused")


def _of_targets(seen: Overview) -> Iterator[Finding]:
    for name, target in seen.targets.items():
        if finding := _of_target(name, target, seen):
            yield finding
        if target.dead:
            yield Finding(level=Level.WARNING, text=f"{name}: {target.dead} dead")


def _of_target(name: str, target: TargetStatus, seen: Overview) -> Finding | None:
    waits = seen.at - target.oldest_at if target.oldest_at else timedelta()
    if target.pause:
        return Finding(level=Level.WARNING, text=f"{name}: paused {ago(seen.at - target.pause.at)}")
    if target.pending and seen.in_routes(name) is False:
        return Finding(level=Level.WARNING, text=f"{name}: {target.pending} pending, and not in the routes")
    report = target.condition
    if seen.running and report and report.health is not Health.OK and not seen.idle(target):
        return Finding(level=Level.CRITICAL, text=f"{name}: circuit open {ago(seen.at - report.since)}")
    if waits > OVERDUE:
        return Finding(level=Level.CRITICAL, text=f"{name}: {target.pending} pending, the oldest for {length(waits)}")
    if seen.running and report and report.error:
        return Finding(level=Level.WARNING, text=f"{name}: failing")
    return None
