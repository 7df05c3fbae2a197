"""Deliveries, as listings and webhooks show them."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated

from relay.model import State
from relay.operations.documents.attempts import AttemptDocument, attempt_document
from relay.operations.documents.marks import PERSONAL, REASON, Moment
from relay.operations.next_step import Situation, in_flight, next_step
from relay.store.records import DeliveryRecord

NO_NAMES: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDocument:
    """A delivery without its attempts; `attempt` is the number of the last one.

    `in_flight`: an attempt has been under way for a second or more; null if no daemon runs. `why` it is dead;
    `next_step` says what happens to a pending one. `dismissed_at`: set if it is dead, and no longer counted. `raw`: an
    unparsed webhook, sent on as it came. `names`: what amoCRM calls the things in its event, as far as that is known;
    only in listings. `last_attempt`: the last one that was made, with its error.
    """

    event: str
    type: str
    entity: str
    action: str
    entity_id: str
    received_at: Moment
    target: str
    routes: tuple[str, ...]
    state: State
    claimed: bool
    in_flight: bool | None
    attempt: int
    replays: int
    due_at: Moment | None
    settled_at: Moment | None
    why: Annotated[str, REASON]
    next_step: str
    healed: bool
    raw: bool
    dismissed_at: Moment | None
    names: Annotated[dict[str, str], PERSONAL]
    last_attempt: AttemptDocument | None = None


def delivery_document(
    record: DeliveryRecord, situation: Situation, names: Mapping[str, str] = NO_NAMES
) -> DeliveryDocument:
    """The document of a stored delivery."""
    return DeliveryDocument(
        event=record.event_id,
        type=record.type,
        entity=record.entity,
        action=record.action,
        entity_id=record.entity_id,
        received_at=record.received_at,
        target=record.target,
        routes=record.routes,
        state=record.state,
        claimed=record.claimed,
        in_flight=in_flight(record, situation.status),
        attempt=record.attempt,
        replays=record.replays,
        due_at=record.due_at,
        settled_at=record.settled_at,
        why=record.why,
        next_step=next_step(record, situation) if record.state is State.PENDING else "",
        healed=record.healed,
        raw=record.raw,
        dismissed_at=record.dismissed_at,
        names=dict(names),
        last_attempt=attempt_document(record.last) if record.last else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class CountDocument:
    """How many deliveries there are; with `more` these and more.

    `searched_to`: the look ended by its budget there, and what arrived before that time is not counted.
    """

    count: int
    more: bool
    searched_to: Moment | None = None
