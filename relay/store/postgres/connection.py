"""One connection to PostgreSQL that comes back: transactions go out whole, and end in time.

A transaction whose statements are known beforehand is one write and one read (pipeline mode): no lock is ever held
across a pause of this process. After `DEADLINE` the socket is shut down and the outcome is unknown. Nothing is ever
cancelled: a commit that waits for a synchronous standby and is cancelled succeeds, with a warning.
"""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeVar

import psycopg
from psycopg.errors import InsufficientPrivilege, QueryCanceled
from psycopg.pq import TransactionStatus

from relay.errors import ConfigurationError, StoreBusy, StoreFailed, StoreUnsafe
from relay.store.contract import CLOSED
from relay.store.postgres import arrays
from relay.store.postgres.failures import (
    AWAY,
    BUGS,
    REFUSED,
    REPEAT,
    Refused,
    cut_details,
    failure_of,
    is_race,
    refused_by_routine,
    text_of,
)
from relay.store.postgres.pipeline import pipelined
from relay.store.postgres.session import BEGIN, PARAMETERS, QUESTION, STATEMENT, UNLIMITED, of_session, of_transaction

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]
Values: TypeAlias = Sequence[Any] | Mapping[str, Any]
Statement: TypeAlias = tuple[str, Values]

DEADLINE = 5.0  # seconds for one transaction, by this process's clock
CONNECT_DEADLINE = 12.0  # seconds for all hosts, and for looking up their names


class Transaction(Protocol):
    """An interactive transaction, for what needs an answer before it goes on; see `Connection.transact`."""

    async def rows(self, sql: str, values: Values = ()) -> list[Row]:
        """Run one statement; return its rows."""
        ...

    async def script(self, sql: str) -> None:
        """Run several statements without values."""
        ...


Interactive: TypeAlias = Callable[[Transaction], Awaitable[T]]
Use: TypeAlias = Callable[["psycopg.AsyncConnection[Row]"], Awaitable[T]]


async def _at_once() -> None:
    pass


class Connection:
    """Runs one transaction at a time, in the order of the calls; StoreBusy if one is not known to be committed.

    What the server refuses for its values is a psycopg.Error, and `Refused` what a trigger refuses; the others that
    were called before are none the worse.

    `made` counts the connections so far. `on_connect` runs on each new one before anything else. With `by_itself` a
    transaction makes the connection that it lacks; else only `connect` does, and without one a transaction is refused.
    Without `prepare` a session is nobody's, as behind PgBouncer: settings are those of each transaction.
    `gate` runs before each transaction that does not pass it by: it sees to it that the schema is there. With
    `unfit_is_away` a server that `gate` or `on_connect` refuses is StoreBusy to those, as if it were away.
    `questions`: a command's, which only read, of a history of any size; they may take longer. `between` is awaited
    before and after each transaction.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        name: str,
        prepare: bool = True,
        on_connect: Callable[[Transaction], Awaitable[None]] | None = None,
        by_itself: bool = True,
        gate: Callable[[], Awaitable[None]] | None = None,
        unfit_is_away: bool = False,
        questions: bool = False,
        between: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.made = 0
        self._questions = questions
        self._between = between or _at_once
        seconds = QUESTION if questions else STATEMENT
        self._of_session = of_session(seconds)
        self._of_transaction = of_transaction(seconds)
        self._gate = gate
        self._unfit_is_away = unfit_is_away
        self._by_itself = by_itself
        self._conninfo = conninfo
        self._name = name
        self._prepare = 0 if prepare else None  # 0: every statement, from its first use
        self._own_session = prepare
        self._on_connect = on_connect
        self._connection: psycopg.AsyncConnection[Row] | None = None
        self._lock = asyncio.Lock()
        self._warned = False  # the server had a warning about the present transaction
        self._closed = False
        self._ended = False
        self._given_up = False
        self._making: asyncio.Timeout | None = None  # the connection that is being made
        self._drops = 0  # what waits when a connection is dropped fails with it
        self._why = ""

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as anybody knows."""
        return self._connection is not None

    async def connect(self) -> None:
        """Make the connection unless there is one."""
        await self._alone(_nothing, connect=True)

    async def run(
        self, statements: Sequence[Statement], *, deadline: float | None = None, first: bool = False
    ) -> list[list[Row]]:
        """Run these statements as one transaction; return the rows of each once it is committed.

        `first`: without a wait for what is `between`, as what deliveries wait for, or what measures time.
        """

        def run() -> Awaitable[list[list[Row]]]:
            return self._alone(lambda connection: self._pipeline(connection, statements), deadline=deadline)

        if first:
            return await self._gated(run)
        await self._between()
        found = await self._gated(run)
        await self._between()
        return found

    async def transact(self, interactive: Interactive[T], *, deadline: float | None = None, gated: bool = True) -> T:
        """Run `interactive` in a transaction; return its result once that is committed. It may be repeated."""

        def transact() -> Awaitable[T]:
            return self._alone(lambda connection: self._interactive(connection, interactive), deadline=deadline)

        await self._between()
        found = await (self._gated(transact) if gated else transact())
        await self._between()
        return found

    async def _gated(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            if self._gate:
                await self._gate()
            return await call()
        except (StoreUnsafe, ConfigurationError) as error:
            if not self._unfit_is_away:
                raise
            raise StoreBusy(str(error)) from error

    async def outside(self, sql: str, *, deadline: float, lock_within: str = "0") -> None:
        """Run one statement outside a transaction: what builds an index beside the work must not be in one.

        `lock_within`: StoreBusy if it has no lock by then; 0 waits for it. Behind PgBouncer it is the server's.
        """

        async def run(connection: psycopg.AsyncConnection[Row]) -> None:
            if not self._own_session:
                await connection.execute(sql.encode(), prepare=False)
                return
            await connection.execute(UNLIMITED.format(lock_within=lock_within).encode(), prepare=False)
            try:
                await connection.execute(sql.encode(), prepare=False)
            finally:
                if not connection.closed:
                    await connection.execute(self._of_session, prepare=False)

        await self._alone(run, deadline=deadline)

    def give_up(self, seconds: float) -> None:
        """In so many seconds end what waits for the server, and connect no more: `close` would wait for it."""
        asyncio.get_running_loop().call_later(seconds, self._give_up)

    def _give_up(self) -> None:
        self._given_up = True
        if self._making:
            self._making.reschedule(0.0)
        if self._connection:
            _shut_down(self._connection)

    async def close(self) -> None:
        """End the connection after the calls made before; later ones raise StoreFailed."""
        self._closed = True
        await asyncio.sleep(0)  # calls made before have their place in the queue now
        async with self._lock:
            self._ended = True
            await self._drop(CLOSED)

    async def _alone(self, use: Use[T], *, connect: bool = False, deadline: float | None = None) -> T:
        if self._closed:
            raise StoreFailed(CLOSED)
        # a task of its own: psycopg answers a cancelled caller by cancelling its query
        task = asyncio.get_running_loop().create_task(self._locked(use, connect, deadline))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_retrieve)
            raise

    async def _locked(self, use: Use[T], connect: bool, deadline: float | None) -> T:
        drops = self._drops
        async with self._lock:
            if self._ended:
                raise StoreFailed(CLOSED)
            if drops != self._drops:  # or each of them would wait for the server as long as the first one did
                raise StoreBusy(self._why)
            if not self._connection and (self._given_up or not (self._by_itself or connect)):
                raise StoreBusy("there is no connection to PostgreSQL")
            try:
                return await self._in_time(self._connection or await self._connect(), use, deadline or self._deadline)
            except REPEAT as error:
                await self._end_transaction()
                if self._questions and isinstance(error, QueryCanceled):
                    raise _too_long() from error
                raise StoreBusy(f"cannot commit now: {text_of(error)}") from error
            except (*REFUSED, *BUGS) as error:
                await self._end_transaction()
                cut_details(error)
                if not is_race(error):
                    raise
                raise StoreBusy(f"cannot commit now: {text_of(error)}") from error
            except AWAY as error:
                raise await self._failed(error) from error
            except BaseException:
                await self._end_transaction()
                raise

    async def _failed(self, error: BaseException) -> StoreBusy:
        """End the connection that failed; one by which only a row, or all that this role asks, is refused stays."""
        cut_details(error)
        if refused_by_routine(error):
            await self._end_transaction()
            return Refused(failure_of(error))
        if isinstance(error, InsufficientPrivilege):
            await self._end_transaction()
            return StoreBusy(failure_of(error))
        await self._drop(failure_of(error))
        return StoreBusy(self._why)

    @property
    def _deadline(self) -> float:
        return QUESTION + DEADLINE if self._questions else DEADLINE  # the server ends a question first, and says so

    async def _in_time(self, connection: psycopg.AsyncConnection[Row], use: Use[T], deadline: float | None = None) -> T:
        loop, seconds = asyncio.get_running_loop(), deadline or DEADLINE
        ends_at = loop.time() + seconds
        timer = loop.call_at(ends_at, _shut_down, connection)
        try:
            return await use(connection)
        except psycopg.OperationalError as error:
            if error.sqlstate or loop.time() < ends_at:
                raise
            raise TimeoutError(f"no reply within {seconds:g} s") from error
        finally:
            timer.cancel()

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        try:
            async with asyncio.timeout(CONNECT_DEADLINE) as self._making:
                connection: psycopg.AsyncConnection[Row] = await psycopg.AsyncConnection.connect(
                    self._conninfo,
                    autocommit=True,
                    prepare_threshold=self._prepare,
                    application_name=f"relay {self._name}",
                    **PARAMETERS,
                )
        finally:
            self._making = None
        arrays.register(connection)
        connection.add_notice_handler(self._on_notice)
        try:
            if self._own_session:
                await self._in_time(connection, lambda made: made.execute(self._of_session, prepare=False))
            if prepare := self._on_connect:
                await self._in_time(connection, lambda made: self._interactive(made, prepare))
        except BaseException:
            await connection.close()
            raise
        self.made += 1
        self._connection = connection
        return connection

    async def _pipeline(
        self, connection: psycopg.AsyncConnection[Row], statements: Sequence[Statement]
    ) -> list[list[Row]]:
        self._warned = False
        if self._own_session and len(statements) == 1:
            cursors = [await connection.execute(*statements[0], binary=True)]
        else:
            cursors = []
            async with pipelined(connection):  # one transaction without `begin`: it ends when the pipeline is synced
                await self._begin(connection)
                for sql, values in statements:
                    cursors.append(await connection.execute(sql, values, binary=True))
                await self._commit(connection)
        self._check_committed()
        return [await each.fetchall() if each.description else [] for each in cursors]

    async def _begin(self, connection: psycopg.AsyncConnection[Row]) -> None:
        if not self._own_session:
            await connection.execute(BEGIN)
            await connection.execute(self._of_transaction)

    async def _commit(self, connection: psycopg.AsyncConnection[Row]) -> None:
        if not self._own_session:
            await connection.execute("commit")

    async def _interactive(self, connection: psycopg.AsyncConnection[Row], interactive: Interactive[T]) -> T:
        self._warned = False
        if self._own_session:
            await connection.execute(BEGIN)
        else:
            async with pipelined(connection):
                await self._begin(connection)
        result = await interactive(_OnConnection(connection))
        await connection.execute("commit")
        self._check_committed()
        return result

    def _on_notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """A commit that did not wait for its standby says so in a warning, in the server's language."""
        if notice.severity_nonlocalized == "WARNING":
            by_whom = notice.source_function or "", notice.sqlstate or ""
            self._warned = self._warned or by_whom[0].startswith("SyncRep") or by_whom[1].startswith("57")

    def _check_committed(self) -> None:
        if self._warned:
            raise StoreBusy("cannot commit now: the synchronous standby did not confirm it")

    async def _end_transaction(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            if connection.info.transaction_status != TransactionStatus.IDLE:
                await self._in_time(connection, lambda each: each.execute("rollback"))
        except psycopg.Error as error:
            await self._drop(f"PostgreSQL is away: {text_of(error)}")

    async def _drop(self, why: str) -> None:
        self._drops += 1
        self._why = why
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error, OSError):
                await connection.close()  # does not wait for the server


class _OnConnection:
    def __init__(self, connection: psycopg.AsyncConnection[Row]) -> None:
        self._connection = connection

    async def rows(self, sql: str, values: Values = ()) -> list[Row]:
        cursor = await self._connection.execute(sql, values, binary=True)
        return await cursor.fetchall() if cursor.description else []

    async def script(self, sql: str) -> None:
        await self._connection.execute(sql.encode(), prepare=False)


def _shut_down(connection: psycopg.AsyncConnection[Row]) -> None:
    """Close the socket under calls that wait for the server: they find the connection closed."""
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(connection.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


async def _nothing(_connection: psycopg.AsyncConnection[Row]) -> None:
    """Connecting was all."""


def _too_long() -> StoreBusy:
    return StoreBusy(
        f"PostgreSQL needs more than {QUESTION:g} s for this question: ask for less, as by --since or an id"
    )


def _retrieve(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()
