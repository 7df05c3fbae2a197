"""The arguments of verbs of which a store does many at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from relay.model import Delivery, Outcome, RoutedEvent, Verdict, Webhook


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


class Settlement(NamedTuple):
    """The arguments of `contract.DeliveryStore.settle`: an attempt that was made, and what follows from it."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict
    now: datetime
