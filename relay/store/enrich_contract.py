"""What a store promises to enrichment, which fetches something beside an event; errors are as `contract` says."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from relay.model.enrich import Enrichment, HeldEvent


class EnrichQuestions(Protocol):
    """What operators ask of it."""

    async def beside(self, event_ids: Sequence[str]) -> Mapping[str, Enrichment]:
        """Return what is stored beside these events, by their ids; see `EnrichStore.record`."""
        ...


class EnrichStore(EnrichQuestions, Protocol):
    """What was fetched beside events, by where the store has these (`Delivery.row`)."""

    async def held(self, sources: Sequence[str], *, limit: int) -> Sequence[HeldEvent]:
        """Return at most `limit` events of these sources that have held deliveries, the first to be due first.

        A delivery with a `PlannedDelivery.hold` is held from when it is stored until `record`. It is not due before
        the hold has passed; behind an older one of its key it waits for that, too.
        """
        ...

    async def record(self, found: Sequence[Enrichment], *, now: datetime) -> Mapping[int, Enrichment]:
        """Store each unless its event has one already; return those that are stored, by row.

        The held deliveries of these events are due at once. An event that was purged has none. One that is corrupt is
        returned without a value, and the reason CORRUPT.
        """
        ...

    async def stored(self, events: Sequence[int]) -> Mapping[int, Enrichment]:
        """Return what is stored of these events, as `record` does."""
        ...


CORRUPT = "corrupt in the store: the disk changed it"
