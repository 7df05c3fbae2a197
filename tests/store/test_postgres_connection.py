"""One connection against a server that freezes, crashes, turns read-only, is locked, or is not there."""

import asyncio
import os
import re
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, contextmanager, nullcontext
from pathlib import Path
from socket import create_server
from tempfile import mkdtemp
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import errors

from relay.errors import StoreBusy, StoreFailed, StoreUnsafe
from relay.store.postgres import connection as module
from relay.store.postgres import durability
from relay.store.postgres.connection import Connection, Statement, Transaction
from relay.store.postgres.session import CONNECT_TIMEOUT
from tests.e2e.processes import free_port
from tests.postgres import Cluster
from tests.tcp_proxy import proxying
from tests.tools import without

T = TypeVar("T")

ADD = ("insert into numbers (n) values (%(n)s)", {"n": 1})
COUNT = ("select count(*) from numbers", ())


@pytest.fixture
def dsn(postgres_dsn: str) -> str:
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("create table numbers (n int)")
    return postgres_dsn


@asynccontextmanager
async def open_(dsn: str, **how: Any) -> AsyncIterator[Connection]:
    connection = Connection(dsn, name="test", **how)
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    async with open_(dsn) as opened:
        yield opened


async def busy(call: Awaitable[T], match: str) -> None:
    with pytest.raises(StoreBusy, match=match):
        await call


async def until_not_busy(connection: Connection) -> list[list[tuple[int, ...]]]:
    async with asyncio.timeout(20):
        while True:
            try:
                return await connection.run([COUNT])
            except StoreBusy:
                await asyncio.sleep(0.05)


async def test_what_is_between_transactions_is_awaited_unless_one_comes_first(dsn: str) -> None:
    waits = 0

    async def between() -> None:
        nonlocal waits
        waits += 1

    async def count(transaction: Transaction) -> None:
        await transaction.rows(*COUNT)

    async with open_(dsn, between=between) as connection:
        await connection.run([COUNT], first=True)
        assert waits == 0
        await connection.run([COUNT])
        assert waits == 2
        await connection.transact(count)
        assert waits == 4


async def test_a_transaction_is_whole_or_not_at_all(connection: Connection) -> None:
    with pytest.raises(errors.DivisionByZero):
        await connection.run([ADD, ("select 1 / 0", ())])
    assert await connection.run([ADD, COUNT]) == [[], [(1,)]]
    assert connection.made == 1, "what is wrong with a value is no fault of the connection"


@pytest.mark.parametrize("prepare", [True, False])
async def test_statements_are_one_transaction_which_locks_until_it_ends(dsn: str, prepare: bool) -> None:
    """Also where nobody says begin and commit."""
    lock, id_ = ("select pg_advisory_xact_lock(7)", ()), ("select pg_current_xact_id()::text", ())
    locks = ("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()", ())
    async with open_(dsn, prepare=prepare) as connection:
        for _ in range(3):
            _locked, [(first,)], [(held,)], [(second,)] = await connection.run([lock, id_, locks, id_])
            assert (first, held) == (second, 1)
        assert await connection.run([locks]) == [[(0,)]]
        assert await connection.run([id_]) != await connection.run([id_])
        with pytest.raises(errors.DivisionByZero):
            await connection.run([ADD, ("select 1 / 0", ()), ADD])
        with pytest.raises(errors.DivisionByZero):
            await connection.run([("select 1 / 0", ())])
        assert await connection.run([COUNT]) == [[(0,)]]


@pytest.mark.parametrize("prepare", [True, False])
async def test_each_transaction_has_the_settings_whichever_way_it_is_sent(dsn: str, prepare: bool) -> None:
    names = ("synchronous_commit", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    each = ", ".join(f"current_setting('{name}')" for name in names)
    shown = (f"select {each}", ())
    async with open_(f"{dsn}?options=-csynchronous_commit%3Doff", prepare=prepare) as connection:
        ways = [
            await connection.run([shown]),
            (await connection.run([shown, shown]))[:1],
            [await connection.transact(lambda transaction: transaction.rows(*shown))],
        ]
    assert ways == [[[("on", "5s", "2s", "5s")]]] * 3


async def test_a_statement_is_planned_once_whatever_its_values(connection: Connection) -> None:
    of_any_length = "select count(*) from numbers join unnest(%s::int[]) given on given = n"
    for length in range(1, 9):
        await connection.run([(of_any_length, ([*range(length)],))])

    planned = "select generic_plans::int, custom_plans::int from pg_prepared_statements where statement ~ 'unnest[(]'"
    assert await connection.run([(planned, ())]) == [[(8, 0)]]


@pytest.mark.parametrize("prepare", [True, False])
async def test_a_statement_sees_what_was_committed_before_it_had_its_locks(
    dsn: str, postgres: Cluster, prepare: bool
) -> None:
    """Whatever isolation the role or the database has by default: the locks of keys are worth nothing without this."""
    shown = ("select current_setting('transaction_isolation')", ())
    with psycopg.connect(dsn, autocommit=True) as admin:
        name = dsn.rpartition("/")[2]
        admin.execute(f"alter database {name} set default_transaction_isolation = 'repeatable read'".encode())
    async with open_(dsn, prepare=prepare) as connection:
        ways = [
            await connection.run([shown]),
            (await connection.run([shown, shown]))[:1],
            [await connection.transact(lambda transaction: transaction.rows(*shown))],
        ]
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"alter database {name} reset default_transaction_isolation".encode())
    assert ways == [[[("read committed",)]]] * 3


async def test_an_interactive_transaction_that_raises_is_rolled_back(connection: Connection) -> None:
    async def add_and_fail(transaction: Transaction) -> None:
        await transaction.rows(*ADD)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await connection.transact(add_and_fail)
    assert await connection.run([COUNT]) == [[(0,)]]


async def test_a_frozen_server_ends_a_transaction_at_its_deadline_and_all_that_wait_behind_it(
    connection: Connection, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.connect()
    monkeypatch.setattr(module, "DEADLINE", 0.3)
    postgres.freeze()
    try:
        began = time.monotonic()
        replies = await asyncio.gather(*(connection.run([ADD]) for _ in range(5)), return_exceptions=True)
        took = time.monotonic() - began
    finally:
        postgres.thaw()
    assert [str(each) for each in replies] == ["PostgreSQL is away: no reply within 0.3 s"] * 5
    assert [type(each) for each in replies] == [StoreBusy] * 5
    assert took < 5 * 0.3, "not one after another"
    monkeypatch.undo()
    [[(count,)]] = await until_not_busy(connection)
    assert count in (0, 1), "unknown: the server had it before it was frozen, or not"
    assert connection.made == 2


async def test_a_frozen_server_is_given_up_while_connecting(dsn: str, postgres: Cluster) -> None:
    async with open_(dsn) as connection:
        postgres.freeze()
        try:
            await busy(connection.run([COUNT]), "timeout")
        finally:
            postgres.thaw()
        assert await until_not_busy(connection) == [[(0,)]]


async def test_a_host_that_swallows_packets_is_passed_over(dsn: str, postgres: Cluster) -> None:
    """It accepts connections, and says nothing."""
    with closing(create_server(("127.0.0.1", 0))) as silent:
        hosts = f"127.0.0.1:{silent.getsockname()[1]},127.0.0.1:{postgres.port}"
        async with open_(dsn.replace(f"127.0.0.1:{postgres.port}", hosts)) as connection:
            assert await connection.run([COUNT]) == [[(0,)]]


@pytest.mark.parametrize(
    ("hosts", "why"),
    [
        ("127.0.0.1:1", "127.0.0.1:1: Connection refused"),
        ("127.0.0.1:1,127.0.0.1:2", "127.0.0.1:1: Connection refused; 127.0.0.1:2: Connection refused"),
        ("nowhere.invalid", "failed to resolve host 'nowhere.invalid': [Errno -2] Name or service not known"),
    ],
)
async def test_one_short_line_says_why_there_is_no_connection(hosts: str, why: str) -> None:
    async with open_(f"postgresql://relay:secret@{hosts}/relay") as connection:
        await busy(connection.run([COUNT]), f"^{re.escape(f'PostgreSQL is away: {why}')}$")


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ({"user": "nobody-else"}, 'password authentication failed for user "nobody-else"'),
        ({"dbname": "nowhere"}, 'database "nowhere" does not exist'),
        ({"sslmode": "require"}, "server does not support SSL, but SSL was required"),
    ],
)
async def test_one_short_line_says_why_the_server_refuses(
    dsn: str, postgres: Cluster, what: dict[str, str], why: str
) -> None:
    async with open_(psycopg.conninfo.make_conninfo(dsn, **what)) as connection:
        await busy(connection.run([COUNT]), f"^PostgreSQL is away: 127.0.0.1:{postgres.port}: {why}$")


async def test_a_server_that_replies_and_refuses_is_not_away(connection: Connection) -> None:
    await connection.run([ADD])
    no_rights = ("set local role pg_monitor", ())
    await busy(connection.run([no_rights, ADD]), "^PostgreSQL refuses: permission denied to set role")
    raises = ("do $$ begin raise exception 'not this one' using detail = 'Anna 555-0101'; end $$", ())
    await busy(connection.run([raises]), "^PostgreSQL refuses: not this one$")
    assert connection.made == 1
    await busy(connection.run([("select * from nowhere", ())]), "^PostgreSQL refuses: .*nowhere.* does not exist$")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ("select substring('a'::bytea from 1 for 3000000000)", errors.UndefinedFunction),
        ("select nowhere(1)", errors.UndefinedFunction),
        ("select 'a'::text = 1", errors.UndefinedFunction),
        ("selec 1", errors.SyntaxError),
        ("do $$ begin execute 'select $1'; end $$", errors.UndefinedParameter),
        ("select n from numbers a, numbers b", errors.AmbiguousColumn),
        ("select case when 1 then 2 end", errors.DatatypeMismatch),
        ("select '1' + '2'", errors.AmbiguousFunction),
        ("select array[]", errors.IndeterminateDatatype),
        ("select true::date", errors.CannotCoerce),
    ],
)
async def test_a_statement_that_is_wrong_is_no_server_that_is_away(
    connection: Connection, wrong: str, error: type[psycopg.Error]
) -> None:
    await connection.run([ADD])
    with pytest.raises(error):
        await connection.run([(wrong, ())])
    assert await connection.run([COUNT]) == [[(1,)]] and connection.made == 1


async def test_what_is_refused_is_told_without_the_row(connection: Connection) -> None:
    await connection.run([("alter table numbers add check (n < 9)", ())])
    with pytest.raises(errors.CheckViolation) as caught:
        await connection.run([("insert into numbers (n) values (555)", ())])
    assert "555" in caught.value.diag.message_detail
    assert "check constraint" in str(caught.value)
    assert "555" not in f"{caught.value} {caught.value!r}"


async def test_after_a_crash_it_comes_back(connection: Connection, postgres: Cluster) -> None:
    await connection.run([ADD])
    await asyncio.to_thread(postgres.restart, "immediate")
    await busy(connection.run([COUNT]), "PostgreSQL is away")
    assert connection.connected is False
    assert len(await until_not_busy(connection)) == 1
    assert connection.made == 2


async def test_a_read_only_server_is_left(connection: Connection, postgres: Cluster) -> None:
    """As after a switch-over: connections stay, and every write is refused."""
    await connection.run([ADD])
    postgres.configure(default_transaction_read_only="on")
    setting: list[Statement] = [("select current_setting('default_transaction_read_only')", ())]
    try:
        while await connection.run(setting) != [[("on",)]]:  # noqa: ASYNC110  the server tells nobody
            await asyncio.sleep(0.01)
        await busy(connection.run([ADD]), "read-only")
        await busy(connection.run([COUNT]), "read-only")
    finally:
        postgres.configure(default_transaction_read_only="off")
    assert await until_not_busy(connection) == [[(1,)]]
    assert connection.made == 2


async def test_a_table_that_somebody_changes_is_not_waited_for(connection: Connection, dsn: str) -> None:
    with psycopg.connect(dsn) as other:
        other.execute("alter table numbers add column more int")
        began = time.monotonic()
        await busy(connection.run([COUNT]), "lock timeout")
        assert time.monotonic() - began < module.DEADLINE
    assert await connection.run([ADD, COUNT]) == [[], [(1,)]]
    assert connection.made == 1


@pytest.mark.parametrize("statements", [[COUNT], [COUNT, COUNT]])
async def test_a_session_that_was_ended_by_the_administrator_is_left(
    connection: Connection,
    postgres: Cluster,
    statements: list[module.Statement],
    caplog: pytest.LogCaptureFixture,
) -> None:
    await connection.run([ADD])
    with postgres.admin() as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'relay test'"
        )
    why = "(terminating connection due to administrator command|the server closed the connection)"
    await busy(connection.run(statements), f"^PostgreSQL is away: {why}$")
    assert await connection.run([COUNT]) == [[(1,)]]
    assert not caplog.records, "psycopg's own words for it are nobody's"


async def test_an_interactive_transaction_that_idles_is_ended_by_the_server(connection: Connection) -> None:
    async def idle(transaction: Transaction) -> None:
        await transaction.rows("select set_config('idle_in_transaction_session_timeout', '100ms', true)")
        await asyncio.sleep(0.3)
        await transaction.rows(*ADD)

    await busy(connection.transact(idle), "idle-in-transaction")
    assert await connection.run([COUNT]) == [[(0,)]]


async def test_two_that_wait_for_each_other_are_repeated(dsn: str) -> None:
    one, other = asyncio.Event(), asyncio.Event()
    take = "select pg_advisory_xact_lock(%s)"

    async def crossed(transaction: Transaction, first: int, mine: asyncio.Event, theirs: asyncio.Event) -> None:
        await transaction.rows(take, (first,))
        mine.set()
        await theirs.wait()
        await transaction.rows(take, (3 - first,))

    async with open_(dsn) as a, open_(dsn) as b:
        calls = (
            a.transact(lambda transaction: crossed(transaction, 1, one, other)),
            b.transact(lambda transaction: crossed(transaction, 2, other, one)),
        )
        replies = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(each).__name__ for each in replies) == ["NoneType", "StoreBusy"]


async def test_a_caller_that_leaves_cancels_nothing(connection: Connection) -> None:
    await connection.connect()
    asked = asyncio.ensure_future(connection.run([("select pg_sleep(0.3)", ()), ADD]))
    await asyncio.sleep(0.1)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await connection.run([COUNT]) == [[(1,)]]


async def test_a_commit_that_did_not_wait_for_its_standby_is_not_known_to_be_committed(
    connection: Connection, postgres: Cluster
) -> None:
    """An administrator ends the wait; PostgreSQL says yes, with a warning."""
    await connection.connect()
    postgres.configure(synchronous_standby_names="nobody")
    try:
        asked, number = asyncio.ensure_future(connection.run([ADD])), 1
        with postgres.admin() as admin:
            waits = "select pid from pg_stat_activity where wait_event = 'SyncRep'"
            async with asyncio.timeout(30):
                while not (found := admin.execute(waits).fetchone()):
                    if asked.done():  # the checkpointer had not read the new setting yet
                        asked, number = asyncio.ensure_future(connection.run([ADD])), number + 1
                    await asyncio.sleep(0.01)
            admin.execute("select pg_cancel_backend(%s)", found)
        await busy(asked, "standby did not confirm")
    finally:
        postgres.configure(synchronous_standby_names="")
    assert await connection.run([COUNT]) == [[(number,)]], "it is there all the same: until the next failover"


async def test_a_database_without_our_tables_is_no_fault_of_what_is_stored(connection: Connection) -> None:
    await busy(connection.run([("select n from not_there", ())]), "not_there")


async def test_one_that_does_not_connect_by_itself_refuses_until_it_is_told_to(dsn: str) -> None:
    async with open_(dsn, by_itself=False) as connection:
        await busy(connection.run([COUNT]), "no connection")
        await connection.connect()
        await connection.connect()
        assert (await connection.run([COUNT]), connection.made) == ([[(0,)]], 1)


async def test_a_closed_one_fails(connection: Connection) -> None:
    last = asyncio.ensure_future(connection.run([ADD]))
    await asyncio.sleep(0)
    await connection.close()
    assert await last == [[]]
    with pytest.raises(StoreFailed, match="closed"):
        await connection.run([COUNT])


async def test_answers_that_are_cut_off_leave_the_outcome_unknown(dsn: str, postgres: Cluster) -> None:
    async with (
        proxying(postgres.port) as proxy,
        open_(dsn.replace(f":{postgres.port}/", f":{proxy.port}/")) as connection,
    ):
        await connection.connect()
        proxy.lose_answer(to=b"insert into numbers")
        await busy(connection.run([ADD, COUNT]), "^PostgreSQL is away: the server closed the connection$")
        assert await until_not_busy(connection) == [[(1,)]]


async def test_a_server_that_may_lose_what_it_has_committed_is_refused(dsn: str, postgres: Cluster) -> None:
    """The tests' own has no fsync."""
    connection = Connection(dsn, name="test", on_connect=durability.check)
    with pytest.raises(
        StoreUnsafe, match=r"^PostgreSQL may lose what it has committed: fsync=off, full_page_writes=off"
    ):
        await connection.run([COUNT])
    postgres.configure(fsync="on", full_page_writes="on")
    try:
        assert await connection.run([COUNT]) == [[(0,)]]
    finally:
        postgres.configure(fsync="off", full_page_writes="off")
    await connection.close()


async def test_a_server_that_is_too_old_is_refused(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durability, "OLDEST", 999_999)
    connection = Connection(dsn, name="test", on_connect=durability.check_version)
    with pytest.raises(StoreUnsafe, match=r"^PostgreSQL \d+.* is too old: the relay needs 15 or newer$"):
        await connection.run([COUNT])
    await connection.close()


# ---- PgBouncer


@contextmanager
def bouncer(dsn: str, postgres: Cluster) -> Iterator[str]:
    """A DSN that leads through one with transaction pooling, to two connections."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin") or without("there is no pgbouncer")
    port, name = free_port(), dsn.rpartition("/")[2]
    folder = Path(mkdtemp(dir="/var/tmp"))  # nobody may not look into root's
    folder.chmod(0o755)
    (folder / "users").write_text(f'"relay" "{postgres.password}"\n')
    (folder / "config").write_text(
        f"[databases]\n{name} = host=127.0.0.1 port={postgres.port} user=relay password={postgres.password}\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nauth_type = plain\nunix_socket_dir =\n"
        f"auth_file = {folder / 'users'}\npool_mode = transaction\ndefault_pool_size = 2\n"
        "ignore_startup_parameters = extra_float_digits\n"
        "server_login_retry = 1\n"  # of 15 s: other tests may have taken the server's last connection for a moment
    )
    as_whom = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    server = subprocess.Popen([*as_whom, program, folder / "config"], stderr=subprocess.DEVNULL)
    try:
        yield dsn.replace(f":{postgres.port}/", f":{port}/")
    finally:
        server.terminate()
        server.wait(5)
        shutil.rmtree(folder)


async def test_behind_pgbouncer_no_transaction_needs_a_session(
    dsn: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 15.0)  # what is asked here is whether it works, not how fast
    with bouncer(dsn, postgres) as through:
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(open_(through, prepare=False)) for _ in range(4)]
            await asyncio.gather(*(until_not_busy(each) for each in connections))
            for _ in range(20):
                await asyncio.gather(*(each.run([ADD, COUNT]) for each in connections))
            assert [each.made for each in connections] == [1] * 4
    with psycopg.connect(dsn) as connection:
        assert connection.execute(COUNT[0]).fetchone() == (80,)


SYNC, FLUSH, TERMINATE = (kind + b"\0\0\0\4" for kind in (b"S", b"H", b"X"))


@pytest.mark.parametrize("fails", [False, True])
async def test_nothing_is_sent_after_the_end_of_a_transaction(dsn: str, postgres: Cluster, fails: bool) -> None:
    """For PgBouncer that would begin the next one, and keep a server connection from its other clients."""
    wrong: list[Statement] = [("select 1 / 0", ())] if fails else []

    async def add(transaction: Transaction) -> None:
        for statement in (ADD, *wrong):
            await transaction.rows(*statement)

    async with proxying(postgres.port) as proxy:
        async with open_(dsn.replace(f":{postgres.port}/", f":{proxy.port}/"), prepare=False) as connection:
            for call in (lambda: connection.run([ADD, *wrong, COUNT]), lambda: connection.transact(add)):
                with pytest.raises(errors.DivisionByZero) if fails else nullcontext():
                    await call()
        async with asyncio.timeout(20):
            while not proxy.asked.endswith(TERMINATE):  # noqa: ASYNC110  the proxy tells nobody
                await asyncio.sleep(0.01)
    assert SYNC in proxy.asked and FLUSH not in proxy.asked


@pytest.mark.parametrize("prepare", [True, False])
async def test_a_transaction_larger_than_the_buffers_of_the_socket_is_sent_whole(dsn: str, prepare: bool) -> None:
    large: Statement = ("select length(%s::bytea)", (bytes(32_000_000),))
    async with open_(dsn, prepare=prepare) as connection:
        assert await connection.run([COUNT, large], deadline=20.0) == [[(0,)], [(32_000_000,)]]


async def test_one_that_gives_up_waits_neither_for_a_frozen_server_nor_for_silent_hosts(
    dsn: str, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "DEADLINE", 600.0)
    async with open_(dsn) as frozen, asyncio.timeout(30):
        await frozen.run([ADD])
        postgres.freeze()
        try:
            waiting = asyncio.create_task(frozen.run([ADD]))
            await asyncio.sleep(0.1)
            frozen.give_up(0.0)
            await busy(waiting, "PostgreSQL is away")
            await busy(frozen.run([COUNT]), "there is no connection")
        finally:
            postgres.thaw()


async def test_one_that_gives_up_makes_no_connection(dsn: str, postgres: Cluster) -> None:
    with closing(create_server(("127.0.0.1", 0), backlog=64)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        hosts = ",".join([host] * 5)
        began = time.monotonic()
        async with open_(dsn.replace(f"127.0.0.1:{postgres.port}", hosts)) as connection:
            waiting = asyncio.create_task(connection.run([COUNT]))
            await asyncio.sleep(0.1)
            connection.give_up(0.0)
            await busy(waiting, "PostgreSQL is away")
            await busy(connection.run([COUNT]), "there is no connection")
        assert time.monotonic() - began < 5 * CONNECT_TIMEOUT


# ---- what a command may ask


SLOW = ("select pg_sleep(%s) is null", (0.5,))


async def test_a_question_of_a_command_may_take_longer_than_a_transaction_of_a_relay(
    dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "STATEMENT", 0.2)
    monkeypatch.setattr(module, "DEADLINE", 0.2)
    monkeypatch.setattr(module, "QUESTION", 1.0)
    for prepare in (True, False):
        async with open_(dsn, prepare=prepare, questions=True) as connection:
            assert await connection.run([SLOW]) == [[(False,)]]
            assert await connection.run([SLOW, SLOW]) == [[(False,)]] * 2
        async with open_(dsn, prepare=prepare) as connection:
            with pytest.raises(StoreBusy):
                await connection.run([SLOW])


@pytest.mark.parametrize("prepare", [True, False])
async def test_a_question_that_takes_too_long_says_what_to_do_and_ends_on_the_server(
    dsn: str, prepare: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "QUESTION", 0.2)
    async with open_(dsn, prepare=prepare, questions=True) as connection:
        for statements in ([SLOW], [COUNT, SLOW]):
            await busy(
                connection.run(statements), r"^PostgreSQL needs more than 0\.2 s for this question: ask for less"
            )
        assert await connection.run([COUNT]) == [[(0,)]]
        assert connection.made == 1


# ---- what the administrator has set


@pytest.mark.parametrize(
    ("set_", "used"),
    [
        ("off", "on"),
        ("local", "on"),
        ("on", "on"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
@pytest.mark.parametrize("prepare", [True, False])
async def test_commits_wait_for_as_much_as_the_administrator_has_set_and_for_the_disk_at_least(
    dsn: str, set_: str, used: str, prepare: bool
) -> None:
    shown = ("show synchronous_commit", ())
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"alter role current_user set synchronous_commit = {set_}".encode())
    try:
        async with open_(dsn, prepare=prepare, on_connect=durability.check_version) as connection:
            assert await connection.run([shown, shown]) == [[(used,)]] * 2
            assert await connection.transact(lambda transaction: transaction.rows(*shown)) == [(used,)]
    finally:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute("alter role current_user reset synchronous_commit")


SWALLOWED = """
create function public.set_config(text, text, boolean) returns text language sql as 'select $2'
"""


async def test_a_server_on_which_commits_stay_asynchronous_all_the_same_is_refused(dsn: str, postgres: Cluster) -> None:
    """What was set is read back: here something between answers that it is set, and it is not."""
    await asyncio.to_thread(postgres.configure, fsync="on", full_page_writes="on")
    try:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(SWALLOWED)
        swallowing = f"{dsn}?options=-csynchronous_commit%3D{{}}%20-csearch_path%3Dpublic,pg_catalog"
        for commits in ("off", "local"):
            async with open_(swallowing.format(commits), on_connect=durability.check) as connection:
                with pytest.raises(StoreUnsafe, match=f"may lose what it has committed: synchronous_commit={commits}"):
                    await connection.connect()
        async with open_(swallowing.format("remote_write"), on_connect=durability.check) as connection:
            await connection.connect()
    finally:
        await asyncio.to_thread(postgres.configure, fsync="off", full_page_writes="off")
