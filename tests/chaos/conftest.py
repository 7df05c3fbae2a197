"""What every campaign has: a `report`, printed as one table at the end of the run, with what failed in it."""

from collections.abc import Callable, Generator
from typing import TypeAlias

import pytest

from tests.chaos.scale import SCALE, SEED
from tests.tools import demand_root

Report: TypeAlias = Callable[[str, str], None]
"""`report("kill -9", "60 kills, …: lost 0")`: a campaign, and what was seen."""

LINES = pytest.StashKey[list[tuple[str, str]]]()


@pytest.fixture
def report(pytestconfig: pytest.Config) -> Report:
    """Say what a campaign saw, before anything of it is asserted."""
    return lambda campaign, line: _lines(pytestconfig).append((campaign, line))


@pytest.fixture(scope="session")
def root() -> None:
    """For tests that mount: skipped if we are not root, and failed in CI."""
    demand_root()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A campaign that failed is in the table too."""
    told = yield
    if told.failed:
        crash = getattr(told.longrepr, "reprcrash", None)
        reason = crash.message if crash else str(told.longrepr)
        _lines(item.config).append(("FAILED", f"{item.name}: {(reason.splitlines() or [''])[0]}"))
    return told


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """The table."""
    if lines := _lines(config):
        terminalreporter.section(f"fault campaigns, scale {SCALE:g}, seed {SEED}", sep="-")
        width = max(len(campaign) for campaign, _ in lines)
        for campaign, line in lines:
            terminalreporter.write_line(f"{campaign:{width}}  {line}")


def _lines(config: pytest.Config) -> list[tuple[str, str]]:
    return config.stash.setdefault(LINES, [])
