"""What became of an attempt -> on disk, beside the attempts that follow."""

from asyncio import Future
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from relay.delivery.retry_busy import retry_busy
from relay.model import Delivery, Outcome, Verdict
from relay.store.contract import Store


class AttemptResult(NamedTuple):
    """An attempt that was made, what it returned, and what follows from that."""

    delivery: Delivery
    outcome: Outcome
    verdict: Verdict


class Settlements:
    """Tells `settled` of each that is on disk. `begin` is given what has to ask the store again, and returns its task.

    `under_way` is what waits for the store, but for what somebody waits for here.
    """

    def __init__(
        self,
        store: Store,
        *,
        settled: Callable[[AttemptResult], None],
        begin: Callable[[Coroutine[None, None, None]], Future[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._settled = settled
        self._begin = begin
        self._clock = clock
        self.under_way: set[Future[Any]] = set()

    async def settle(self, made: AttemptResult, *, now: datetime, most: int) -> None:
        """Asks the store at once; waits for it if `most` are under way already."""
        asked = self._store.settle(*made, now=now)
        if len(self.under_way) < most:
            self.under_way.add(asked)
            asked.add_done_callback(partial(self._hear, made))
        else:
            await self._insist(made, asked)

    def _hear(self, made: AttemptResult, asked: Future[bool]) -> None:
        self.under_way.discard(asked)
        if asked.cancelled():
            return
        if asked.exception() is None:
            self._settled(made)
        else:
            again = self._begin(self._insist(made, asked))
            self.under_way.add(again)
            again.add_done_callback(self.under_way.discard)

    async def _insist(self, made: AttemptResult, asked: Future[bool]) -> None:
        await retry_busy(lambda: self._store.settle(*made, now=self._clock()), asked)
        self._settled(made)
