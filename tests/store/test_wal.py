"""Somebody reads for long: webhooks are kept, the growing log is told once and shrinks again, readers of ours stop."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from relay.errors import StoreBusy
from relay.signals import Signal, WalGrown
from relay.store.sqlite import wal
from relay.store.sqlite.disk import MEBIBYTE
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON, routed, to, webhook

LONG = """
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 30000000) select count(*) from n, webhooks
"""


class Scene:
    """A store, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "relay.db"
        self.said: list[Signal] = []
        self.store = SqliteStore.open(self.path, now=NOON, emit=self.said.append, failed=lambda: None)

    async def keep(self, first: int, last: int) -> None:
        for number in range(first, last + 1):
            await self.store.keep(replace(webhook(number), body=os.urandom(40_000)), [routed(number, to())])

    def log_size(self) -> int:
        """Bytes of the write-ahead log's file."""
        return Path(f"{self.path}-wal").stat().st_size

    def warnings(self) -> list[WalGrown]:
        return [each for each in self.said if isinstance(each, WalGrown)]

    @contextmanager
    def read_by_somebody(self) -> Iterator[None]:
        connection = apsw.Connection(str(self.path))
        connection.execute("begin; select count(*) from webhooks").fetchall()
        try:
            yield
        finally:
            connection.close()


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(wal, "STEP", 64)  # pages
    made = Scene(tmp_path)
    yield made
    await made.store.close()


async def test_what_arrives_beside_a_long_reader_is_kept_and_the_log_is_told_of_once(scene: Scene) -> None:
    await scene.keep(1, 1)
    with scene.read_by_somebody():
        await scene.keep(2, 60)
    assert len(scene.warnings()) == 1
    assert await scene.store.show("webhook-0060")


async def test_when_it_was_short_again_it_is_told_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.store.sqlite.writer.CHECKPOINT_NOW_PAGES", 1)
    await scene.keep(1, 1)
    for first in (2, 22):
        with scene.read_by_somebody():
            await scene.keep(first, first + 9)
        await scene.keep(first + 10, first + 13)
    assert len(scene.warnings()) in (2, 3), "these last ones may make it long once more, if a checkpoint is late"


async def test_a_reader_of_ours_is_interrupted_before_the_log_takes_the_disk(scene: Scene) -> None:
    await scene.keep(1, 1)
    reading = asyncio.create_task(scene.store._read(lambda cursor: cursor.execute(LONG).fetchall()))
    with scene.read_by_somebody():
        await scene.keep(2, 30)
        with pytest.raises(StoreBusy, match="interrupted"):
            await reading
    assert (await scene.store.status()).targets["bot"].pending == 30


async def test_after_a_long_reader_the_log_gives_its_disk_back_while_the_relay_runs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.sqlite.writer.CHECKPOINT_PAGES", 20)
    await scene.keep(1, 1)
    with scene.read_by_somebody():
        await scene.keep(2, 600)
        grown = scene.log_size()
    assert grown > wal.LONGEST_WAL
    for _ in range(3):  # the daemon's probes: nothing else is to do
        await scene.store.probe()
        await asyncio.sleep(0.05)
    assert scene.log_size() <= wal.LONGEST_WAL
    assert (await scene.store.status()).targets["bot"].pending == 600


async def test_under_load_the_log_gives_its_disk_back_too(scene: Scene) -> None:
    await scene.keep(1, 1)
    with scene.read_by_somebody():
        await scene.keep(2, 600)
        grown = scene.log_size()
    assert grown > wal.LONGEST_WAL
    await asyncio.gather(*(scene.keep(first, first + 20) for first in range(1000, 1600, 20)))
    assert scene.log_size() <= wal.LONGEST_WAL + 4 * MEBIBYTE
