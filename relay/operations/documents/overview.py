"""Is all well, and if not, what is to be done: with all that stands around it."""

from dataclasses import dataclass
from typing import Literal

from relay.operations.documents.activity import ActivityDocument, SourceDocument
from relay.operations.documents.marks import Moment
from relay.operations.documents.status import StatusDocument

LevelName = Literal["ok", "warning", "critical"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingDocument:
    """One thing that is not as it should be; of a target, a source or a route if one is named. `advice`: what to do.

    `page`: the address in the console that shows it.
    """

    level: LevelName
    kind: str
    text: str
    advice: str
    target: str
    source: str
    route: str
    page: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewDocument:
    """The findings, as `problems`, the worst first, the `level` of the worst, and in one `line` what is wrong or well.

    `activity` is null if no daemon runs, or none has counted anything yet.
    """

    at: Moment
    level: LevelName
    line: str
    problems: tuple[FindingDocument, ...]
    status: StatusDocument
    sources: tuple[SourceDocument, ...]
    activity: ActivityDocument | None
