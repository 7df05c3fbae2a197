"""Group commit: run all queued writes in one transaction, then resolve their futures.

One thread and one connection do every write and every checkpoint. There is no timer: while one commit is being synced
the next batch gathers. A commit that failed is unknown, so writes must be safe to repeat.

The thread and the event loop share the interpreter's lock, and handing it over costs as much as a row. So the thread is
woken once for all writes of one turn of the loop, and writes of one kind are run together.
"""

import threading
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from time import perf_counter
from typing import Any, Generic, TypeAlias, TypeVar

import apsw

from relay.errors import StoreBusy, StoreFailed
from relay.signals import Committed, DiskSpace, Emit, StoreGaveUp
from relay.store.sqlite.ack_gaps import last_seq
from relay.store.sqlite.claim_tokens import LOST, Tokens
from relay.store.sqlite.disk import Space
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.moved_files import Files
from relay.store.sqlite.sql import rows
from relay.store.sqlite.wal import Wal
from relay.store.sqlite.watermark import Watermark

T = TypeVar("T")
W = TypeVar("W")

MAX_BATCH = 256
CHECKPOINT_PAGES = 1_000  # 4 MiB of WAL: checkpoint when there is nothing else to do
CHECKPOINT_NOW_PAGES = 4_000  # 16 MiB: checkpoint all the same

CLOSED = "the store is closed"

BUSY = (apsw.BusyError, apsw.LockedError, apsw.FullError)
FATAL = (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError, apsw.CantOpenError)


Together: TypeAlias = Callable[[apsw.Cursor, Sequence[W]], Sequence[T]]
"""Does several writes of one kind at once: a result for each, in their order."""


@dataclass(slots=True)
class _Write(Generic[W, T]):
    run: Together[W, T]
    what: W
    done: Future[T]
    grows: int


_Reply = tuple[Future[Any], Any, Exception | None]


class Writer:
    """Runs writes in their order of arrival, but for what `submit_one_of_many` says; lives in one event loop.

    `failed` is called once, from the thread, when the disk fails. `files` must still be there after each commit, and
    `acked` notes its highest seq. `lock` and `space` are those of the owner.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        *,
        files: Files,
        wal: Wal,
        acked: Watermark | None,
        lock: Lock | None,
        tokens: Tokens | None,
        space: Space | None,
        emit: Emit,
        failed: Callable[[], object],
    ) -> None:
        self._connection = connection
        self._files = files
        self._acked = acked
        self._lock = lock
        self._tokens = tokens
        self._lost_tokens: list[tuple[int, int]] = []  # of commits whose answer was lost
        self._seq: int | None = None  # of the newest webhook, if the transaction may have brought it
        self._space = space
        self._cursor = connection.cursor()
        self._emit = emit
        self._failed = failed
        self._failure: StoreFailed | None = None
        self._held_up: StoreBusy | None = None  # just now, by another program
        self._waiting: deque[_Write[Any, Any]] = deque()
        self._wakes: SimpleQueue[None] = SimpleQueue()
        self._waking = False  # at the end of this turn of the loop
        self._woken = False  # and has not noticed yet
        self._closing = False
        self._ended = False  # the thread, after `close`
        self._wal = wal
        self._loop: AbstractEventLoop = get_running_loop()
        connection.set_wal_hook(self._note_wal)
        self._thread = threading.Thread(target=self._run, name="relay-store", daemon=True)
        self._thread.start()

    def submit(self, run: Callable[[apsw.Cursor], T], *, grows: int = 0) -> Future[T]:
        """Return the result of `run(cursor)` once it is committed. `run` may be called again if a batch is repeated.

        A write that makes the database grow by `grows` bytes is StoreBusy on a full disk, unless the file has free
        pages: the last of the disk is for settling pending deliveries.
        """
        return self.submit_one_of_many(_each, run, grows=grows)

    def submit_one_of_many(self, run: Together[W, T], what: W, *, grows: int = 0) -> Future[T]:
        """As `submit`, for writes that `run` does together with others of its kind; between two writes that were
        submitted alone it may pass those of other kinds.
        """
        done: Future[T] = self._loop.create_future()
        self._waiting.append(_Write(run, what, done, grows))
        if not self._waking:
            self._waking = True
            self._loop.call_soon(self._wake)
        return done

    async def close(self) -> None:
        """Commit what is queued and end the thread; later writes are refused."""
        self._closing = True
        self._wakes.put(None)
        await self._loop.run_in_executor(None, self._thread.join)
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        self._waking = False
        if self._ended:
            waiting, self._waiting = self._waiting, deque()
            _resolve(_refuse(waiting, StoreFailed(CLOSED)))
        elif not self._woken:
            self._woken = True
            self._wakes.put(None)

    def _run(self) -> None:
        try:
            while batch := self._take():
                replies = self._commit(batch) + self._refuse_waiting()
                self._loop.call_soon_threadsafe(_resolve, replies)
                self._checkpoint()
        except Exception as error:  # noqa: BLE001  without its writer the relay would be half alive
            self._give_up(_failed("the store's writer broke", error))

    def _take(self) -> list[_Write[Any, Any]]:
        """Return at least one write, and those queued behind it; empty at the end."""
        while not self._waiting:
            if self._closing:
                return []
            self._wakes.get()
            self._woken = False
        return [self._waiting.popleft() for _ in range(min(len(self._waiting), MAX_BATCH))]

    def _refuse_waiting(self) -> list[_Reply]:
        """Refuse the writes queued behind a commit that another program held up: they would overtake it."""
        if not self._held_up:
            return []
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        refused, self._held_up = _refuse(waiting, self._held_up), None
        return refused

    def _commit(self, batch: Sequence[_Write[Any, Any]]) -> list[_Reply]:
        if self._failure:
            return _refuse(batch, self._failure)
        start = perf_counter()
        try:
            results = self._transact_or_note_tokens(batch)
        except apsw.FullError as error:
            if self._space and self._space.release():
                return self._commit(batch)
            if len(batch) > 1:  # a large one must not stop those that would fit
                return [replies for write in batch for replies in self._commit([write])]
            return _refuse(batch, StoreBusy(f"cannot commit now: {error}"))
        except StoreFailed as error:
            return _refuse(batch, self._give_up(error))
        except BUSY as error:
            self._held_up = StoreBusy(f"cannot commit now: {error}")
            return _refuse(batch, self._held_up)
        except FATAL as error:
            return _refuse(batch, self._give_up(_failed("the disk failed under the database", error)))
        except Exception as error:  # noqa: BLE001  one bad write must not stop the others of its batch
            if len(batch) == 1:
                return _refuse(batch, error)
            return [replies for write in batch for replies in self._commit([write])]
        if gone := self._files.gone():  # then nobody knows where this commit went
            return _refuse(batch, self._fail_for_moved_file(gone))
        if self._acked and self._seq is not None:
            self._acked.advance(self._seq)
        replies: list[_Reply] = [
            (write.done, result, result if isinstance(result, StoreBusy) else None)
            for write, result in zip(batch, results, strict=True)
        ]
        if writes := sum(error is None for _, _, error in replies):
            self._emit(Committed(writes=writes, took=timedelta(seconds=perf_counter() - start)))
        return replies

    def _transact_or_note_tokens(self, batch: Sequence[_Write[Any, Any]]) -> list[Any]:
        """As `_transact`; if it fails, note the claim tokens: it may have been committed, and nobody was given them."""
        first = self._tokens.last if self._tokens else 0
        try:
            return self._transact(batch)
        except BaseException:
            if self._tokens and self._tokens.last > first:
                self._lost_tokens.append((first + 1, self._tokens.last))
            raise

    def _transact(self, batch: Sequence[_Write[Any, Any]]) -> list[Any]:
        self._cursor.execute("begin immediate")
        try:
            self._check_owner()  # inside: a successor waits for the end of the transaction, then finds its claims
            if self._lost_tokens:
                self._cursor.executemany(LOST, self._lost_tokens)
            results = self._apply(batch)
            grown = any(write.grows for write in batch)
            self._seq = last_seq(self._cursor) if grown else None
            self._cursor.execute("commit")
            self._lost_tokens.clear()
        except BaseException:
            if self._connection.in_transaction:  # SQLite rolls back by itself when the disk is full
                self._cursor.execute("rollback")
            raise
        return results

    def _check_owner(self) -> None:
        if self._lock and not self._lock.held():
            raise StoreFailed("another relay owns the store now: stop one of them")

    def _apply(self, batch: Sequence[_Write[Any, Any]]) -> list[Any]:
        """Return a result for each; StoreBusy, and nothing is done, if it has to wait for room."""
        if self._space and self._space.level is DiskSpace.FULL:
            return [self._apply_if_room(write) for write in batch]
        results: list[Any] = [None] * len(batch)
        for run, positions in _by_kind(batch):
            done = run(self._cursor, [batch[position].what for position in positions])
            for position, result in zip(positions, done, strict=True):
                results[position] = result
        return results

    def _apply_if_room(self, write: _Write[Any, T]) -> T | StoreBusy:
        if write.grows and write.grows > room(self._cursor):
            return StoreBusy("the disk is full")
        return write.run(self._cursor, [write.what])[0]

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal.update(pages)
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        idle = not self._waiting and self._wal.pages >= CHECKPOINT_PAGES
        if not (idle or self._wal.pages >= CHECKPOINT_NOW_PAGES) or self._failure:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._wal.pages = 0  # as far as it was copied; after the next commit we know
        except BUSY:
            pass  # nothing is lost: the data stays in the WAL and the next commit comes back here
        except FATAL as error:
            self._give_up(_failed("the disk failed in a checkpoint", error))

    def _fail_for_moved_file(self, file: str) -> StoreFailed:
        """Checkpoint what can be saved, for the WAL ends with this process, and fail."""
        if self._files.only_the_wal_is_missing:
            with suppress(apsw.Error):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return self._give_up(
            StoreFailed(f"{file} was moved, replaced or deleted while it was in use: put it back, then restart")
        )

    def _give_up(self, failure: StoreFailed) -> StoreFailed:
        """Log it, for maybe no caller is refused, and have the relay end."""
        self._failure = failure
        # the next start recovers what is on disk; to sync again here might succeed without a reason
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._failed()
        self._emit(StoreGaveUp(error=str(self._failure)))
        return self._failure


def _failed(what: str, error: Exception) -> StoreFailed:
    return StoreFailed(f"{what} ({type(error).__name__}: {error}); restart")


def room(cursor: apsw.Cursor) -> int:
    """Return the bytes of free pages in the file."""
    [(pages, size)] = rows(cursor, "select freelist_count, page_size from pragma_freelist_count, pragma_page_size")
    return int(pages * size)


def _each(cursor: apsw.Cursor, runs: Sequence[Callable[[apsw.Cursor], T]]) -> list[T]:
    return [run(cursor) for run in runs]


def _by_kind(batch: Sequence[_Write[Any, Any]]) -> Iterator[tuple[Together[Any, Any], list[int]]]:
    """Group positions in the batch by what runs together; no write passes one that was submitted alone."""
    kinds: dict[Together[Any, Any], list[int]] = {}
    for position, write in enumerate(batch):
        if write.run is _each:
            yield from kinds.items()
            kinds = {}
        kinds.setdefault(write.run, []).append(position)
    yield from kinds.items()


def _refuse(batch: Iterable[_Write[Any, Any]], error: Exception) -> list[_Reply]:
    return [(write.done, None, error) for write in batch]


def _resolve(replies: Sequence[_Reply]) -> None:
    for done, result, error in replies:
        if done.done():
            continue  # the caller was cancelled
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
