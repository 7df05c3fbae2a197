"""Attempts, as listings and webhooks show them."""

from dataclasses import dataclass
from typing import Annotated

from relay.model import State
from relay.operations.documents.marks import PERSONAL, Moment
from relay.store.question_records import MadeAttempt
from relay.store.records import AttemptRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDocument:
    """One attempt: `took` is in seconds, `detail` the error, or what the target answered."""

    number: int
    started_at: Moment
    verdict: str
    reason: str
    status: int | None
    took: float
    detail: Annotated[str, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeAttemptDocument:
    """One attempt, with its delivery: the `state` is that of now, `received_at` the arrival of its event."""

    event: str
    type: str
    entity: str
    action: str
    entity_id: str
    received_at: Moment
    target: str
    routes: tuple[str, ...]
    state: State
    attempt: AttemptDocument


def attempt_document(record: AttemptRecord) -> AttemptDocument:
    """The document of a stored attempt."""
    return AttemptDocument(
        number=record.number,
        started_at=record.started_at,
        verdict=record.verdict,
        reason=record.reason,
        status=record.status,
        took=record.took.total_seconds(),
        detail=record.detail,
    )


def made_attempt_document(made: MadeAttempt) -> MadeAttemptDocument:
    """The document of an attempt in a listing of them."""
    return MadeAttemptDocument(
        event=made.delivery.event_id,
        type=made.delivery.type,
        entity=made.delivery.entity,
        action=made.delivery.action,
        entity_id=made.delivery.entity_id,
        received_at=made.delivery.received_at,
        target=made.delivery.target,
        routes=made.delivery.routes,
        state=made.delivery.state,
        attempt=attempt_document(made.attempt),
    )
