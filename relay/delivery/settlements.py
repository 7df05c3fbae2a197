"""Attempt, outcome and verdict -> committed to the store, while the next attempts are made.

Attempts that end in one turn of the event loop are settled together, by one call of the store at the end of that turn,
and with the time at which the first of them ended. While few are pending, they may wait for what is stored next: then a
webhook and the attempt before it are one commit.
"""

from asyncio import Future, gather, get_running_loop
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from relay.delivery.retry_busy import retry_busy
from relay.errors import StoreFailed
from relay.model import Delivery, Outcome, Verdict
from relay.store.contract import DeliveryStore
from relay.store.requests import Settlement


@dataclass(slots=True)
class _Turn:
    """What ended in one turn of the loop; `awaited`, by its number, are the futures of callers that await a reply."""

    ended_at: datetime
    done: Future[None]
    made: list[Settlement] = field(default_factory=list)
    awaited: dict[int, Future[bool]] = field(default_factory=dict)
    may_wait: bool = True


class Settlements:
    """Calls `settled` with each attempt that is committed, and whether its delivery is settled: see `DeliveryStore`.

    The attempt's `now` is when it ended, however late it is committed. `start` runs a retry in the background, and
    returns its task. `pending` are the store calls and retries that nobody awaits here. Lives in one event loop.
    """

    def __init__(
        self,
        store: DeliveryStore,
        *,
        settled: Callable[[Settlement, bool], None],
        start: Callable[[Coroutine[None, None, None]], Future[None]],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._settled = settled
        self._start = start
        self._clock = clock
        self._loop = get_running_loop()
        self._turn: _Turn | None = None
        self._unawaited = 0  # attempts that are not settled yet, and that nobody awaits
        self.pending: set[Future[Any]] = set()

    def settle(
        self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, most: int, may_wait: bool = True
    ) -> Awaitable[None] | None:
        """Have the store called at the end of this turn, whatever becomes of the caller.

        Returns None, or, if `most` attempts are pending already, what the caller has to await: the reply to this one.
        Unless it `may_wait`, or once half of `most` are pending, the store commits this turn at once.
        """
        turn = self._turn or self._begin_turn()
        made = Settlement(delivery, outcome, verdict, turn.ended_at)
        turn.made.append(made)
        if not may_wait or 2 * (self._unawaited + 1) > most:
            turn.may_wait = False
        if self._unawaited < most:
            self._unawaited += 1
            return None
        reply = turn.awaited[len(turn.made) - 1] = self._loop.create_future()
        return self._retry(made, reply)

    async def settle_together(
        self, made: Iterable[tuple[Delivery, Outcome, Verdict]], *, most: int, may_wait: bool = True
    ) -> None:
        """Settle several in this turn, each as by `settle`, and await what it has to."""
        replies = [self.settle(*each, most=most, may_wait=may_wait) for each in made]
        await gather(*(reply for reply in replies if reply))

    def _begin_turn(self) -> _Turn:
        self._turn = turn = _Turn(self._clock(), self._loop.create_future())
        self.pending.add(turn.done)
        turn.done.add_done_callback(self.pending.discard)
        self._loop.call_soon(self._end_turn, turn)
        return turn

    def _end_turn(self, turn: _Turn) -> None:
        self._turn = None
        try:
            self._store.settle_many(turn.made, partial(self._on_replies, turn), may_wait=turn.may_wait)
        except Exception as error:  # noqa: BLE001  as if the store had replied it
            self._on_replies(turn, [error] * len(turn.made))

    def _on_replies(self, turn: _Turn, replies: Sequence[bool | Exception]) -> None:
        cancelled = turn.done.cancelled()
        try:
            for number, (made, reply) in enumerate(zip(turn.made, replies, strict=True)):
                try:
                    if number in turn.awaited:
                        _resolve(turn.awaited[number], reply)
                    elif cancelled:
                        continue
                    elif isinstance(reply, Exception):
                        self._retry_beside(made, reply)
                    else:
                        self._unawaited -= 1
                        self._settled(made, reply)
                except Exception as error:  # noqa: BLE001  a fault over one attempt is not the others'
                    self._loop.call_exception_handler({"message": "a settled attempt", "exception": error})
        finally:
            if not turn.done.done():
                turn.done.set_result(None)

    def _retry_beside(self, made: Settlement, error: Exception) -> None:
        first: Future[bool] = self._loop.create_future()
        first.set_exception(error)
        retry = self._start(self._retry(made, first))
        self.pending.add(retry)
        retry.add_done_callback(self._on_retried)

    def _on_retried(self, retry: Future[None]) -> None:
        self.pending.discard(retry)
        if retry.cancelled() or isinstance(retry.exception(), StoreFailed):
            return  # it stays unsettled: no further attempt takes its place, or a restart would repeat that one, too
        self._unawaited -= 1

    async def _retry(self, made: Settlement, first: Future[bool]) -> None:
        delivery, outcome, verdict, _ = made
        settled = await retry_busy(lambda: self._store.settle(delivery, outcome, verdict, now=self._clock()), first)
        self._settled(made, settled)


def _resolve(awaited: Future[bool], reply: bool | Exception) -> None:
    if awaited.done():
        return  # its caller was cancelled
    if isinstance(reply, Exception):
        awaited.set_exception(reply)
    else:
        awaited.set_result(reply)
