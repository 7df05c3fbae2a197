"""Campaigns -> one table at the end of the run: what each reported, and which failed."""

from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

import pytest

from tests.chaos.scale import SCALE, SEED
from tests.conftest import LASTING
from tests.postgres import Cluster, cluster
from tests.tools import demand_root

Report: TypeAlias = Callable[[str, str], None]
"""`report("kill -9", "60 kills, …: lost 0")`: a campaign and its result."""

LINES = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """Add a line to the table; call it before asserting anything of the result."""
    return lambda campaign, line: _lines(pytestconfig).append((campaign, line))


@pytest.fixture(scope="session")
def root() -> None:
    """Mount only as root: skip the test if we are not, and fail it in CI."""
    demand_root()


@pytest.fixture(scope="session")
def server() -> Iterator[Cluster]:
    """A PostgreSQL with fsync."""
    with cluster(durable=True) as made:
        LASTING.append(made)
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add failed campaigns to the table."""
    made = yield
    if made.failed:
        crash = getattr(made.longrepr, "reprcrash", None)
        reason = crash.message if crash else str(made.longrepr)
        _lines(item.config).append(("FAILED", f"{item.name}: {(reason.splitlines() or [''])[0]}"))
    return made


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the table."""
    if lines := _lines(config):
        terminalreporter.section(f"fault campaigns, scale {SCALE:g}, seed {SEED}", sep="-")
        width = max(len(campaign) for campaign, _ in lines)
        for campaign, line in lines:
            terminalreporter.write_line(f"{campaign:{width}}  {line}")


def _lines(config: pytest.Config) -> list[tuple[str, str]]:
    return config.stash.setdefault(LINES, [])
