"""`relay overview`: is all well, what to do, and what was counted lately."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from relay.cli.overview import bars
from relay.store.activity import Activity, Hits
from relay.store.contract import Archive
from relay.store.sqlite.lock import Lock
from tests.cli.conftest import NOON, Run, Use


def test_each_finding_is_followed_by_what_to_do(run: Run, kept: Path) -> None:
    ended = run("overview")
    assert (ended.exit_code, ended.stderr) == (0, "")
    lines = ended.stdout.splitlines()
    assert lines[:3] == [
        "critical",
        "no daemon runs",
        "  start relay run, or its service; the end of its log says why it stopped",
    ]
    [died] = [lines[at + 1] for at, line in enumerate(lines) if line == "warehouse: 1 dead"]
    assert died.startswith("  warehouse: died ") and died.endswith(" d ago: 400 is in dead_on")
    assert any(line.startswith("  mend the target, then relay replay") for line in lines)
    [source] = [line.split() for line in lines if line.startswith("crm")]
    assert source == ["crm", "-", "-", "0", "0", "of", "100", "not", "watched"]


def test_the_document_has_the_findings_the_sources_and_the_status(run: Run, kept: Path) -> None:
    document = json.loads(run("overview", "--json").stdout)
    assert document["level"] == "critical"
    assert document["problems"][0]["kind"] == "no_daemon"
    assert document["status"].keys() == json.loads(run("status", "--json").stdout).keys()


def test_it_shows_the_last_hour_and_what_routes_took_while_a_daemon_runs(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    at = NOON.timestamp() - 60

    async def use(store: Archive) -> None:
        routes = {"offer-made": Hits(since=at - 9 * 86_400, last=at, hours={int(at // 3600): 5})}
        await store.questions.record_activity(Activity(since=at, routes=routes), now=NOON - timedelta(minutes=1))

    refill(use)
    assert json.loads(run("overview", "--json").stdout)["activity"] is None, "the hour passes without a daemon"
    lock = Lock(kept)
    try:
        lines = [line.split() for line in run("overview").stdout.splitlines()]
    finally:
        lock.release()
    assert ["sales-bot", "·" * 12, "0", "0"] in lines
    assert [line[0] for line in lines if line[:1] == ["offer-made"]] == ["offer-made"]


@pytest.mark.parametrize(
    ("minutes", "shown"),
    [
        ([0] * 60, "·" * 12),
        ([0] * 55 + [8, 0, 0, 0, 0], "·" * 11 + "█"),
        ([1] * 5 + [0] * 50 + [8] * 5, "▁" + "·" * 10 + "█"),
        ([4] * 30 + [8] * 30, "▄" * 6 + "█" * 6),
    ],
)
def test_an_hour_is_twelve_characters(minutes: list[int], shown: str) -> None:
    assert bars(minutes) == shown
