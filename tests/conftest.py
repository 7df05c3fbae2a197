"""For all tests: no file leaves a child process or a listening socket behind, and no example has a time limit.

And a PostgreSQL for those that ask for it.
"""

import signal
from collections.abc import Iterator

import hypothesis
import psutil
import pytest

from tests.postgres import Cluster

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background job and what that starts

hypothesis.settings.register_profile("relay", deadline=None)  # the default of 200 ms fails on a busy machine
hypothesis.settings.load_profile("relay")

LASTING: list[Cluster] = []
"""What outlives a file: the session's own."""


@pytest.fixture(autouse=True, scope="module")
def leaves_nothing_behind() -> Iterator[None]:
    """Fail the file's last test (of this worker) if the file leaves more running than it found."""
    this = psutil.Process()
    children, listeners = set(this.children(recursive=True)), listening(this)
    yield
    left = set(this.children(recursive=True)) - children
    lasting = {each for cluster in LASTING for each in cluster.belongings()}
    _, alive = psutil.wait_procs(left - lasting, timeout=2)
    assert not alive, f"left running: {[process.cmdline() for process in alive]}"
    assert listening(this) <= listeners, f"left listening: {listening(this) - listeners}"


def listening(process: psutil.Process) -> set[tuple[str, int]]:
    """Return the addresses that this very process accepts TCP connections on."""
    return {tuple(c.laddr) for c in process.net_connections(kind="tcp") if c.status == psutil.CONN_LISTEN}


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A PostgreSQL without fsync, started for the first test that asks: one for each process of the tests."""
    cluster = Cluster()
    LASTING.append(cluster)
    yield cluster
    cluster.remove()
    LASTING.remove(cluster)


@pytest.fixture(scope="session")
def postgres_database(postgres: Cluster) -> str:
    """The one that every test finds empty."""
    return postgres.new_database()


@pytest.fixture
def postgres_dsn(postgres: Cluster, postgres_database: str) -> Iterator[str]:
    """A URL of an empty database, for a role that has rights nowhere else."""
    yield postgres.dsn(postgres_database)
    postgres.empty(postgres_database)
