"""The SQLite store: `keep`, `claim`, `settle` … -> rows of `migrations/`, every write through one Writer."""

import asyncio
import time
from asyncio import AbstractEventLoop, Future, get_running_loop
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from relay.clock import TOLERANCE, Clock
from relay.errors import ConfigurationError, CorruptError, StoreBusy, StoreFailed, StoreLocked, StoreUnsafe
from relay.model import Delivery, Json, Outcome, Retention, RoutedEvent, Verdict, Webhook
from relay.model.heal import Hook
from relay.signals import AcksMissing, ClockSet, DiskSpace, Emit, Notice
from relay.store.archive import ArchiveFolder
from relay.store.audit_filter import AuditFilter
from relay.store.claim_tokens import Tokens
from relay.store.contract import CLOSED, ErasureStore
from relay.store.purge_loop import keep_purging
from relay.store.records import (
    AckGap,
    AuditEntry,
    DeliveryRecord,
    Due,
    EventRecord,
    Filter,
    HealthReport,
    KeepResult,
    OldSnapshot,
    Page,
    Sizes,
    SpoolState,
    Status,
    WebhookRecord,
)
from relay.store.requests import KeepRequest, Settlement, Windows
from relay.store.sqlite import (
    ack_gaps,
    audit,
    backup,
    claims,
    dismiss,
    ingest,
    listings,
    migrate,
    purge,
    reading,
    replay,
    target_conditions,
)
from relay.store.sqlite.disk import Space, disk_of, doubt, mounted
from relay.store.sqlite.early_purge import ROOM_TO_WORK, EarlyPurge, keep_room
from relay.store.sqlite.enrichments import SqliteEnrichments
from relay.store.sqlite.entity_index import keep_indexed
from relay.store.sqlite.erasure import SqliteErasure
from relay.store.sqlite.guards import Guards
from relay.store.sqlite.healing import SqliteHealing
from relay.store.sqlite.lock import Lock, owner_pid
from relay.store.sqlite.missing_database import check_exists, check_not_emptied, check_not_lost
from relay.store.sqlite.moved_files import SUFFIXES, Files, check_permitted, refused
from relay.store.sqlite.owner import register
from relay.store.sqlite.questions import SqliteQuestions
from relay.store.sqlite.rewriting import Rewriting
from relay.store.sqlite.session_key_file import SessionKeyFile
from relay.store.sqlite.sql import PREPARED, Row, rows
from relay.store.sqlite.wal import LONGEST_WAL, Wal
from relay.store.sqlite.watermark import Watermark
from relay.store.sqlite.writer import BUSY, BUSY_TIMEOUT, FATAL, Writer
from relay.store.times import span, to_ms, utc_now

T = TypeVar("T")

CLOCK_AGAIN = 1.0  # seconds until what waits is moved once more, if the store was busy
UNREADABLE = (TypeError, ValueError, AttributeError, OverflowError)  # UnicodeDecodeError is a ValueError
OLDEST_SAFE_SQLITE = 3_051_003  # sqlite.org/wal.html#walresetbug: before it, two checkpoints at once may corrupt


class SqliteStore:
    """An `Archive` in one file; see `contract` for what each verb promises.

    `open` makes the owner, of which there is one; `visit` is for commands beside a running daemon.
    """

    def __init__(
        self,
        path: Path,
        connection: apsw.Connection,
        owned: tuple[Lock, Watermark] | None,
        tokens: Tokens | None,
        *,
        emit: Emit,
        failed: Callable[[], object],
        space: Space | None = None,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        clock_set: Callable[[timedelta], object] = lambda _by: None,
    ) -> None:
        self._path = path
        self._emit = emit
        self.clock: Callable[[], datetime] = Clock(wall=wall, steady=steady, was_set=self._clock_was_set)
        self._on_clock_set = clock_set
        self._steady = steady
        self._owned = owned
        self._tokens = tokens
        self._keep_all = partial(ingest.keep_all, tokens)  # one object: what is written together is told by it
        self._connection = connection
        self._space = space
        self._reader = _connect(path, read_only=True)
        wal = Wal(interrupt=self._reader.interrupt, emit=emit)
        self._writer = Writer(
            connection,
            files=Files(path),
            wal=wal,
            acked=owned[1] if owned else None,
            lock=owned[0] if owned else None,
            tokens=tokens,
            space=space,
            emit=emit,
            failed=failed,
        )
        self._early_purge = EarlyPurge(self._read, self._writer.submit)
        self.guard = Guards(self._read, self._writer.submit)
        self.healing = SqliteHealing(self._read, self._writer.submit)
        self.enrichments = SqliteEnrichments(self._read, self._writer.submit)
        self._rewriting = Rewriting(
            self._read,
            self._writer.submit,
            self._writer.cut_log,
            self._has_room,
            emit,
            wanted=owned[0].wanted if owned else lambda: False,
        )
        self.erasure: ErasureStore = SqliteErasure(path, self._read, self._writer.submit, self._rewrite)
        self.questions = SqliteQuestions(self._read, self._writer.submit)
        self._reading = ThreadPoolExecutor(1, thread_name_prefix="relay-read")
        self._loop: AbstractEventLoop = get_running_loop()
        self._closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        now: datetime,
        emit: Emit,
        failed: Callable[[], object],
        space: Space | None = None,
        init: bool = False,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        clock_set: Callable[[timedelta], object] = lambda _by: None,
        written_at: datetime | None = None,
        gives_way: bool = False,
    ) -> Self:
        """Own the database: made if missing, migrated, what a dead owner had claimed is due again at `now`.

        `wall` and `steady` are those of `Clock`; `clock_set` is called, with the difference, when the wall clock was
        set. `written_at`: the last write by the clock of then; if that is ahead of `now`, the clock was set since.
        `gives_way`: see `Lock`. One that is evidently gone is made anew only by `init`. With a `space` it gets along
        with a full disk. Raises StoreLocked, StoreUnsafe, StoreFailed if it is corrupt, StoreBusy if another program
        locks it, or ConfigurationError if the file cannot be opened.
        """
        check_permitted(path, owner=True)
        if not path.parent.is_dir():
            raise ConfigurationError(
                f"no folder {path.parent} for the store {path.name}: make it, or name another --store"
            )
        with ExitStack() as undo:
            lock = Lock(path, gives_way=gives_way)
            undo.callback(lock.undo)
            acked = Watermark.open(path)
            undo.callback(acked.undo)
            check_not_lost(path, acked.seq, init=init)
            undo.callback(_remove_new_files, path, made=not path.exists())
            path.touch(mode=0o600)  # what is in it is nobody else's business; SQLite's other files follow it
            with _as_store_errors(path):
                connection = _connect(path)
                undo.callback(_abandon, connection)
                check_not_emptied(connection, path, acked, init=init, emit=emit)
                tokens = _make_ready(connection, path, acked, now, emit)
            _check_clock(connection, written_at, now, emit)
            store = cls(
                path,
                connection,
                (lock, acked),
                tokens,
                emit=emit,
                failed=failed,
                space=space,
                wall=wall,
                steady=steady,
                clock_set=clock_set,
            )
            undo.pop_all()
        return store

    @classmethod
    def visit(cls, path: Path) -> Self:
        """Read and write beside the owner, if there is one.

        Raises ConfigurationError if there is no database, StoreUnsafe if it is gone or none of this version.
        """
        check_exists(path)
        with _as_store_errors(path):
            connection = _connect(path)
            _check_durability(connection, path)
            migrate.check_version(connection, str(path))
        return cls(path, connection, None, None, emit=lambda _signal: None, failed=lambda: None)

    # ---- what the daemon does all day

    def keep(
        self,
        webhook: Webhook,
        routed: Sequence[RoutedEvent],
        *,
        now: datetime | None = None,
        window: timedelta | None = None,
        dated: timedelta | None = None,
        hooks: Sequence[Hook] = (),
    ) -> Future[KeepResult]:
        request = KeepRequest(webhook, routed, now, Windows(window, dated), hooks)
        return self._writer.submit_one_of_many(self._keep_all, request, grows=growth)

    def keep_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        self._writer.submit_many(self._keep_all, requests, on_replies, grows=growth)

    def share(self, target: str) -> tuple[int, int]:
        return 1, 1  # SQLite has one owner

    def leads(self) -> bool:
        return True  # SQLite has one owner

    def owns(self) -> bool:
        return True  # nobody else claims before this process has ended

    def clock_set(self, by: timedelta, now: datetime) -> Future[None]:
        """Move leases forward, or due times back, with a clock that was set by `by` and says `now`.

        Repeated, it has deliveries due sooner than they need be.
        """
        milliseconds = by // timedelta(milliseconds=1)
        return self._writer.submit(lambda cursor: claims.clock_set(cursor, milliseconds, to_ms(now)))

    async def claim(
        self, target: str, *, limit: int, max_bytes: int, now: datetime, lease: timedelta
    ) -> list[Delivery]:
        if (tokens := self._tokens) is None:
            return []  # no owner
        at, until = to_ms(now), to_ms(now + lease)
        done = self._writer.submit(lambda cursor: claims.claim(cursor, tokens, target, limit, max_bytes, at, until))
        try:
            return await asyncio.shield(done)
        except asyncio.CancelledError:
            done.add_done_callback(self._give_back)  # else nobody would have them until their leases end
            raise

    def _give_back(self, done: Future[list[Delivery]]) -> None:
        if not done.cancelled() and done.exception() is None and done.result() and not self._closed:
            keys = _keys(done.result(), self.clock())
            self._writer.submit(lambda cursor: claims.release(cursor, keys)).add_done_callback(_seen)

    def settle(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, *, now: datetime) -> Future[bool]:
        [settlement] = self._shortened([Settlement(delivery, outcome, verdict, now)])
        return self._writer.submit_one_of_many(claims.settle_all, settlement)

    def settle_many(
        self,
        settlements: Sequence[Settlement],
        on_replies: Callable[[Sequence[bool | Exception]], object],
        *,
        may_wait: bool = False,
    ) -> None:
        self._writer.submit_many(claims.settle_all, self._shortened(settlements), on_replies, may_wait=may_wait)

    def _shortened(self, settlements: Sequence[Settlement]) -> Sequence[Settlement]:
        """Drop what targets answered while the disk has little room."""
        if self._space is None or self._space.level > DiskSpace.LOW:
            return settlements
        return [each._replace(outcome=replace(each.outcome, detail="")) for each in settlements]

    async def release(self, deliveries: Sequence[Delivery], *, now: datetime) -> int:
        keys = _keys(deliveries, now)
        return await self._writer.submit(lambda cursor: claims.release(cursor, keys))

    async def due(self, targets: Sequence[str]) -> Due:
        return await self._read(lambda cursor: claims.due(cursor, targets), first=True)

    async def fulfil_probes(self, requested: Mapping[str, datetime]) -> None:
        await self._writer.submit(lambda cursor: target_conditions.fulfil_probes(cursor, requested))

    async def publish_health(self, conditions: Mapping[str, HealthReport]) -> None:
        await self._writer.submit(lambda cursor: target_conditions.publish_health(cursor, conditions))

    async def published_health(self) -> Mapping[str, HealthReport]:
        return await self._read(target_conditions.conditions)

    async def publish(self, name: str, value: Json, *, now: datetime) -> None:
        await self._writer.submit(lambda cursor: target_conditions.publish(cursor, name, value, now))

    async def give_way(self) -> None:
        await self._writer.readers.wait()

    async def status(self) -> Status:
        status = await self._read(lambda cursor: reading.status(cursor, owner_pid(self._path), self.clock()))
        return replace(status, disk=disk_of(self._path.parent))

    async def purge(
        self,
        retention: Retention,
        *,
        now: datetime,
        act: AuditEntry | None = None,
        dry_run: bool = False,
        archive: ArchiveFolder | None = None,
    ) -> Mapping[str, int]:
        counts = await purge.purge(self._read, self._writer.submit, retention, now, act, dry_run, archive)
        if not dry_run:
            await self.healing.purge(now)
        return counts

    async def probe(self) -> None:
        await self._writer.submit(_rewrite_version, grows=ROOM_TO_WORK)

    async def purge_early(self, *, now: datetime, archive: ArchiveFolder | None = None) -> int:
        """Delete delivered history, the oldest first, until there is room for more in the file; how many webhooks."""
        return await self._early_purge.purge_early(now, archive)

    async def audit_changes(self, after: str | None) -> tuple[str, list[AuditEntry]]:
        return await self._read(lambda cursor: audit.changed(cursor, after))

    async def losses(self) -> Sequence[AckGap]:
        return await self._read(ack_gaps.losses)

    def background(
        self, retention: Callable[[], Retention], archive: Callable[[], ArchiveFolder | None] = lambda: None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        purging = keep_purging(
            self,
            retention=retention,
            archive=archive,
            wall=lambda: self.clock().timestamp(),
            steady=self._steady,
            emit=self._emit,
        )
        indexing = keep_indexed(self._read, partial(self._writer.submit, grows=ROOM_TO_WORK))
        rewriting = self._rewriting.keep_rewriting()
        if self._space is None:
            return [purging, indexing, rewriting]
        return [
            purging,
            indexing,
            rewriting,
            keep_room(
                self._space, purge=lambda: self.purge_early(now=self.clock(), archive=archive()), emit=self._emit
            ),
        ]

    def _has_room(self) -> bool:
        return self._space is None or self._space.level > DiskSpace.LOW

    async def _rewrite(self) -> None:
        """Rewrite the file, or have its owner do so, which looks for it all the time; without one, own it meanwhile.

        A daemon that starts meanwhile gets the store within some ms, and rewrites it anew.
        """
        if self._owned:
            return await self._rewriting.rewrite()
        with suppress(StoreLocked):
            owner = type(self).open(self._path, now=utc_now(), emit=self._emit, failed=lambda: None, gives_way=True)
            try:
                return await owner._rewriting.rewrite()
            finally:
                await owner.close()

    def sizes(self) -> Sizes:
        files = (self._path, Path(f"{self._path}-wal"))
        used = sum(file.stat().st_size for file in files if file.exists())
        return Sizes(used=used, free=disk_of(self._path.parent).free)

    def oldest_snapshot(self) -> OldSnapshot | None:
        return None  # nothing is vacuumed

    def doubts(self) -> str | None:
        return doubt(self._path, mounted())

    def publish_config(self, digest: str) -> None:
        pass  # one relay owns it: nobody's routes differ

    def spool(self) -> SpoolState | None:
        return None

    # ---- what operators ask

    async def starting(self, start: str, *, limit: int) -> list[str]:
        return await self._read(lambda cursor: reading.starting(cursor, start, limit))

    async def find(
        self, wanted: Filter, *, limit: int, before: str | None = None, budget: timedelta | None = None
    ) -> Page[DeliveryRecord]:
        return await listings.deliveries(self._read, wanted, limit, before, budget)

    async def count(self, wanted: Filter, *, replayable: bool = False) -> Mapping[str, int]:
        return await self._read(lambda cursor: reading.count(cursor, wanted, replayable))

    async def show(self, id_: str) -> WebhookRecord | None:
        return await self._read(lambda cursor: reading.show(cursor, id_))

    async def unparsed(
        self, *, limit: int, after: str | None = None, dismissed: bool = False, most: int | None = None
    ) -> Page[Webhook]:
        return await self._read(lambda cursor: reading.unparsed(cursor, limit, after, dismissed, most))

    async def webhooks(
        self,
        *,
        limit: int,
        max_bytes: int,
        since: datetime | None = None,
        until: datetime | None = None,
        after: str | None = None,
    ) -> Page[WebhookRecord]:
        asked = (span(since, until), limit, max_bytes, after)
        return await self._read(lambda cursor: reading.webhooks(cursor, *asked))

    async def events(
        self,
        wanted: Filter,
        *,
        limit: int,
        after: str | None = None,
        unrouted: bool = False,
        budget: timedelta | None = None,
    ) -> Page[EventRecord]:
        return await listings.events(self._read, wanted, limit, after, unrouted, budget)

    async def replay(self, wanted: Filter, act: AuditEntry, *, rate: float | None = None) -> int:
        return await replay.replay(self._read, self._writer.submit, wanted, act, rate)

    async def reroute(
        self, routed: Sequence[RoutedEvent], act: AuditEntry, *, rate: float | None = None, missing: bool = False
    ) -> int:
        return await self._writer.submit(lambda cursor: replay.reroute(cursor, routed, act, rate, missing=missing))

    async def reroutable(self, routed: Sequence[RoutedEvent], *, missing: bool = False) -> Mapping[str, int]:
        return await self._read(lambda cursor: replay.reroutable(cursor, routed, missing=missing))

    async def drop(self, target: str, act: AuditEntry) -> int:
        return await dismiss.drop(self._read, self._writer.submit, target, act)

    async def dismiss(self, wanted: Filter, act: AuditEntry) -> int:
        return await dismiss.dismiss(self._read, self._writer.submit, wanted, act)

    async def dismiss_unparsed(self, ids: Sequence[str], act: AuditEntry) -> int:
        return await dismiss.dismiss_unparsed(self._writer.submit, ids, act)

    async def pause(self, target: str, act: AuditEntry) -> bool:
        return await self._writer.submit(lambda cursor: target_conditions.pause(cursor, target, act))

    async def resume(self, target: str, act: AuditEntry) -> bool:
        return await self._writer.submit(lambda cursor: target_conditions.resume(cursor, target, act))

    async def reparse(
        self, webhook: Webhook, routed: Sequence[RoutedEvent], act: AuditEntry, hooks: Sequence[Hook] = ()
    ) -> bool:
        return await self._writer.submit(lambda cursor: ingest.reparse(cursor, webhook, routed, act, hooks))

    async def end_sessions(self, act: AuditEntry) -> None:
        await SessionKeyFile(self._path).replace()
        await self.record_audit(act, 1)

    async def record_audit(self, act: AuditEntry, count: int) -> None:
        await self._writer.submit(lambda cursor: audit.record(cursor, act, count))

    async def accept_losses(self, act: AuditEntry) -> int:
        return await self._writer.submit(lambda cursor: ack_gaps.accept(cursor, act))

    async def audit(
        self,
        *,
        limit: int,
        before: str | None = None,
        id_: str | None = None,
        who: str | None = None,
        command: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> Page[AuditEntry]:
        wanted = AuditFilter(id=id_, who=who, command=command, since=since, until=until)
        return await self._read(lambda cursor: audit.audit(cursor, limit, before, wanted))

    async def close(self) -> None:
        self._closed = True
        await self._writer.close()
        self._reading.shutdown(wait=False, cancel_futures=True)  # first, or another read would begin
        self._reader.interrupt()
        # beside the loop, whose timer ends a stop that takes too long
        await self._loop.run_in_executor(None, self._reading.shutdown)
        self._reader.close()
        try:
            self._connection.close()
        finally:
            if self._owned:
                lock, acked = self._owned
                acked.close()
                lock.release()

    def _clock_was_set(self, by: timedelta, now: datetime) -> None:
        """Move what is stored before the time is returned: later calls see it moved."""
        self._emit(ClockSet(by=by))
        self._on_clock_set(by)
        self._follow(self.clock_set(by, now), by, now)

    def _follow(self, moved: Future[None], by: timedelta, now: datetime) -> None:
        def again(done: Future[None]) -> None:
            if not done.cancelled() and isinstance(done.exception(), StoreBusy) and not self._closed:
                self._loop.call_later(CLOCK_AGAIN, lambda: self._follow(self.clock_set(by, now), by, now))

        moved.add_done_callback(again)

    async def _read(self, run: Callable[[apsw.Cursor], T], *, first: bool = False) -> T:
        """Read beside commits, and give way to them unless this comes `first`, as what deliveries wait for."""
        if not first:
            await self.give_way()
        if self._closed:
            raise StoreFailed(CLOSED)
        read = self._read_now if first else self._read_after_commits
        try:
            with _as_store_errors(self._path):
                found = await self._loop.run_in_executor(self._reading, read, run)
        except StoreFailed as failure:
            await self._cannot_read(failure)
            raise
        if not first:
            await self.give_way()
        return found

    def _read_now(self, run: Callable[[apsw.Cursor], T]) -> T:
        return run(self._reader.cursor())

    def _read_after_commits(self, run: Callable[[apsw.Cursor], T]) -> T:
        """In the thread that reads."""
        commits, cursor = self._writer.readers.of_one_read(), self._reader.cursor()

        def row_after_commits(_cursor: apsw.Cursor, row: Row) -> Row:
            commits.wait()
            return row

        commits.wait()
        cursor.row_trace = row_after_commits
        return run(cursor)

    async def _cannot_read(self, failure: StoreFailed) -> None:
        """Do what a read that failed asks for beside its error: nothing, webhooks can still be stored and delivered."""


def growth(request: KeepRequest) -> int:
    """Return the bytes of a webhook with its events and the indexes; in doubt it can wait."""
    return ROOM_TO_WORK + 4 * len(request.webhook.body)


def _abandon(connection: apsw.Connection) -> None:
    """Close it after a failure; that a failing disk fails again is no news, and must not mask the first error."""
    with suppress(apsw.Error):
        connection.close()


@contextmanager
def _as_store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except apsw.InterruptError as error:
        raise StoreBusy("cannot read now: interrupted, for the write-ahead log has become too long") from error
    except BUSY as error:
        raise StoreBusy(f"{path} is held by another program, or its disk is full: {error}") from error
    except (*FATAL, apsw.SQLError, apsw.ConstraintError) as error:  # our SQL is good: the schema or a row is corrupt
        if why := refused(path):
            raise ConfigurationError(why) from error
        said = f"{type(error).__name__}: {error}"
        raise StoreFailed(
            f"{path} is corrupt, or its disk fails ({said}): see the disk, then `relay verify`"
        ) from error
    except UNREADABLE as error:  # our code is good: then a value is not what was written
        said = f"{type(error).__name__}: {error}"
        raise CorruptError(f"{path} has a row that cannot be read ({said}): see `relay verify`") from error


def _keys(deliveries: Sequence[Delivery], now: datetime) -> list[tuple[int, int, str, int]]:
    """Return the rows that `claims.release` takes."""
    return [(to_ms(now), each.row, each.target, each.token) for each in deliveries]


def _seen(done: Future[Any]) -> None:
    """Retrieve the error, so that asyncio does not log it: the leases end all the same."""
    if not done.cancelled():
        done.exception()


def _remove_new_files(path: Path, *, made: bool) -> None:
    """After a start that failed: the files that it made hold nothing."""
    if made:
        for suffix in SUFFIXES:
            Path(f"{path}{suffix}").unlink(missing_ok=True)


def _check_clock(connection: apsw.Connection, written_at: datetime | None, now: datetime, emit: Emit) -> None:
    """A store that was written in the future: the clock was set back while nobody looked."""
    if written_at is not None and (ahead := written_at - now) > TOLERANCE:
        emit(ClockSet(by=-ahead))
        claims.clock_set(connection.cursor(), -(ahead // timedelta(milliseconds=1)), to_ms(now))


# ---- connections


def _make_ready(connection: apsw.Connection, path: Path, acked: Watermark, now: datetime, emit: Emit) -> Tokens:
    """Migrate an open database, log missing webhooks, and become its owner."""
    _check_durability(connection, path)
    if schema := migrate.pending(connection):
        copy = backup.before(connection, path, schema)
        emit(Notice(level="info", text="the store is migrated", fields={"schema": schema, "copy": copy and str(copy)}))
    migrate.migrate(connection, str(path))
    if loss := ack_gaps.notice(connection, acked.seq, now):
        emit(AcksMissing(at_most=loss.count, after=loss.after))
    acked.advance(ack_gaps.last_seq(connection.cursor()))
    return register(connection, to_ms(now))


def _connect(path: Path, *, read_only: bool = False) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path), statementcachesize=PREPARED)
        connection.set_busy_timeout(BUSY_TIMEOUT)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "full")
        connection.pragma("wal_autocheckpoint", 0)  # the Writer checkpoints
        # a log that a long reader made grow is cut by the first commit that begins it anew, else it keeps its disk
        connection.pragma("journal_size_limit", LONGEST_WAL)
        connection.pragma("foreign_keys", "on")
        connection.pragma(
            "secure_delete", "on"
        )  # what is purged or erased is overwritten; see `rewriting` for the rest
        connection.pragma("temp_store", "memory")  # what undoes a statement would else go to a file in /tmp, if it may
        connection.pragma("query_only", read_only)
    except apsw.NotADBError:
        raise StoreUnsafe(
            f"{path} is not a database, or is corrupt: restore a backup, or name another file with --store"
        ) from None
    except apsw.CorruptError:
        raise
    except apsw.Error as error:
        raise ConfigurationError(f"cannot open the store {path}: {error}") from error
    return connection


def _check_durability(connection: apsw.Connection, path: Path) -> None:
    """Read the settings back: a promise rests on them, so believe only what SQLite says."""
    mode, synchronous = connection.pragma("journal_mode"), connection.pragma("synchronous")
    if mode != "wal" or synchronous != 2:
        raise StoreUnsafe(
            f"{path}: journal_mode={mode}, synchronous={synchronous}; needed wal and 2 (FULL). Is it a local disk?"
        )
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SAFE_SQLITE:
        raise StoreUnsafe(
            f"SQLite {apsw.sqlite_lib_version()} may corrupt a WAL database: install apsw 3.51.3 or newer"
        )


def _rewrite_version(cursor: apsw.Cursor) -> None:
    """A write that changes nothing: the page goes to the disk all the same."""
    [(version,)] = rows(cursor, "pragma user_version")
    rows(cursor, f"pragma user_version = {version}")
