"""Store: what every store promises. The docstrings are the promises, and `tests/store/test_contract.py` holds them.

Times are arguments, aware UTC, kept to the millisecond. Every verb may raise `StoreBusy` (not done, or not known
to be done: repeat it with the same ids) and `StoreFailed` (stop).
"""

from asyncio import Future
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from relay.model import Delivery, Outcome, Routed, State, Verdict, Webhook


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which deliveries: all conditions that are given must hold. `since` is included, `until` is not."""

    event_ids: tuple[str, ...] = ()
    states: tuple[State, ...] = ()
    target: str | None = None
    route: str | None = None
    entity: str | None = None
    action: str | None = None
    entity_id: str | None = None
    pipeline_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How one target stands. `oldest_at` is the arrival of its oldest pending delivery."""

    pending: int = 0
    dead: int = 0
    oldest_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """What came in. `last_at` is the arrival of the newest webhook, None before the first."""

    last_at: datetime | None = None
    unparsed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRecord:
    """One attempt that was made. `verdict` is delivered, retry or dead."""

    number: int
    started_at: datetime
    took: timedelta
    verdict: str
    reason: str
    status: int | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """A delivery as it stands. `due_at` is None unless it waits for a time; `why` is said of the dead."""

    seq: int
    event_id: str
    entity: str
    action: str
    entity_id: str
    received_at: datetime
    target: str
    routes: tuple[str, ...]
    state: State
    claimed: bool
    attempt: int
    replays: int
    due_at: datetime | None
    settled_at: datetime | None
    why: str
    attempts: tuple[AttemptRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event as it was kept: its JSON, and what became of it."""

    id: str
    payload: bytes
    deliveries: tuple[DeliveryRecord, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookRecord:
    """A webhook with all that came of it."""

    webhook: Webhook
    events: tuple[EventRecord, ...]


class Store(Protocol):
    """What must not be lost. The attempt number is the fencing token: given out by `claim`, checked by `settle`."""

    def keep(
        self, webhook: Webhook, routed: Sequence[Routed], *, now: datetime | None = None
    ) -> Future[list[Delivery]]:
        """Done once the webhook, its events and their deliveries are on disk, all in one commit.

        The result are the deliveries born claimed. Kept twice under one id is kept once, and then nothing is
        claimed; but an unparsed webhook that is kept again with events gets them, and is unparsed no more.
        Deliveries are due, and their policy begins, at `now`: the webhook's arrival unless given.
        """
        ...

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        """At most `limit` due deliveries of `target`, the longest due first, each with its next attempt number.

        Nobody else gets them before `now + lease`. At least one comes if one is due; more only while their
        payloads stay within `max_bytes`. Of those that share a key only the oldest pending one is ever due.
        """
        ...

    async def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> bool:
        """Record the attempt and what follows. False, and the delivery is untouched, if it is no longer ours."""
        ...

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> None:
        """Give claimed deliveries back unattempted: due at once, their attempt not counted."""
        ...

    async def due(self, targets: Sequence[str]) -> Mapping[str, datetime]:
        """For each of `targets` that has unclaimed pending deliveries with a due time: the earliest one."""
        ...

    async def backlog(self) -> Mapping[str, Backlog]:
        """Every target that has pending or dead deliveries, also those that no routes file names any more."""
        ...

    async def intake(self) -> Intake:
        """The newest webhook's arrival, and how many are unparsed."""
        ...

    async def find(self, wanted: Filter, *, limit: int, before: int | None = None) -> list[DeliveryRecord]:
        """Deliveries, newest first, without their attempts; `before` a `seq`, to page on."""
        ...

    async def count(self, wanted: Filter) -> Mapping[str, int]:
        """How many deliveries, by target."""
        ...

    async def show(self, id_: str) -> WebhookRecord | None:
        """The webhook that has this id, or has the event with this id; a unique start of an id is enough."""
        ...

    async def unparsed(self, *, limit: int, after: str = "") -> list[Webhook]:
        """Unparsed webhooks, oldest first; `after` a webhook id, to page on."""
        ...

    async def replay(self, wanted: Filter, *, now: datetime) -> int:
        """Dead and delivered ones among `wanted` become pending and due, their policy starts anew; how many."""
        ...

    async def probe(self) -> None:
        """Commit something, to see that it can be done."""
        ...

    async def close(self) -> None:
        """End after what was asked before; the store cannot be used again."""
        ...
