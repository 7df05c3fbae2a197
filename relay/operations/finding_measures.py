"""A finding and the status -> the figures in its texts: how many, and for how long."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from relay.operations.documents.activity import SourceDocument
from relay.operations.documents.status import StatusDocument, TargetDocument
from relay.operations.finding_texts import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`count` of a kind that counts, `age` of one that lasts."""

    count: int = 0
    age: timedelta = timedelta()


def measured(kind: str, subject: str, seen: StatusDocument, sources: Sequence[SourceDocument]) -> Measure:
    """Measure a finding of this kind; `subject`: the name of its target or source, if it has one."""
    match kind:
        case Kind.MISSING:
            return Measure(count=seen.webhooks.lost)
        case Kind.STRANDED:
            return Measure(count=seen.stranded)
        case Kind.UNPARSED:
            return Measure(count=seen.webhooks.unparsed)
        case Kind.FAILED_ANSWERS:
            return Measure(count=next((each.failed_2h for each in sources if each.source == subject), 0))
    target = next((each for each in seen.targets if each.target == subject), None)
    return _of_target(kind, target, seen) if target else Measure()


def _of_target(kind: str, target: TargetDocument, seen: StatusDocument) -> Measure:
    match kind:
        case Kind.PAUSED if target.paused:
            return Measure(age=seen.at - target.paused.at)
        case Kind.CIRCUIT_OPEN if target.breaker:
            return Measure(age=seen.at - target.breaker.since)
        case Kind.OVERDUE if target.oldest_at:
            return Measure(count=target.pending, age=seen.at - target.oldest_at)
        case Kind.ORPHANED:
            return Measure(count=target.pending)
        case Kind.DEAD:
            return Measure(count=target.dead)
    return Measure()
