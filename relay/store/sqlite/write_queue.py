"""Writes of the event loop -> batches for the store's thread -> replies, back in the loop.

The thread and the loop share the interpreter's lock, and handing it over costs as much as a row. So writes of one kind
that are submitted together are one message with one reply, and the thread is woken once in a turn of the loop. Writes
that may wait do not wake it: they share the next commit, which costs more than they do.
"""

import select
from asyncio import AbstractEventLoop, Future, TimerHandle, get_running_loop
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, Self, TypeAlias, TypeVar

import apsw

from relay.store.give_way import GiveWay

T = TypeVar("T")
W = TypeVar("W")

MAX_BATCH = 256  # writes; a message is not divided
LONGEST_WAIT = 0.005  # seconds, of writes that may wait; one connection that posts without pause needs 2 ms a webhook
GATHER = 150e-6
"""Seconds that a batch waits for more writes if the one before it stored `GATHER_FROM` webhooks or more.

A commit costs an fsync and the same pages again, however few rows are in it. With one connection nothing waits; 500 µs
are too long: then connections wait for the commit.
"""
GATHER_FROM = 3

Together: TypeAlias = Callable[[apsw.Cursor, Sequence[W]], Sequence[T]]
"""Does several writes of one kind at once: a result for each, in their order."""
OnReplies: TypeAlias = Callable[[Sequence[T | Exception]], object]
"""Gets a result or an exception for each write, in their order, in the event loop."""


@dataclass(slots=True)
class Writes(Generic[W, T]):
    """One message: writes of one kind, and by how many bytes each makes the database grow, if at all."""

    run: Together[W, T]
    arguments: Sequence[W]
    on_replies: OnReplies[T]
    grows: Callable[[W], int] | None = None

    def apart(self) -> list[Self]:
        """Return a message for each write; the caller puts their replies together."""
        return [replace(self, arguments=[each]) for each in self.arguments]


class WriteQueue:
    """Filled in the event loop that it was made in, emptied by one thread."""

    def __init__(self) -> None:
        self._loop: AbstractEventLoop = get_running_loop()
        self._waiting: deque[Writes[Any, Any]] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._waking = False  # a wake-up is scheduled for the end of this turn of the loop
        self._woken = False  # a wake-up that the thread has not taken yet
        self._timer: TimerHandle | None = None  # wakes the thread if nothing else does; set while only that may
        self._stored = 0  # writes of the last batch that make the database grow
        self._closing = False
        self._refusal: Exception | None = None  # once the thread has ended
        self._unanswered = 0  # messages that were queued and have no reply yet
        self.readers = GiveWay(self._loop)

    @property
    def idle(self) -> bool:
        """Whether the thread need not commit anything at once."""
        return not self._woken

    # ---- in the loop

    def submit(self, run: Callable[[apsw.Cursor], T], *, grows: int = 0) -> Future[T]:
        """Return the result of `run(cursor)` once it is committed. `run` may be called again if a batch is repeated.

        A write that makes the database grow by `grows` bytes is StoreBusy on a full disk, unless the file has free
        pages: the last of the disk is for settling pending deliveries.
        """
        return self.submit_one_of_many(run_each, run, grows=(lambda _run: grows) if grows else None)

    def submit_one_of_many(
        self, run: Together[W, T], argument: W, *, grows: Callable[[W], int] | None = None
    ) -> Future[T]:
        """As `submit`, for a write that `run` does together with others of its kind. It may overtake writes of other
        kinds, but no write that was submitted alone.
        """
        done: Future[T] = self._loop.create_future()
        self.put(Writes(run, [argument], partial(_resolve, done), grows))
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake)
        return done

    def submit_many(
        self,
        run: Together[W, T],
        arguments: Sequence[W],
        on_replies: OnReplies[T],
        *,
        grows: Callable[[W], int] | None = None,
        may_wait: bool = False,
    ) -> None:
        """As `submit_one_of_many`, for the writes of a whole turn of the loop: one message, and one reply to all.

        With `may_wait` they are committed with the next writes that may not, after `LONGEST_WAIT` at the latest.
        """
        self.put(Writes(run, arguments, on_replies, grows))
        if not may_wait:
            self._wake()
        elif self._timer is None and not self._waking:
            self._timer = self._loop.call_later(LONGEST_WAIT, self._wake)

    def close(self) -> None:
        """Have `take` return what is queued, and then nothing."""
        self._closing = True
        self._wakes.put(None)

    def end(self, refusal: Exception) -> None:
        """Refuse what is queued and all that follows: the thread has ended."""
        self._refusal = refusal
        self._wake()

    def put(self, writes: Writes[Any, Any]) -> None:
        """Queue a message; the thread is not woken for it."""
        self._waiting.append(writes)
        self._unanswered += 1

    def _wake(self) -> None:
        self._waking = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if error := self._refusal:
            self._loop.call_soon(self._pass_on, [(each, [error] * len(each.arguments)) for each in self.take_rest()])
        elif not self._woken:
            self._woken = True
            if self._unanswered:  # else the thread has committed already what this wake-up was for
                self.readers.begin()
            self._wakes.put(None)

    def _pass_on(self, batch: Sequence[tuple[Writes[Any, Any], Sequence[Any]]]) -> None:
        for writes, replies in batch:
            try:
                writes.on_replies(replies)
            except Exception as error:  # noqa: BLE001  a fault over one message is not the others'
                self._loop.call_exception_handler({"message": "a reply of the store", "exception": error})
        self._unanswered -= len(batch)
        if not self._unanswered:
            self.readers.end()

    # ---- in the thread

    def take(self) -> list[Writes[Any, Any]]:
        """Return at least one message, once the thread is woken, and those queued behind it; none at the end."""
        while not self._closing:
            self._wakes.get()
            if self._stored >= GATHER_FROM and not self._closing:
                select.select((), (), (), GATHER)  # no `sleep`: some C libraries let it follow a clock that is set back
            self._woken = False  # before the batch is taken: what is queued after it is woken for anew
            if batch := self._take_batch():
                return batch
        return self._take_batch()

    def _take_batch(self) -> list[Writes[Any, Any]]:
        batch: list[Writes[Any, Any]] = []
        size = self._stored = 0
        while self._waiting:
            if size >= MAX_BATCH:
                self._woken = True  # the rest is due, too
                self._wakes.put(None)
                break
            writes = self._waiting.popleft()
            batch.append(writes)
            size += len(writes.arguments)
            if writes.grows:
                self._stored += len(writes.arguments)
        return batch

    def take_rest(self) -> list[Writes[Any, Any]]:
        """Return all that is queued now."""
        return [self._waiting.popleft() for _ in range(len(self._waiting))]

    def reply(self, batch: Sequence[tuple[Writes[Any, Any], Sequence[Any]]]) -> None:
        """Have the loop pass the replies of each message on."""
        self._loop.call_soon_threadsafe(self._pass_on, batch)


def run_each(cursor: apsw.Cursor, runs: Sequence[Callable[[apsw.Cursor], T]]) -> list[T]:
    """Run writes that were submitted alone, one by one."""
    return [run(cursor) for run in runs]


def _resolve(done: Future[T], replies: Sequence[T | Exception]) -> None:
    [reply] = replies
    if done.done():
        return  # the caller was cancelled
    if isinstance(reply, Exception):
        done.set_exception(reply)
    else:
        done.set_result(reply)
