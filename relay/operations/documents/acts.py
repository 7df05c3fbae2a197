"""Acts: what is in the audit, and how far one is that takes long."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from relay.operations.documents.deliveries import DeliveryDocument
from relay.operations.documents.listing import Listing
from relay.operations.documents.marks import PERSONAL, AnyJson, Moment
from relay.store.records import AuditEntry


class ActState(StrEnum):
    """`interrupted`: the relay ended in its midst. `stopped`: somebody stopped it, what was done stays.

    In either case the same act, with the same `Idempotency-Key`, goes on.
    """

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDocument:
    """A line of the audit. `details`: what was asked, `asked` the same in a line; `count`: of how many things."""

    id: str
    at: Moment
    who: str
    command: str
    details: dict[str, AnyJson]
    asked: str
    count: int


def audit_document(entry: AuditEntry) -> AuditDocument:
    """The document of an audit entry."""
    return AuditDocument(
        id=entry.id,
        at=entry.at,
        who=entry.who,
        command=entry.command,
        details=dict(entry.details),
        asked=entry.asked,
        count=entry.count,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ActDocument:
    """An act that takes long. `count`: how many things it has concerned so far; `asked`: what the audit has of it.

    `document`: what it answers once it is `done`, which only its relay knows, and not for ever; `problem`: why it
    `failed`. `relay`: the other one on the same store where it is under way. `dry_run`: it only counts.
    """

    act: str
    operation: str
    state: ActState
    began_at: Moment
    ended_at: Moment | None = None
    count: int | None = None
    document: Annotated[AnyJson, PERSONAL] = None
    problem: Annotated[AnyJson, PERSONAL] = None
    relay: str = ""
    who: str = ""
    asked: str = ""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedDocument:
    """The answer 202: `act` is to be looked for under /acts/{act}."""

    act: str


@dataclass(frozen=True, kw_only=True)  # no slots: nor has what it extends
class ActDeliveriesDocument(Listing[DeliveryDocument]):
    """Deliveries of an act, and how many of all its deliveries are in each of the `states`; with `more` these and more.

    Those that were replayed again since belong to the later act alone.
    """

    states: dict[str, int]
    more: bool
