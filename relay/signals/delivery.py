"""Attempts, claims and circuits, as `relay.delivery` announces them."""

from datetime import datetime, timedelta
from typing import TypeAlias

from relay.model import Delivery, Outcome, Verdict, frozen


@frozen
class Attempted:
    """An attempt was made, and recorded in the store. `lag`: arrival to its end; None if the claim was lost."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    lag: timedelta | None


@frozen
class ClaimLost:
    """An attempt is recorded, and its delivery untouched: the claim token was no longer the present one."""

    target: str
    event: str
    attempt: int


@frozen
class BatchDivided:
    """A request with several `deliveries` was rejected in a way that one of them may have caused: each half goes again.

    It is an attempt of none of them. `webhook_id`: the one that the request had.
    """

    target: str
    webhook_id: str
    deliveries: int
    outcome: Outcome


@frozen
class CircuitOpened:
    """A target failed too often or asked for a pause: only a probe is sent to it, from `probe_at` on.

    `failures`: attempts in a row that failed, None if none did. `detail`: the outcome of the last one.
    """

    target: str
    failures: int | None
    probe_at: datetime | None
    detail: str


@frozen
class CircuitClosed:
    """A circuit closed: every delivery may be sent to it. `detail`: why, if it is not that the target answered."""

    target: str
    failures: int | None
    detail: str | None = None


@frozen
class TokenFetched:
    """An access token of a target was fetched; `life`: how long it is used, None if until a 401.

    `detail`: what was odd about the answer.
    """

    target: str
    took: timedelta
    life: timedelta | None
    detail: str | None


@frozen
class TokenNotRenewed:
    """The access token of a target ends soon, and no other could be fetched; `detail`: why."""

    target: str
    detail: str


DeliverySignal: TypeAlias = (
    Attempted | ClaimLost | BatchDivided | CircuitOpened | CircuitClosed | TokenFetched | TokenNotRenewed
)
