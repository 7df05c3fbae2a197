"""A finding and the status -> what its texts quote: how many, for how long, of which file and why."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePath
from typing import Any

from relay.operations.documents.activity import SourceDocument
from relay.operations.documents.status import StatusDocument, TargetDocument
from relay.operations.failing import how_it_fails
from relay.operations.finding_texts import Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`count` of a kind that counts, `age` of one that lasts, `why` a target fails or the `file` was refused."""

    count: int = 0
    age: timedelta = timedelta()
    file: str = ""
    why: str = ""


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
        case Kind.FILE_REFUSED:
            return _of_files(seen)
    target = next((each for each in seen.targets if each.target == subject), None)
    return _of_target(kind, target, seen) if target else Measure()


def _of_files(seen: StatusDocument) -> Measure:
    """Of what was refused; if only something beside the files has changed, the file is the one in force."""
    report: Mapping[str, Any] = seen.files if isinstance(seen.files, dict) else {}
    refused: Mapping[str, Any] = next(iter(report.get("refused", ())), {})
    files = [PurePath(each["file"]).name for each in (*refused.get("files", ()), *report.get("loaded", ()))]
    at = datetime.fromisoformat(refused["at"]) if "at" in refused else seen.at
    return Measure(
        age=seen.at - at, file=next(iter(files), "the routes file"), why=next(iter(refused.get("problems", ())), "")
    )


def _of_target(kind: str, target: TargetDocument, seen: StatusDocument) -> Measure:
    match kind:
        case Kind.PAUSED if target.paused:
            return Measure(age=seen.at - target.paused.at)
        case Kind.CIRCUIT_OPEN if target.breaker:
            return Measure(age=seen.at - target.breaker.since, why=how_it_fails(target.breaker.error))
        case Kind.FAILING if target.breaker:
            return Measure(why=how_it_fails(target.breaker.error))
        case Kind.OVERDUE if target.oldest_at:
            return Measure(count=target.pending, age=seen.at - target.oldest_at)
        case Kind.ORPHANED:
            return Measure(count=target.pending)
        case Kind.DEAD:
            return Measure(count=target.dead)
    return Measure()
