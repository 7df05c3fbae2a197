"""Attempt, outcome and verdict -> committed to the store, while the next attempts are made."""

from asyncio import Future
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from relay.delivery.retry_busy import retry_busy
from relay.model import Delivery, Outcome, Verdict
from relay.store.contract import DeliveryStore


class AttemptResult(NamedTuple):
    """An attempt that was made, its outcome, and the verdict on its delivery."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict


class Settlements:
    """Calls `settled` with each result that is committed. `start` runs a retry in the background, and returns its task.

    `pending` are the store calls and retries that nobody awaits here.
    """

    def __init__(
        self,
        store: DeliveryStore,
        *,
        settled: Callable[[AttemptResult], None],
        start: Callable[[Coroutine[None, None, None]], Future[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._settled = settled
        self._start = start
        self._clock = clock
        self.pending: set[Future[Any]] = set()

    async def settle(self, made: AttemptResult, *, now: datetime, most: int) -> None:
        """Call the store at once; await it only if `most` calls are pending already."""
        call = self._store.settle(*made, now=now)
        if len(self.pending) < most:
            self.pending.add(call)
            call.add_done_callback(partial(self._on_done, made))
        else:
            await self._retry(made, call)

    def _on_done(self, made: AttemptResult, call: Future[bool]) -> None:
        self.pending.discard(call)
        if call.cancelled():
            return
        if call.exception() is None:
            self._settled(made)
        else:
            retry = self._start(self._retry(made, call))
            self.pending.add(retry)
            retry.add_done_callback(self.pending.discard)

    async def _retry(self, made: AttemptResult, call: Future[bool]) -> None:
        await retry_busy(lambda: self._store.settle(*made, now=self._clock()), call)
        self._settled(made)
