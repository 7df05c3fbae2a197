"""A webhook on its way from its request through `decode` and `commit`, and how its request gets the answer."""

from abc import ABC, abstractmethod
from asyncio import Future
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from relay.ingest.budget import Reservation
from relay.model import RoutedEvent, Source, Webhook
from relay.model.heal import Hook
from relay.store.records import KeepResult


@dataclass(slots=True, eq=False, kw_only=True)
class PendingWebhook(ABC):
    """A webhook between its request and its commit.

    The decoder sets `routed`, `retransmission` (the window in which an equal body is one that amoCRM sent again),
    `hooks` if its source heals, and, if it is unparsed, `webhook`. The committer sets the rest:

    `answered`      its request has an answer, or is gone
    `late`          that answer was a 503
    `settled`       the store has replied; later replies are ignored
    `stripped`      it is stored without its events, because of a fault of ours
    `commit_began`  when the store was first called, by `perf_counter`
    """

    webhook: Webhook
    source: Source
    reservation: Reservation
    routed: Sequence[RoutedEvent] = ()
    retransmission: timedelta | None = None
    hooks: Sequence[Hook] = ()
    answered: bool = False
    late: bool = False
    settled: bool = False
    stripped: bool = False
    commit_began: float = 0.0

    @abstractmethod
    def conclude(self, result: KeepResult | Exception) -> None:
        """Answer the request with the first result; ignore later ones. Must not raise."""


@dataclass(slots=True, eq=False, kw_only=True)
class AwaitedWebhook(PendingWebhook):
    """A webhook of a request whose task waits for `stored`."""

    stored: Future[KeepResult]

    def conclude(self, result: KeepResult | Exception) -> None:
        """Resolve the future, unless the task was cancelled."""
        self.answered = True
        if self.stored.done():
            return
        if isinstance(result, Exception):
            self.stored.set_exception(result)
        else:
            self.stored.set_result(result)
