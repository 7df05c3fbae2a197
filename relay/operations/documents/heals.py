"""What healing found, and what is done about it."""

from dataclasses import dataclass
from typing import Annotated

from relay.model import HealMode
from relay.model.heal import Exactness, HealState
from relay.operations.documents.marks import PERSONAL, AnyJson, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class NotHealedDocument:
    """Types of events that routes take and no scan can heal, and why."""

    types: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealCountDocument:
    """So many changes of a kind, and the time of the newest of them."""

    action: str
    state: HealState
    exactness: Exactness | None
    reason: str
    number: int
    newest_at: Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceHealingDocument:
    """What is known of healing a source.

    `scanned_upto`: by lane, up to when amoCRM's history was read completely; `behind`: lists beside it that were not
    read as far. `held_since`: nothing later is decided. `waits_for`: what the next scan waits for. So many events are
    `waiting` for an approval, the first of them until `waiting_until`. `triggers`: of the digital pipeline, as heal.dp
    of the routes file has them.
    """

    source: str
    mode: HealMode
    scanned_upto: dict[str, Moment]
    approved_at: Moment | None
    held_since: Moment | None
    behind: dict[str, Moment | None]
    waits_for: str | None
    waiting: int
    waiting_until: Moment | None
    not_healed: tuple[NotHealedDocument, ...]
    found: tuple[HealCountDocument, ...]
    triggers: tuple[dict[str, AnyJson], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealingDocument:
    """Each source that heals."""

    sources: tuple[SourceHealingDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HealRunDocument:
    """A scan that was asked for. `answer`: what came of it, null until it is done; `error`: why it failed.

    `waits_for`: set if no relay runs that could do it now.
    """

    id: str
    source: str
    answer: AnyJson = None
    error: Annotated[str, PERSONAL] = ""
    waits_for: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedDocument:
    """So many events of the source are healed with the next scan."""

    source: str
    approved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardDocument:
    """The guard switches the webhook of the source on at its next look."""

    source: str
    resumed: bool
