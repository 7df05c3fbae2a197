"""What a store promises to healing and to those who ask about it; times, errors and repeats are as `contract` says."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from relay.model import Json
from relay.model.heal import HealCount, HealRecord, HealRequest, HealState, Span, StoredHook
from relay.store.records import AuditEntry
from relay.store.requests import KeepRequest


class HealQuestions(Protocol):
    """What operators ask and do about healing. An act and its audit entry are one commit."""

    async def heal_counts(self) -> Sequence[HealCount]:
        """Count the records by source, action, state, exactness and reason."""
        ...

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        """Return, by lane, up to when the feed has been scanned completely; and `APPROVED`."""
        ...

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        """Return the records of the feed's events from `since` on, oldest first; of these states if some are given."""
        ...

    async def channels(self, source: str) -> Sequence[str]:
        """Return the channels of the hooks in the index, sorted."""
        ...

    async def approve(self, source: str, act: AuditEntry) -> int:
        """Mark the `WAITING` records of the source as approved, and `APPROVED` as of `act.at`; return how many."""
        ...

    async def request_heal(self, request: HealRequest, act: AuditEntry) -> None:
        """Have the relay that heals carry out a scan; `request.id` is that of the act. Repeated, it is asked once."""
        ...

    async def heal_requests(self, *, answered: bool = False) -> Sequence[HealRequest]:
        """Return the requests that have no answer yet, oldest first; or those that have one."""
        ...


class HealStore(HealQuestions, Protocol):
    """What healing needs. One relay alone calls `record_heal`; others keep webhooks meanwhile."""

    async def hooks(
        self,
        source: str,
        *,
        since: datetime,
        until: datetime,
        keys: Collection[tuple[str, str]] | None = None,
    ) -> Sequence[StoredHook]:
        """Return the hooks whose span has a time in common with `since` to `until`, by the start of their spans.

        `keys`: only those of these channels and keys.
        """
        ...

    async def records_of_webhook_type(self, source: str, webhook_type: str) -> Sequence[HealRecord]:
        """Return the records of the channel `account` that one type of webhook reports, `leads.add`, by key."""
        ...

    async def request_ids(self, webhooks: Collection[str]) -> Mapping[str, str]:
        """Return amoCRM's ids of the requests that brought these webhooks, of those that have one and are stored."""
        ...

    async def first_hook(self, source: str) -> datetime | None:
        """Return the arrival of the oldest webhook in the index of hooks; None if there is none."""
        ...

    async def last_loss(self) -> datetime | None:
        """Return when webhooks that were answered were last noticed to be missing, accepted or not; None if never."""
        ...

    async def record_heal(
        self,
        source: str,
        records: Sequence[HealRecord],
        *,
        healed: Sequence[KeepRequest] = (),
        marks: Mapping[str, datetime] | None = None,
        repeats: Collection[StoredHook] = (),
    ) -> Sequence[HealRecord]:
        """Record what was found, keep healed webhooks, and set marks, in one transaction; return the records as stored.

        A record whose state is final stays as it is, but that its event is seen again. One that is `MATCHED` spends its
        hook (`webhook`, `item`); if that is spent on another event it is stored as `SEEN`. A `HEALED` one names its
        webhook among `healed`: if a hook that can match it was kept meanwhile and is not spent, it is stored as
        `MATCHED` by that, and its healed webhook is not kept; not by one of `repeats`. Nothing is claimed at insert.

        A mark never moves back. What `approve` said of a record stays.
        """
        ...

    async def answer_heal(self, id_: str, answer: Json) -> None:
        """Store what came of a request; the first answer stays."""
        ...

    async def beat(self, now: datetime) -> None:
        """Mark that a relay that heals runs; to be called every `BEAT_EVERY`."""
        ...

    async def outages(self, since: datetime) -> Sequence[Span]:
        """Return the spans after `since` in which no such relay ran, oldest first; none before the first beat."""
        ...
