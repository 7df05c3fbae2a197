"""Lanes on the daemon's own event loop, which is not the tests'."""

from datetime import UTC, datetime
from pathlib import Path

import uvloop

from relay.delivery.lane import Lane
from relay.model import Target
from relay.store.sqlite.store import SqliteStore


def test_what_is_due_at_once_may_be_expected_again_before_the_alarm_rings(tmp_path: Path) -> None:
    async def expect_twice() -> None:
        now = datetime.now(UTC)
        store = SqliteStore.open(tmp_path / "relay.db", now=now, emit=lambda _signal: None, failed=lambda: None)
        lane = Lane(
            Target(name="bot", url="http://127.0.0.1:9/"),
            store=store,
            emit=lambda _signal: None,
            clock=lambda: now,
        )
        lane.wake_at(now)
        lane.wake_at(now)
        await lane.stop(lane.target.timeout)
        await store.close()

    uvloop.run(expect_twice())
