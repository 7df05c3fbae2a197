"""A file of which rows were erased -> the same file in which no page holds their old bytes.

Freed bytes are overwritten by SQLite (`secure_delete`), but not the copies that it leaves behind where it moves a row
to another page, nor what was freed before that was on. So, in steps between commits:

    1. every free page is used once, for zeros, and freed again
    2. each table: its rows are deleted and inserted again, a window of them at a time; pages that become empty are
       overwritten. The windows of the second pass begin in the middle of those of the first one
    3. the root page, which never becomes empty: rows of zeros, which nobody sees, make it overflow, and are deleted
    4. tables that are always small are made anew
    5. the write-ahead log is checkpointed and cut to nothing

There is no VACUUM: it holds up every commit until it is done.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import apsw

from relay.errors import CorruptError, StoreBusy, StoreFailed, StoreLocked
from relay.signals import Emit, Notice
from relay.store.sqlite.erasure import close_erasures, open_erasures
from relay.store.sqlite.sql import Row, Run, rows
from relay.store.times import to_ms, utc_now

EVERY = 1.0  # seconds between two looks whether anything was erased
AFTER_DAMAGE = 3600.0  # seconds until a file is tried again that could not be read
PAUSE = 0.02  # seconds between steps, in which others write
AGAIN = 0.1  # seconds after a reader needed the log
PAGES = 64  # filled in a step
PASSES = 2
ZEROS = 400  # rows that make any root page overflow
MOST = 20_000  # rows of a table that is made anew
LARGE = 256 * 1024  # bytes of a window's rows
TEXT_KEYS = frozenset({"target", "source", "channel", "event_id"})  # columns of keys that are texts

Columns: TypeAlias = Sequence[tuple[str, bool]]
"""Each with whether it is a text."""


class Table(NamedTuple):
    """A table with texts of people, its key, how many of its rows are a window, and the column that may be large."""

    name: str
    key: tuple[str, ...]
    window: int
    large: str

    @property
    def keys(self) -> str:
        """The key's columns as SQL."""
        return ", ".join(self.key)

    @property
    def holes(self) -> str:
        """As many placeholders."""
        return ", ".join("cast(? as text)" if name in TEXT_KEYS else "?" for name in self.key)

    @property
    def read_keys(self) -> str:
        """The key's columns, to be read."""
        return ", ".join(f"cast({name} as blob)" if name in TEXT_KEYS else name for name in self.key)

    @property
    def least(self) -> str:
        """What only rows of zeros are below, as SQL."""
        return "'!'" if self.key[0] in TEXT_KEYS else "0"

    @property
    def zeros(self) -> int:
        """Bytes of a row of which as few as possible fit into a page, and none is outside of it."""
        return 3_900 if len(self.key) == 1 else 900


TABLES = (
    Table("webhooks", ("seq",), 128, "body"),
    Table("events", ("seq",), 128, "payload"),
    Table("enrichments", ("event",), 128, "value"),
    Table("audit", ("seq",), 64, "details"),
    # without rowids: inner pages hold rows, too, so a window is all rows below one of them
    Table("deliveries", ("event", "target"), 1_000, "why"),
    Table("attempts", ("event", "target", "number"), 1_000, "detail"),
    Table("heal_events", ("source", "channel", "event_id"), 1_000, "before"),
)
SMALL = ("conditions", "pauses", "reports", "guards", "heal_requests")


class Rewriting:
    """Rewrites the file of one owner. `cut_log`: see `Writer.cut_log`.

    `may`: whether the disk has room; on one that is full the free pages are for webhooks. `wanted`: whether a daemon
    waits for the file, which then goes on with it.
    """

    def __init__(
        self,
        read: Run,
        write: Run,
        cut_log: Callable[[], Awaitable[bool]],
        may: Callable[[], bool],
        emit: Emit,
        *,
        wanted: Callable[[], bool],
    ) -> None:
        self._read = read
        self._write = write
        self._cut_log = cut_log
        self._may = may
        self._emit = emit
        self._wanted = wanted
        self._lock = asyncio.Lock()

    async def keep_rewriting(self) -> None:
        """Rewrite for ever, whenever somebody has erased something; the caller cancels it.

        A part of the file that cannot be read ends no relay: the erasure stays open, and is tried again.
        """
        while True:
            pause = EVERY
            try:
                await self.rewrite()
            except StoreBusy:
                pass  # a disk that is full: the next time
            except (StoreFailed, CorruptError) as error:
                self._emit(Notice(level="error", text="erased data stays in the store", fields={"error": str(error)}))
                pause = AFTER_DAMAGE
            await asyncio.sleep(pause)

    async def rewrite(self) -> None:
        """Rewrite the file if there is an erasure after which it was not; StoreLocked once it is wanted."""
        async with self._lock:
            if not (found := await self._read(open_erasures)):
                return
            if not self._may():
                await self._unfill()  # of one that was killed
                return
            if not await self._fill_free_pages():
                return
            for table in TABLES:  # a page that cannot be read fails here, and not the thread that writes
                async for _ in self._windows(table, table.window):
                    pass
            for table in TABLES:
                for number in range(PASSES):
                    await self._rewrite(table, first=number * table.window // 2)
                await self._step(partial(_overflow_root, table=table))
            for name in SMALL:
                await self._step(partial(_make_anew, name=name))
            await self._cut()
            await self._write(partial(close_erasures, acts=[each.act for each in found], now=to_ms(utc_now())))

    async def _fill_free_pages(self) -> bool:
        """Use all of them at once; those that others free meanwhile are overwritten already.

        False if the disk has no room any more: webhooks need them.
        """
        free = await self._step(_begin_filling)
        for _ in range(2 * free // PAGES + 2):
            if not self._may():
                await self._unfill()
                return False
            if not await self._step(_fill):
                break
        await self._unfill()
        return True

    async def _unfill(self) -> None:
        if not await self._read(_is_filled):
            return
        while await self._step(_unfill):
            pass
        await self._step(_end_filling)

    async def _rewrite(self, table: Table, *, first: int) -> None:
        async for window in self._windows(table, first or table.window):
            await self._step(partial(_insert_again, table=table, first=window[0], last=window[-1]))

    async def _windows(self, table: Table, most: int) -> AsyncIterator[list[Row]]:
        """Up to the rows that are there now: those that are inserted meanwhile hold nothing of what was erased."""
        after: Row | None = None
        [(last,)] = await self._read(partial(rows, sql=f"select max({table.key[0]}) from {table.name}"))
        while window := await self._read(partial(_window, table=table, after=after, last=last, most=most)):
            yield window
            self._give_way()
            after, most = window[-1], table.window

    async def _step(self, run: Callable[[apsw.Cursor], int]) -> int:
        done = await self._write(run)
        await asyncio.sleep(PAUSE)  # a cancelled call stops here
        self._give_way()
        return done

    def _give_way(self) -> None:
        if self._wanted():
            raise StoreLocked("a relay starts, and goes on with the rewriting")

    async def _cut(self) -> None:
        while not await self._cut_log():  # noqa: ASYNC110  a reader needs it: none of ours does for long
            await asyncio.sleep(AGAIN)


def _begin_filling(cursor: apsw.Cursor) -> int:
    cursor.execute("create table if not exists zeros (page blob)")
    return _free(cursor)


def _fill(cursor: apsw.Cursor) -> int:
    """Use free pages; return how many are left."""
    [(size,)] = rows(cursor, "select page_size from pragma_page_size")
    cursor.executemany("insert into zeros values (zeroblob(?))", [(size - 64,)] * min(_free(cursor), PAGES))
    return _free(cursor)


def _free(cursor: apsw.Cursor) -> int:
    [(free,)] = rows(cursor, "select freelist_count from pragma_freelist_count")
    return int(free)


def _is_filled(cursor: apsw.Cursor) -> bool:
    return bool(rows(cursor, "select 1 from sqlite_schema where name = 'zeros'"))


def _unfill(cursor: apsw.Cursor) -> int:
    sql = "delete from zeros where rowid in (select rowid from zeros order by rowid limit ?) returning 1"
    return len(rows(cursor, sql, (PAGES,)))


def _end_filling(cursor: apsw.Cursor) -> int:
    cursor.execute("drop table zeros")
    return 0


def _window(cursor: apsw.Cursor, table: Table, after: Row | None, last: int | None, most: int) -> list[Row]:
    """Return the keys of the next rows, fewer if they are large. The rows are read as a whole."""
    later = f"and ({table.keys}) > ({table.holes})" if after else ""
    those = f"where {table.key[0]} <= ? {later} order by {table.keys} limit ?"
    columns = f"{table.read_keys}, length({table.large}), {_read(_columns(cursor, table.name))}"
    sql = f"select {columns} from {table.name} {those}"
    window: list[Row] = []
    size = 0
    for row in rows(cursor, sql, (last, *(after or ()), most)):
        size += row[len(table.key)] or 0
        if window and size > LARGE:
            break
        window.append(tuple(row[: len(table.key)]))
    return window


def _insert_again(cursor: apsw.Cursor, table: Table, first: Row, last: Row) -> int:
    cursor.execute("pragma defer_foreign_keys = on")  # until the end of this transaction
    which = f"where ({table.keys}) >= ({table.holes}) and ({table.keys}) <= ({table.holes})"
    columns = _columns(cursor, table.name)
    sql = f"select {_read(columns)} from {table.name} {which} order by {table.keys}"
    found = rows(cursor, sql, (*first, *last))
    cursor.execute(f"delete from {table.name} {which}", (*first, *last))
    _insert(cursor, table.name, columns, found)
    return len(found)


def _overflow_root(cursor: apsw.Cursor, table: Table) -> int:
    """Insert rows of zeros before all others and delete them, in one transaction."""
    cursor.execute("pragma defer_foreign_keys = on")  # they refer to nothing
    found = rows(cursor, "select name, type from pragma_table_info(?)", (table.name,))
    names = [name for name, _type in found]
    sql = f"insert into {table.name} ({', '.join(names)}) values ({', '.join('?' * len(names))})"
    cursor.executemany(
        sql, [[_zero(table, name, type_, number) for name, type_ in found] for number in range(1, ZEROS + 1)]
    )
    cursor.execute(f"delete from {table.name} where {table.key[0]} < {table.least}")
    return ZEROS


def _zero(table: Table, name: str, type_: str, number: int) -> object:
    if name == table.key[0]:
        return " " if name in TEXT_KEYS else -number
    if name == table.large:
        return bytes(table.zeros) if type_.lower() == "blob" else " " * table.zeros
    if name == "state":
        return "delivered"
    return f"zero-{number}" if type_.lower() == "text" else 0


def _make_anew(cursor: apsw.Cursor, name: str) -> int:
    """Drop a small table and create it as it was: every page of it is overwritten."""
    columns = _columns(cursor, name)
    found = rows(cursor, f"select {_read(columns)} from {name} limit ?", (MOST + 1,))
    if len(found) > MOST:
        return 0
    made = rows(cursor, "select sql from sqlite_schema where tbl_name = ? and sql is not null order by rowid", (name,))
    cursor.execute(f"drop table {name}")
    for (sql,) in made:
        cursor.execute(sql)
    _insert(cursor, name, columns, found)
    return len(found)


def _columns(cursor: apsw.Cursor, name: str) -> Columns:
    found = rows(cursor, "select name, type from pragma_table_info(?)", (name,))
    return [(column, type_.lower() == "text") for column, type_ in found]


def _read(columns: Columns) -> str:
    """Texts as their bytes: what a disk has made of them need not be UTF-8."""
    return ", ".join(f"cast({name} as blob)" if is_text else name for name, is_text in columns)


def _insert(cursor: apsw.Cursor, name: str, columns: Columns, found: Sequence[Row]) -> None:
    holes = ", ".join("cast(? as text)" if is_text else "?" for _name, is_text in columns)
    if found:
        cursor.executemany(f"insert into {name} values ({holes})", found)
