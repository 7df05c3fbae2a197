"""An act that goes on for long is told when it is seen, and once more when it has stopped growing."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import apsw
import pytest

from relay import acts
from relay.acts import _Growing, keep_telling
from relay.signals import OperatorActed, Signal
from relay.store.contract import AuditEntry
from relay.store.sqlite.store import SqliteStore
from tests.e2e.processes import until

REPLAY = AuditEntry(id="a1", at=datetime(2026, 11, 22, tzinfo=UTC), who="olga@host", command="replay", count=100)


def counts(said: list[Signal]) -> list[int]:
    return [each.count for each in said if isinstance(each, OperatorActed)]


def test_it_is_told_at_once_and_when_it_is_done() -> None:
    said: list[Signal] = []
    growing = _Growing(said.append)
    growing.look([REPLAY])
    assert counts(said) == [100]
    for number in (200, 300):
        growing.look([replace(REPLAY, count=number)])
    assert counts(said) == [100]
    for _ in range(3):
        growing.look([])
    assert counts(said) == [100, 300]


def test_one_that_was_done_at_once_is_told_once() -> None:
    said: list[Signal] = []
    growing = _Growing(said.append)
    for found in ([REPLAY, replace(REPLAY, id="a2", count=1)], [], []):
        growing.look(found)
    assert counts(said) == [100, 1]


async def test_a_line_that_a_disk_has_changed_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acts, "EVERY", 0.01)
    store = SqliteStore.open(tmp_path / "relay.db", now=REPLAY.at, emit=lambda _signal: None, failed=lambda: None)
    said: list[Signal] = []
    telling = asyncio.create_task(keep_telling(store, said.append))
    numbers = count()

    async def one_is_told() -> bool:  # those that come before the first look, or with the bad line, are not
        said.clear()
        await store.note(replace(REPLAY, id=f"a{next(numbers)}"), 1)
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
