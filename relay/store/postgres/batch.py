"""Group commit: all writes of one kind that wait -> one transaction -> a reply for each.

While one transaction is under way the next batch gathers; writes that may wait gather for some milliseconds. A batch
that failed is unknown, so writes must be safe to repeat; what waits behind it is refused, too: it would overtake it.
"""

import asyncio
from asyncio import Future, TimerHandle, get_running_loop
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

from relay.errors import StoreBusy, StoreFailed
from relay.store.contract import CLOSED
from relay.store.give_way import GiveWay

W = TypeVar("W")
T = TypeVar("T")

MAX_BATCH = 256  # writes
MAX_BYTES = 4 * 1024 * 1024  # as `size` tells them
LONGEST_WAIT = 0.005  # seconds, of writes that may wait

OnReplies: TypeAlias = Callable[[Sequence[T | Exception]], object]


class Batch(Generic[W, T]):
    """Does writes in their order, `together`, one transaction at a time; in the event loop that it was made in.

    `together` returns a result, or an exception, for each; if it raises, several are done one by one, but for
    StoreBusy and StoreFailed.
    """

    def __init__(
        self, together: Callable[[Sequence[W]], Awaitable[Sequence[T | Exception]]], *, size: Callable[[W], int]
    ) -> None:
        self._together = together
        self._size = size
        self._waiting: deque[tuple[W, Callable[[T | Exception], object]]] = deque()
        self._wake = asyncio.Event()
        self._due = False  # something waits that may wait no longer
        self._timer: TimerHandle | None = None  # until that is so
        self._closed = False
        self.readers = GiveWay(get_running_loop())
        self._task = get_running_loop().create_task(self._run())

    def submit(self, write: W) -> "Future[T]":
        """Return the result once it is committed."""
        done: Future[T] = get_running_loop().create_future()
        self._put(write, partial(_resolve, done), may_wait=False)
        return done

    def submit_many(self, writes: Sequence[W], on_replies: OnReplies[T], *, may_wait: bool = False) -> None:
        """Call `on_replies` once, not before this returns, with a reply for each in their order.

        With `may_wait` they are committed with the next writes that may not, after `LONGEST_WAIT` at the latest.
        """
        replies: list[Any] = [None] * len(writes)
        left = len(writes)
        if not writes:
            get_running_loop().call_soon(_pass_on, on_replies, replies)

        def reply(position: int, result: T | Exception) -> None:
            nonlocal left
            replies[position] = result
            left -= 1
            if not left:
                _pass_on(on_replies, replies)

        for position, write in enumerate(writes):
            self._put(write, partial(reply, position), may_wait=may_wait)

    async def close(self) -> None:
        """End after the writes submitted before."""
        self._closed = True
        self._wake_up()
        await self._task

    def _put(self, write: W, reply: Callable[[T | Exception], object], *, may_wait: bool) -> None:
        if self._closed:
            get_running_loop().call_soon(reply, StoreFailed(CLOSED))
            return
        self._waiting.append((write, reply))
        if not may_wait:
            self._wake_up()
        elif not self._due and self._timer is None:
            self._timer = get_running_loop().call_later(LONGEST_WAIT, self._wake_up)

    def _wake_up(self) -> None:
        self._due = True
        self._wake.set()
        if self._waiting:  # else what this wake-up was for has been answered
            self.readers.begin()
        if self._timer:
            self._timer.cancel()
            self._timer = None

    async def _run(self) -> None:
        while self._waiting or not self._closed:
            if not self._waiting or not (self._due or self._closed):
                self._due = False
                self._wake.clear()
                await self._wake.wait()
                await asyncio.sleep(0)  # what else this turn of the loop brings
                continue
            batch = self._take()
            results = await self._do([write for write, _reply in batch])
            if refusal := next((each for each in results if isinstance(each, StoreBusy | StoreFailed)), None):
                waiting, self._waiting = self._waiting, deque()
                batch += waiting
                results = [*results, *[refusal] * len(waiting)]
            for (_write, reply), result in zip(batch, results, strict=True):
                reply(result)
            if not self._waiting:
                self.readers.end()

    def _take(self) -> list[tuple[W, Callable[[T | Exception], object]]]:
        batch = [self._waiting.popleft()]
        size = self._size(batch[0][0])
        while self._waiting and len(batch) < MAX_BATCH:
            size += self._size(self._waiting[0][0])
            if size > MAX_BYTES:
                break
            batch.append(self._waiting.popleft())
        if not self._waiting:
            self._due = False
        return batch

    async def _do(self, writes: Sequence[W]) -> Sequence[T | Exception]:
        try:
            return await self._together(writes)
        except (StoreBusy, StoreFailed) as error:
            return [error] * len(writes)
        except Exception as error:  # noqa: BLE001  one bad write must not stop the others of its batch
            return [error] if len(writes) == 1 else await self._one_by_one(writes)

    async def _one_by_one(self, writes: Sequence[W]) -> list[T | Exception]:
        results: list[T | Exception] = []
        for each in writes:
            held_up = results and isinstance(results[-1], StoreBusy | StoreFailed)
            results += [results[-1]] if held_up else await self._do([each])
        return results


def _resolve(done: "Future[T]", result: T | Exception) -> None:
    if done.done():
        return  # the caller was cancelled
    if isinstance(result, Exception):
        done.set_exception(result)
    else:
        done.set_result(result)


def _pass_on(on_replies: OnReplies[T], replies: Sequence[T | Exception]) -> None:
    try:
        on_replies(replies)
    except Exception as error:  # noqa: BLE001  a fault over one message is not the others'
        get_running_loop().call_exception_handler({"message": "a reply of the store", "exception": error})
