"""A SQLite store as the spool of a relay: what it must keep until a shared store has it."""

from asyncio import get_running_loop
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import apsw

from relay.errors import ConfigurationError, StoreFailed
from relay.model import Retention
from relay.signals import Emit
from relay.store.archive import ArchiveFolder
from relay.store.records import AckGap, KeepResult
from relay.store.requests import KeepRequest
from relay.store.sqlite import ack_gaps, spooled
from relay.store.sqlite.disk import MEBIBYTE, Space
from relay.store.sqlite.early_purge import keep_room
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.migrate import APPLICATION_ID, newest_schema
from relay.store.sqlite.missing_database import written_at
from relay.store.sqlite.moved_files import SUFFIXES
from relay.store.sqlite.spooled import OldPage
from relay.store.sqlite.sql import rows
from relay.store.sqlite.store import SqliteStore, growth
from relay.store.sqlite.watermark import acked
from relay.store.sqlite.write_queue import run_each
from relay.store.sqlite.writer import BUSY
from relay.store.times import utc_now

VACUUM_FROM = 64 * MEBIBYTE  # bytes of an emptied spool that are given back to the disk


class SqliteSpool(SqliteStore):
    """A file of webhooks that are to be forwarded. Lives in one event loop.

    `name` is the relay's: it stays as long as the file does. So many webhooks are `waiting` to be forwarded, the oldest
    of which arrived at `oldest_at`; `refused` are set apart.
    """

    name: str
    waiting = 0
    refused = 0
    oldest_at: datetime | None = None
    _counted = True  # False: a commit is unknown, and so is whether it changed the numbers

    @classmethod
    def own(
        cls, path: Path, *, emit: Emit, failed: Callable[[], object], space: Space | None = None, init: bool = False
    ) -> Self:
        """Own the spool: made if missing, marked as one. ConfigurationError if it is a relay's own store.

        Raises also what `SqliteStore.open` does.
        """
        check_is_spool(path)
        opened = cls.open(
            path, now=utc_now(), emit=emit, failed=failed, space=space, init=init, written_at=written_at(path)
        )
        with closing(_connect(path)) as connection:
            spooled.mark(connection.cursor())
        opened._look()
        return opened

    def _look(self) -> None:
        cursor = self._reader.cursor()
        [(self.name,)] = rows(cursor, "select name from relays")
        self.clock_offset = spooled.clock_offset(cursor)
        self.waiting, self.oldest_at, self.refused = spooled.contents(cursor)

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    # ---- in

    def spool_many(
        self, requests: Sequence[KeepRequest], on_replies: Callable[[Sequence[KeepResult | Exception]], object]
    ) -> None:
        """As `keep_many`, with what it takes to forward them; no delivery is claimed."""
        self._writer.submit_many(spooled.spool_all, requests, partial(self._count, requests, on_replies), grows=growth)

    def _count(
        self,
        requests: Sequence[KeepRequest],
        on_replies: Callable[[Sequence[KeepResult | Exception]], object],
        replies: Sequence[spooled.Spooled | Exception],
    ) -> None:
        results: list[KeepResult | Exception] = []
        for request, reply in zip(requests, replies, strict=True):
            if isinstance(reply, Exception):
                self._counted = False
                results.append(reply)
                continue
            results.append(reply.result)
            if reply.new:
                self.waiting += 1
                self.oldest_at = self.oldest_at or request.webhook.received_at
        on_replies(results)

    # ---- out

    async def oldest(self, most: int = spooled.MOST_WEBHOOKS) -> OldPage:
        """Return a page of the oldest webhooks, at most so many; empty if none is to be forwarded."""
        if not self._counted:
            self._recount()
        page = await self._read(partial(spooled.oldest, most=most))
        first = page.webhooks[0].request if page.webhooks else None
        if first is not None:
            self.oldest_at = first.webhook.received_at
        return page

    async def forget(self, seqs: Sequence[int]) -> None:
        """Delete webhooks that the shared store has committed, in one transaction."""
        self._counted = False
        gone = await self._writer.submit(lambda cursor: spooled.forget(cursor, seqs))
        self._counted = True
        self.waiting -= gone
        if not self.waiting:
            self.oldest_at = None

    async def set_apart(self, refused: Mapping[int, str]) -> None:
        """Mark webhooks that the shared store refuses, and why; they stay, and are not forwarded until a restart."""
        self._counted = False
        await self._writer.submit(lambda cursor: spooled.set_apart(cursor, refused))
        self._counted = True
        self.waiting -= len(refused)
        self.refused += len(refused)
        if not self.waiting:
            self.oldest_at = None

    async def _cannot_read(self, failure: StoreFailed) -> None:
        """Stop the relay: it would answer 200 for what nobody can forward."""
        if not self._closed:
            await self._writer.submit(partial(_stop_for, failure))

    def _recount(self) -> None:
        """Count anew, behind what is queued: replies are passed on in the order of the commits."""
        self._writer.submit_many(run_each, [spooled.contents], self._take_count)

    def _take_count(self, replies: Sequence[spooled.Contents | Exception]) -> None:
        [counted] = replies
        if not isinstance(counted, Exception):
            self.waiting, self.oldest_at, self.refused = counted
            self._counted = True

    async def shrink(self) -> None:
        """Give the room of an empty spool back to the disk, and have its seqs begin anew."""
        if await self._writer.submit(self._restart):
            await get_running_loop().run_in_executor(self._reading, _shrink, self._path)

    def _restart(self, cursor: apsw.Cursor) -> bool:
        """Lower the watermark first: a crash before the commit leaves one that shows less, never a false alarm."""
        if not spooled.restart(cursor):
            return False
        if self._owned:
            self._owned[1].advance(0)
        return True

    # ---- what else it remembers

    async def remember_clock(self, offset: timedelta) -> None:
        """Remember by how much the shared store's clock is ahead of this machine's."""
        await self._writer.submit(lambda cursor: spooled.remember_clock_offset(cursor, offset))
        self.clock_offset = offset

    async def note_loss(self, count: int) -> None:
        """Record that so many webhooks at most were in a spool that is gone."""
        gap = AckGap(count=count, after=None, noticed_at=self.clock())
        await self._writer.submit(lambda cursor: ack_gaps.record(cursor, 1, gap))

    async def forget_losses(self) -> None:
        """Report losses no more: the shared store has recorded them."""
        await self._writer.submit(lambda cursor: ack_gaps.hand_over(cursor, utc_now()))

    def background(
        self, retention: Callable[[], Retention], archive: Callable[[], ArchiveFolder | None] = lambda: None
    ) -> Sequence[Coroutine[Any, Any, None]]:
        """Only what keeps room on the disk: nothing is purged before it is forwarded."""
        if self._space is None:
            return []
        return [keep_room(self._space, purge=lambda: self.purge_early(now=self.clock()), emit=self._emit)]


def check_is_spool(path: Path) -> None:
    """ConfigurationError if the file is a relay's own store: its history must never be forwarded."""
    with suppress(apsw.Error), closing(_connect(path)) as connection:  # what is no database is for `open` to say
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        if connection.pragma("application_id") == APPLICATION_ID and spooled.is_another_store(connection.cursor()):
            raise ConfigurationError(
                f"{path} is the store of a relay, not a spool: name another file with --spool; a store moves into"
                " PostgreSQL by `relay move`"
            )


def check_may_be_spool(path: Path) -> None:
    """ConfigurationError if the file is not a relay's, and no relay's files are beside it: it is not ours to rename.

    To be called before anything is made beside it.
    """
    if any(Path(f"{path}{suffix}").exists() for suffix in (".acked", ".lock")) or not path.is_file():
        return
    with suppress(*BUSY):
        try:
            with closing(_connect(path)) as connection:
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                if connection.pragma("application_id") == APPLICATION_ID or connection.pragma("schema_version") == 0:
                    return
                what = "a database of another program"
        except (apsw.NotADBError, apsw.CorruptError):
            what = "not a database"
        raise ConfigurationError(f"{path} is {what}, and no spool: name another file with --spool")


def is_spool(path: Path) -> bool:
    """Whether the file was marked as a spool; what cannot be read may have been."""
    with suppress(apsw.Error), closing(_connect(path)) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        return spooled.is_marked(connection.cursor())
    return True


def of_newer_relay(path: Path) -> bool:
    """Whether a newer relay wrote the file: it is not damaged, this relay is too old for it."""
    with suppress(apsw.Error), closing(_connect(path)) as connection:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        version = connection.pragma("user_version")
        return connection.pragma("application_id") == APPLICATION_ID and int(str(version)) > newest_schema()
    return False


def set_aside(path: Path, suffix: str) -> int:
    """Rename a spool that cannot be opened, with the files beside it; return how many webhooks it held at most.

    StoreLocked if another relay has it.
    """
    lock = Lock(path)
    try:
        held = acked(path)
        for each in (*SUFFIXES, ".acked"):
            with suppress(FileNotFoundError):
                Path(f"{path}{each}").rename(f"{path}{suffix}{each}")
    finally:
        lock.release()
    return held


def _stop_for(failure: StoreFailed, _cursor: apsw.Cursor) -> None:
    raise failure


def _connect(path: Path) -> apsw.Connection:
    """Open what is there, beside the store's own connections; an apsw.Error if nothing is."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    connection.set_busy_timeout(1_000)
    connection.pragma("synchronous", "full")
    connection.pragma("wal_autocheckpoint", 0)
    return connection


def _shrink(path: Path) -> None:
    with suppress(*BUSY), closing(_connect(path)) as connection:  # else when it is empty the next time
        if path.stat().st_size > VACUUM_FROM:
            connection.execute("vacuum")
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
