"""Killed at any statement, a scan's commit is there whole or not at all, and repeated it is as if it was made once."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relay.model.heal import HORIZON
from relay.store.records import Filter
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON
from tests.store.killed_heal import scan_and_hook
from tests.store.kind_sqlite import open_store

pytestmark = pytest.mark.timeout(120)


async def everything(store: SqliteStore) -> dict[str, Any]:
    hooks = await store.healing.hooks("crm", since=NOON - HORIZON, until=NOON + HORIZON)
    return {
        "records": await store.healing.heal_records("crm", since=NOON),
        "hooks": {(each.webhook, each.matched) for each in hooks},
        "marks": await store.healing.heal_marks("crm"),
        "sent": sorted((each.event_id, each.target) for each in await store.find(Filter(), limit=9)),
        "healed": [(shown.webhook.kind if (shown := await store.show(f"webhook-000{n}")) else "") for n in (1, 2, 3)],
    }


@pytest.fixture
def killed(tmp_path: Path) -> list[Path]:
    """What each kill left."""
    command = (sys.executable, "-m", "tests.store.killed_heal", str(tmp_path))
    steps = int(subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=60).stdout)
    assert steps > 20
    return [tmp_path / str(step) for step in range(1, steps + 1)]


async def test_kill_at_every_statement_of_a_scan_and_of_a_late_hook(killed: list[Path]) -> None:
    seen = []
    for folder in killed:
        store = open_store(folder, NOON)
        left = await everything(store)
        whole = bool(left["records"])
        assert (bool(left["marks"]), left["healed"][0]) == (whole, "heal" if whole else "")
        await scan_and_hook(store)
        seen.append(await everything(store))
        await store.close()
    assert all(each == seen[0] for each in seen)
    assert seen[0]["sent"] == [("event-0001", "bot"), ("event-0003", "drops")]
    assert [str(each.state) for each in seen[0]["records"]] == ["late_hook", "matched", "seen"]
