"""An audit entry is logged when it appears, and once more when it has stopped growing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import apsw
import pytest

from relay.daemon import audit_log
from relay.daemon.audit_log import _Reported, log_audit
from relay.signals import OperatorActed, Signal
from relay.store.records import AuditEntry
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until

REPLAY = AuditEntry(id="a1", at=datetime(2026, 11, 22, tzinfo=UTC), who="olga@host", command="replay", count=100)


def counts(said: list[Signal]) -> list[int]:
    return [each.count for each in said if isinstance(each, OperatorActed)]


def test_a_growing_entry_is_logged_at_once_and_when_it_has_stopped() -> None:
    said: list[Signal] = []
    reported = _Reported(said.append)
    reported.update([REPLAY])
    assert counts(said) == [100]
    for number in (200, 300):
        reported.update([replace(REPLAY, count=number)])
    assert counts(said) == [100]
    for _ in range(3):
        reported.update([])
    assert counts(said) == [100, 300]


def test_an_entry_that_does_not_grow_is_logged_once() -> None:
    said: list[Signal] = []
    reported = _Reported(said.append)
    for found in ([REPLAY, replace(REPLAY, id="a2", count=1)], [], []):
        reported.update(found)
    assert counts(said) == [100, 1]


async def test_a_corrupt_entry_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_log, "AUDIT_EVERY", 0.01)
    store = SqliteStore.open(tmp_path / "relay.db", now=REPLAY.at, emit=lambda _signal: None, failed=lambda: None)
    said: list[Signal] = []
    telling = asyncio.create_task(log_audit(store, said.append))
    numbers = count()

    async def one_is_told() -> bool:  # those that come before the first look, or with the bad line, are not
        said.clear()
        await store.record_audit(replace(REPLAY, id=f"a{next(numbers)}"), 1)
        await asyncio.sleep(0.03)
        return bool(said)

    await until(one_is_told)
    connection = apsw.Connection(str(tmp_path / "relay.db"))
    connection.execute("insert into audit values (1000000, 'bad', 'noon', 'olga', 'replay', '{', 1)")
    connection.close()
    await until(one_is_told)
    assert not telling.done()
    telling.cancel()
    await store.close()
