"""Group commit: run all queued writes in one transaction, then reply to each.

One thread and one connection do every write and every checkpoint. While one commit is being synced the next batch
gathers in the `WriteQueue`. A commit that failed is unknown, so writes must be safe to repeat.
"""

import threading
from asyncio import Future, get_running_loop
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import timedelta
from time import perf_counter
from typing import Any, TypeAlias, TypeVar

import apsw

from relay.errors import StoreBusy, StoreFailed
from relay.signals import Committed, DiskSpace, Emit, StoreGaveUp
from relay.store.claim_tokens import Tokens
from relay.store.contract import CLOSED
from relay.store.sqlite.ack_gaps import last_seq
from relay.store.sqlite.claim_tokens import LOST
from relay.store.sqlite.disk import Space
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.moved_files import Files
from relay.store.sqlite.sql import rows
from relay.store.sqlite.wal import Wal
from relay.store.sqlite.watermark import Watermark
from relay.store.sqlite.write_queue import Together, WriteQueue, Writes, run_each

T = TypeVar("T")

CHECKPOINT_PAGES = 1_000  # 4 MiB of WAL: checkpoint when there is nothing else to do
CHECKPOINT_NOW_PAGES = 4_000  # 16 MiB: checkpoint all the same
BUSY_TIMEOUT = 1_000  # milliseconds that a statement waits for another program

BUSY = (apsw.BusyError, apsw.LockedError, apsw.FullError)
FATAL = (apsw.IOError, apsw.CorruptError, apsw.NotADBError, apsw.ReadOnlyError, apsw.CantOpenError)


_Replies: TypeAlias = Sequence[Any]
"""For one message: a result or an exception for each of its writes."""


class Writer:
    """Runs writes in their order of arrival, but see `WriteQueue.submit_one_of_many`. Lives in one event loop.

    `failed` is called once, from the thread, when the disk fails. After each commit `files` must still be in place, and
    `acked` notes the highest seq. Only the owner has `lock`, `tokens` and `space`.
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
        self._lost_tokens: list[tuple[int, int]] = []  # first and last, of each commit of unknown outcome
        self._seq: int | None = None  # of the newest webhook, if the last transaction may have stored it
        self._space = space
        self._cursor = connection.cursor()
        self._emit = emit
        self._failed = failed
        self._failure: StoreFailed | None = None
        self._held_up: StoreBusy | None = None  # set when another program holds up a commit
        self._queue = WriteQueue()
        self.submit = self._queue.submit
        self.submit_one_of_many = self._queue.submit_one_of_many
        self.submit_many = self._queue.submit_many
        self.readers = self._queue.readers
        self._cuts: list[Future[bool]] = []
        self._wal = wal
        connection.set_wal_hook(self._note_wal)
        self._thread = threading.Thread(target=self._run, name="relay-store", daemon=True)
        self._thread.start()

    async def close(self) -> None:
        """Commit what is queued and end the thread; later writes are refused."""
        self._queue.close()
        await get_running_loop().run_in_executor(None, self._thread.join)
        self._queue.end(StoreFailed(CLOSED))

    async def cut_log(self) -> bool:
        """Checkpoint the whole log and cut its file to nothing; False if a reader needs it at the moment."""
        done: Future[bool] = get_running_loop().create_future()
        self._cuts.append(done)
        await self.submit(lambda _cursor: None)  # the thread cuts behind a commit
        return await done

    def _run(self) -> None:
        try:
            while batch := self._queue.take():
                replies = self._commit(batch)
                self._queue.reply([*zip(batch, replies, strict=True), *self._refuse_waiting()])
                self._checkpoint()
                self._answer_cuts()
        except Exception as error:  # noqa: BLE001  without its writer the relay would be half alive
            self._give_up(_failed("the store's writer broke", error))

    def _refuse_waiting(self) -> list[tuple[Writes[Any, Any], _Replies]]:
        """Refuse the writes queued behind a commit that another program held up: they would overtake it."""
        if not self._held_up:
            return []
        waiting = self._queue.take_rest()
        refused, self._held_up = _refuse(waiting, self._held_up), None
        return [*zip(waiting, refused, strict=True)]

    def _commit(self, batch: Sequence[Writes[Any, Any]]) -> list[_Replies]:
        if refusal := self._failure or self._held_up:  # held up: another message of a batch that is committed apart
            return _refuse(batch, refusal)
        start = perf_counter()
        try:
            results = self._transact_or_note_tokens(batch)
        except apsw.FullError as error:
            if self._space and self._space.release():
                return self._commit(batch)
            if _several(batch):  # a large write must not stop those that would fit
                return self._commit_apart(batch)
            return _refuse(batch, StoreBusy(f"cannot commit now: {error}"))
        except StoreFailed as error:
            return _refuse(batch, self._give_up(error))
        except BUSY as error:
            self._held_up = StoreBusy(f"cannot commit now: {error}")
            return _refuse(batch, self._held_up)
        except FATAL as error:
            return _refuse(batch, self._give_up(_failed("the disk failed under the database", error)))
        except Exception as error:  # noqa: BLE001  one bad write must not stop the others of its batch
            return self._commit_apart(batch) if _several(batch) else _refuse(batch, error)
        if gone := self._files.gone():  # then this commit may be in a file that no restart opens
            return _refuse(batch, self._fail_for_moved_file(gone))
        if self._acked and self._seq is not None:
            self._acked.advance(self._seq)
        if committed := sum([not isinstance(reply, StoreBusy) for replies in results for reply in replies]):
            self._emit(Committed(writes=committed, took=timedelta(seconds=perf_counter() - start)))
        return results

    def _commit_apart(self, batch: Sequence[Writes[Any, Any]]) -> list[_Replies]:
        """Commit message by message; and if there is only one, write by write."""
        if len(batch) > 1:
            return [self._commit([writes])[0] for writes in batch]
        return [[self._commit([write])[0][0] for write in batch[0].apart()]]

    def _transact_or_note_tokens(self, batch: Sequence[Writes[Any, Any]]) -> list[_Replies]:
        """As `_transact`. If it fails it may be committed all the same: note its claim tokens, which no caller gets."""
        first = self._tokens.last if self._tokens else 0
        try:
            return self._transact(batch)
        except BaseException:
            if self._tokens and self._tokens.last > first:
                self._lost_tokens.append((first + 1, self._tokens.last))
            raise

    def _transact(self, batch: Sequence[Writes[Any, Any]]) -> list[_Replies]:
        self._cursor.execute("begin immediate")
        try:
            self._check_owner()  # inside: a successor waits for the end of the transaction, then finds its claims
            if self._lost_tokens:
                self._cursor.executemany(LOST, self._lost_tokens)
            results = self._apply(batch)
            grown = any(writes.grows for writes in batch)
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

    def _apply(self, batch: Sequence[Writes[Any, Any]]) -> list[_Replies]:
        """Return a result for each write; on a full disk StoreBusy for those that find no room, which are not run."""
        if self._space and self._space.level is DiskSpace.FULL:
            return [[self._apply_if_room(write) for write in writes.apart()] for writes in batch]
        replies: list[_Replies] = [()] * len(batch)
        for run, positions in _by_kind(batch):
            results = iter(run(self._cursor, [each for position in positions for each in batch[position].arguments]))
            for position in positions:
                replies[position] = [next(results) for _ in batch[position].arguments]
        return replies

    def _apply_if_room(self, write: Writes[Any, T]) -> T | StoreBusy:
        if write.grows and write.grows(write.arguments[0]) > room(self._cursor):
            return StoreBusy("the disk is full")
        return write.run(self._cursor, write.arguments)[0]

    def _note_wal(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._wal.update(pages)
        return apsw.SQLITE_OK

    def _checkpoint(self) -> None:
        idle = self._queue.idle and self._wal.pages >= CHECKPOINT_PAGES
        if not (idle or self._wal.pages >= CHECKPOINT_NOW_PAGES) or self._failure:
            return
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._wal.pages = 0  # if all was copied; the next commit reports the real number
        except BUSY:
            pass  # nothing is lost: the data stays in the WAL, and the next commit checkpoints
        except FATAL as error:
            self._give_up(_failed("the disk failed in a checkpoint", error))

    def _answer_cuts(self) -> None:
        while self._cuts:
            done, cut = self._cuts.pop(), self._cut()
            done.get_loop().call_soon_threadsafe(_answer, done, cut)

    def _cut(self) -> bool:
        """Copy what is in the log first, beside readers; then nothing is left to be done while it is cut."""
        if self._failure:
            return False
        try:
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._connection.set_busy_timeout(0)  # no commit is to wait for a reader
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            self._wal.pages = 0
        except BUSY:
            return False
        except FATAL as error:
            self._give_up(_failed("the disk failed in a checkpoint", error))
            return False
        else:
            return True
        finally:
            self._connection.set_busy_timeout(BUSY_TIMEOUT)

    def _fail_for_moved_file(self, file: str) -> StoreFailed:
        """Checkpoint what can be saved, for the WAL is lost with this process, and fail."""
        if self._files.only_the_wal_is_missing:
            with suppress(apsw.Error):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        return self._give_up(
            StoreFailed(f"{file} was moved, replaced or deleted while it was in use: put it back, then restart")
        )

    def _give_up(self, failure: StoreFailed) -> StoreFailed:
        """Log the failure, for maybe no caller is refused, and have the relay end."""
        self._failure = failure
        # the next start recovers what is on disk; a second sync might report success for pages that are lost
        self._connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        self._failed()
        self._emit(StoreGaveUp(error=str(self._failure)))
        return self._failure


def _answer(done: Future[bool], cut: bool) -> None:
    if not done.done():  # the caller was cancelled
        done.set_result(cut)


def _failed(what: str, error: Exception) -> StoreFailed:
    return StoreFailed(f"{what} ({type(error).__name__}: {error}); restart")


def room(cursor: apsw.Cursor) -> int:
    """Return the bytes of free pages in the file."""
    [(pages, size)] = rows(cursor, "select freelist_count, page_size from pragma_freelist_count, pragma_page_size")
    return int(pages * size)


def _several(batch: Sequence[Writes[Any, Any]]) -> bool:
    return len(batch) > 1 or len(batch[0].arguments) > 1


def _by_kind(batch: Sequence[Writes[Any, Any]]) -> Iterator[tuple[Together[Any, Any], list[int]]]:
    """Group positions in the batch by what runs together; no write overtakes one that was submitted alone."""
    kinds: dict[Together[Any, Any], list[int]] = {}
    for position, writes in enumerate(batch):
        if writes.run is run_each:
            yield from kinds.items()
            kinds = {}
        kinds.setdefault(writes.run, []).append(position)
    yield from kinds.items()


def _refuse(batch: Sequence[Writes[Any, Any]], error: Exception) -> list[_Replies]:
    return [[error] * len(writes.arguments) for writes in batch]
