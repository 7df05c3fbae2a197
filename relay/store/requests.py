"""The arguments of verbs of which a store does many at once."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from relay.model import Delivery, Outcome, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.store.question_records import LATE

NO_TIME = timedelta()


class Windows(NamedTuple):
    """Within which time an equal webhook makes this one a duplicate; see `contract.IngestStore.keep`."""

    window: timedelta | None = None
    dated: timedelta | None = None

    @property
    def longest(self) -> timedelta | None:
        """The longer window; None if there is none."""
        if self.window is None or self.dated is None:
            return self.window or self.dated
        return max(self.window, self.dated)


class KeepRequest(NamedTuple):
    """The arguments of `contract.IngestStore.keep`."""

    webhook: Webhook
    routed: Sequence[RoutedEvent]
    now: datetime | None = None
    windows: Windows = Windows()
    hooks: Sequence[Hook] = ()

    def without_late(self, items: Collection[int]) -> Self:
        """Return it with only those deliveries of these events that are made if they come late."""
        if not items:
            return self
        routed = [
            replace(each, planned=each.if_late(), late=True) if n in items else each
            for n, each in enumerate(self.routed)
        ]
        return self._replace(routed=routed)


class Settlement(NamedTuple):
    """The arguments of `contract.DeliveryStore.settle`: an attempt that was made, and what follows from it."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    now: datetime

    @property
    def late(self) -> bool:
        """Whether the arrival of the event does not lead to the attempt, as that began long after, or even before."""
        return not NO_TIME <= self.outcome.started_at - self.delivery.received_at <= LATE
