"""The PostgreSQL that tests start: it does what they ask, on each installation there is, and leaves nothing behind."""

import re
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.conftest import listening
from tests.postgres import PATIENCE, Cluster, cluster, installations, programs
from tests.tools import without

OLDEST = 150_000
SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"

MAKER = """\
import sys, time
from pathlib import Path
from tests.postgres import Cluster
made = Cluster(folder_of_programs=Path(sys.argv[1]))
print(made.folder, *(each.pid for each in made.belongings()), flush=True)
time.sleep(60)
"""


@pytest.fixture(scope="module", params=["system", "wheel"])
def folder_of_programs(request: pytest.FixtureRequest) -> Path:
    """Both the system's and the wheel's, where they are."""
    found = installations()
    wheel = found.pop("wheel", None)
    chosen = wheel if request.param == "wheel" else next(iter(found.values()), None)
    return chosen or Path(without(f"no PostgreSQL of the {request.param}"))


@pytest.fixture(scope="module")
def server(folder_of_programs: Path) -> Iterator[Cluster]:
    with cluster(folder_of_programs=folder_of_programs, durable=True) as made:
        yield made


@pytest.fixture
def dsn(server: Cluster) -> Iterator[str]:
    """Of a database with a table `seen`."""
    name = server.new_database()
    with psycopg.connect(server.dsn(name)) as connection:
        connection.execute("create table seen (number int)")
    yield server.dsn(name)
    server.drop_database(name)


@contextmanager
def connected(dsn: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
        yield connection


def see(dsn: str, number: int) -> None:
    with connected(dsn) as connection:
        connection.execute("insert into seen values (%s)", (number,))


def seen(dsn: str) -> list[int]:
    with connected(dsn) as connection:
        return [number for (number,) in connection.execute("select number from seen order by number")]


def setting(connection: psycopg.Connection, name: str) -> str:
    row = connection.execute("select current_setting(%s)", (name,)).fetchone()
    assert row
    return str(row[0])


def test_it_is_new_enough_durable_and_closed_to_others(server: Cluster, dsn: str) -> None:
    with connected(dsn) as connection:
        assert connection.info.server_version >= OLDEST
        assert [setting(connection, name) for name in ("fsync", "full_page_writes", "is_superuser")] == [
            "on",
            "on",
            "off",
        ]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(dsn.replace(server.password, "wrong"))


def test_a_restart_keeps_its_port_and_what_was_committed(server: Cluster, dsn: str) -> None:
    see(dsn, 1)
    server.restart("immediate")
    assert "not properly shut down" in server.log.read_text()
    see(dsn, 2)
    server.restart("fast")
    assert seen(dsn) == [1, 2]


def test_a_frozen_one_accepts_connections_and_answers_nothing(server: Cluster) -> None:
    server.freeze()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(SSL_REQUEST)
            client.settimeout(0.3)
            with pytest.raises(TimeoutError):
                client.recv(1)
            server.thaw()
            client.settimeout(PATIENCE)
            assert client.recv(1) == b"N"
    finally:
        server.thaw()


def test_a_crash_while_frozen_commits_nothing_more(server: Cluster, dsn: str) -> None:
    with connected(dsn) as connection:
        server.freeze()
        connection.pgconn.send_query(b"insert into seen values (7)")
        connection.pgconn.flush()
        server.stop("immediate")
        server.start()
        connection.close()
    assert seen(dsn) == []


def test_settings_change_under_way(server: Cluster, dsn: str) -> None:
    for value in ("off", "on"):
        server.configure(fsync=value)
        with connected(dsn) as connection:
            assert setting(connection, "fsync") == value


def test_a_synchronous_standby_has_everything_when_it_is_promoted(folder_of_programs: Path) -> None:
    with cluster(folder_of_programs=folder_of_programs) as first:
        second = first.standby(synchronous=True)
        name = first.new_database()
        both = first.dsn(name, others=(second,), target_session_attrs="read-write")
        with connected(both) as connection:
            connection.execute("create table seen (number int)")
        see(both, 1)
        second.freeze()
        with connected(first.dsn(name)) as connection:
            connection.pgconn.send_query(b"insert into seen values (3)")
            connection.pgconn.flush()
            assert not select.select([connection.pgconn.socket], [], [], 0.3)[0], "it commits without its standby"
            second.thaw()
            assert select.select([connection.pgconn.socket], [], [], PATIENCE)[0]
            connection.close()
        first.stop("immediate")
        second.promote()
        see(both, 2)
        assert seen(both) == [1, 2, 3]


def test_a_detached_standby_misses_what_came_later(folder_of_programs: Path) -> None:
    with cluster(folder_of_programs=folder_of_programs) as first:
        name = first.new_database()
        dsn = first.dsn(name)
        with connected(dsn) as connection:
            connection.execute("create table seen (number int)")
        see(dsn, 1)
        second = first.standby()
        second.detach()
        see(dsn, 2)
        first.stop("immediate")
        second.promote()
        assert seen(second.dsn(name)) == [1]


def test_it_leaves_nothing_behind(folder_of_programs: Path) -> None:
    with cluster(folder_of_programs=folder_of_programs) as made:
        follower = made.standby()
        belongings = made.belongings() + follower.belongings()
        made.freeze()
    assert not any(each.is_running() for each in belongings)
    assert not made.folder.exists()
    assert not follower.folder.exists()


def _living(pids: Iterable[int]) -> Iterator[psutil.Process]:
    """A worker of the server's may have ended by itself."""
    for pid in pids:
        with suppress(psutil.NoSuchProcess):
            yield psutil.Process(pid)


def test_one_whose_maker_was_killed_leaves_nothing_behind(folder_of_programs: Path) -> None:
    command = [sys.executable, "-c", MAKER, folder_of_programs]
    maker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert maker.stdout
    with maker, maker.stdout:
        try:
            folder, *pids = maker.stdout.readline().split()
            belongings = [*_living(map(int, pids))]
            assert Path(folder).exists()
        finally:
            maker.kill()
    _, alive = psutil.wait_procs(belongings, timeout=PATIENCE)
    assert not alive
    assert not Path(folder).exists()


def test_one_that_does_not_start_says_why_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []  # by this process: others of the tests make clusters at the same time
    mkdtemp = tempfile.mkdtemp

    def recorded(**place: str) -> str:
        made.append(mkdtemp(**place))
        return made[-1]

    monkeypatch.setattr(tempfile, "mkdtemp", recorded)
    with pytest.raises(AssertionError, match="shared_buffers"):
        Cluster(shared_buffers="much")
    [folder] = made
    assert not Path(folder).exists()


@pytest.mark.parametrize("number", [1, 2])
def test_each_test_finds_the_shared_database_empty(postgres_dsn: str, number: int) -> None:
    with connected(postgres_dsn) as connection:
        connection.execute("create table seen (number int)")
    see(postgres_dsn, number)
    assert seen(postgres_dsn) == [number]


def test_without_postgresql_a_test_is_skipped_and_in_ci_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.postgres.installations", dict)
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt install postgresql"):
        programs()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt install postgresql"):
        programs()


def test_a_variable_chooses_the_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"17": Path("/system"), "wheel": Path("/wheel")}
    monkeypatch.setattr("tests.postgres.installations", lambda: there)
    monkeypatch.delenv("RELAY_TESTS_POSTGRES", raising=False)
    assert programs() == Path("/system")
    monkeypatch.setenv("RELAY_TESTS_POSTGRES", "wheel")
    assert programs() == Path("/wheel")


def test_it_listens_on_loopback_alone(postgres: Cluster) -> None:
    assert postgres._server
    assert {host for host, _ in listening(postgres._server)} == {"127.0.0.1"}
    assert re.fullmatch(r"/var/tmp/relay-pg-\w+", str(postgres.folder))
