"""A disk that fills up: delivered history goes before its time, nothing else does, and what is owed comes first."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from relay.errors import ArchiveFailed, StoreBusy
from relay.model import Dead, Delivered, State
from relay.signals import DiskSpace, Signal
from relay.store.archive import ArchiveFolder
from relay.store.records import Disk, Filter
from relay.store.requests import KeepRequest
from relay.store.sqlite import early_purge
from relay.store.sqlite.disk import MEBIBYTE, Space
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON, OK, REFUSED, claim, deliver, routed, to, webhook
from tests.store.kind_sqlite_many import replies_of

LARGE = b"x" * 500_000


class Scene:
    """A store and its disk, which can be made full: then the file may not grow, until the ballast is given up."""

    def __init__(self, folder: Path) -> None:
        self.said: list[Signal] = []
        self.free = 200 * MEBIBYTE
        self.ballast = folder / "relay.db.ballast"
        path = folder / "relay.db"
        self.space = Space(path, ballast=MEBIBYTE, emit=self.hear, disk=lambda _: Disk(400 * MEBIBYTE, self.free))
        self.space.look()
        self.store = SqliteStore.open(path, now=NOON, emit=self.hear, failed=lambda: None, space=self.space)

    def hear(self, signal: Signal) -> None:
        self.said.append(signal)
        if not self.free and not self.ballast.exists():
            self.cap(more=MEBIBYTE // 4096)

    def cap(self, *, more: int) -> None:
        """The database may have so many pages more than it has."""
        connection = self.store._connection
        pages = connection.pragma("page_count")
        assert isinstance(pages, int)
        connection.pragma("max_page_count", pages + more)

    async def fill(self) -> None:
        self.free = 0
        await self.store._writer.submit(lambda _: self.cap(more=0))

    async def keep(self, number: int, *, body: bytes = LARGE, unparsed: str | None = None) -> None:
        planned = [] if unparsed else [routed(number, to())]
        await self.store.keep(replace(webhook(number, unparsed=unparsed), body=body), planned)

    async def delivered(self, *numbers: int) -> None:
        for number in numbers:
            await self.keep(number)
        for delivery in await claim(self.store):
            await deliver(self.store, delivery)

    async def kept(self) -> list[int]:
        """The numbers of the webhooks that are there."""
        return [number for number in range(1, 50) if await self.store.show(f"webhook-{number:04}")]


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    made = Scene(tmp_path)
    yield made
    await made.store.close()


# ---- what goes


async def test_only_what_was_delivered_goes(scene: Scene) -> None:
    store = scene.store
    for number, verdict in ((1, Delivered()), (2, Dead("no"))):
        await scene.keep(number)
        [delivery] = await claim(store)
        await store.settle(delivery, OK if number == 1 else REFUSED, verdict, now=NOON)
    await scene.keep(3)
    await scene.keep(4, unparsed="not a form")
    await store.keep(webhook(5), [routed(5)])
    assert await store.purge_early(now=NOON) == 1
    assert await scene.kept() == [2, 3, 4, 5]
    assert {each.state for each in await store.find(Filter(), limit=10)} == {State.DEAD, State.PENDING}


async def test_the_oldest_goes_first_and_no_more_than_is_needed(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_purge, "ROOM", MEBIBYTE)
    monkeypatch.setattr(early_purge, "PAGE", 1)
    await scene.delivered(1, 2, 3, 4, 5, 6)
    assert await scene.store.purge_early(now=NOON) == 3
    assert await scene.kept() == [4, 5, 6]
    assert await scene.store.purge_early(now=NOON) == 0, "there is room already"


async def test_a_look_goes_through_so_much_and_the_next_goes_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_purge, "PAGE", 1)
    monkeypatch.setattr(early_purge, "PAGES", 2)
    await scene.delivered(4)
    for number in (1, 2, 3):
        await scene.keep(number)
    await scene.delivered(5)
    gone = [await scene.store.purge_early(now=NOON) for _ in range(4)]
    assert sum(gone) == 5, "also what was delivered after it was passed"
    assert max(gone) <= 2


# ---- a full disk


async def test_on_a_full_disk_what_is_owed_is_settled_and_a_webhook_waits(scene: Scene) -> None:
    await scene.keep(1)
    [delivery] = await claim(scene.store)
    await scene.fill()
    with pytest.raises(StoreBusy, match="the disk is full"):
        await scene.keep(2)
    assert not scene.ballast.exists()
    assert scene.space.level is DiskSpace.FULL
    assert await deliver(scene.store, delivery)
    with pytest.raises(StoreBusy, match="the disk is full"):
        await scene.store.probe()
    assert await scene.kept() == [1]


async def test_the_ballast_is_for_what_is_owed_and_webhooks_get_what_the_file_has_to_spare(scene: Scene) -> None:
    await scene.delivered(*range(1, 11))
    await scene.fill()
    with pytest.raises(StoreBusy):
        await scene.keep(11)
    assert await scene.store.purge_early(now=NOON) == 10
    await scene.keep(12)
    kept = 12
    with pytest.raises(StoreBusy, match="the disk is full"):
        while kept < 49:
            kept += 1
            await scene.keep(kept)
    assert 13 <= kept < 20, "not all of the room: some is for what is owed"


async def test_when_there_is_little_room_answers_are_not_kept(scene: Scene) -> None:
    await scene.keep(1)
    [delivery] = await claim(scene.store)
    scene.free = 3 * MEBIBYTE
    scene.space.look()
    await scene.store.settle(delivery, REFUSED, Dead("no"), now=NOON)
    shown = await scene.store.show("webhook-0001")
    assert shown
    [attempt] = shown.events[0].deliveries[0].attempts
    assert (attempt.status, attempt.detail) == (503, "")


async def test_of_webhooks_that_come_together_those_that_fit_are_kept(scene: Scene) -> None:
    await scene.delivered(*range(1, 9))
    await scene.fill()
    with pytest.raises(StoreBusy, match="the disk is full"):
        await scene.keep(9)
    await scene.store.purge_early(now=NOON)
    requests = [
        KeepRequest(replace(webhook(number), body=b"x" * size), [routed(number, to())])
        for number, size in ((11, 100), (12, 100 * MEBIBYTE), (13, 100))
    ]
    replies = await asyncio.gather(*replies_of(scene.store.keep_many, requests), return_exceptions=True)
    assert [str(each) for each in replies] == ["[]", "the disk is full", "[]"]
    assert (await scene.kept())[-2:] == [11, 13]


# ---- an archive


async def test_what_goes_early_is_archived_too_and_stays_if_it_cannot_be(scene: Scene, tmp_path: Path) -> None:
    await scene.delivered(*range(1, 4))
    (tmp_path / "archive").touch()
    archive = ArchiveFolder(tmp_path / "archive")
    with pytest.raises(ArchiveFailed):
        await scene.store.purge_early(now=NOON, archive=archive)
    assert await scene.kept() == [1, 2, 3]
    (tmp_path / "archive").unlink()
    assert await scene.store.purge_early(now=NOON, archive=archive) == 3
    [file] = (tmp_path / "archive").iterdir()
    with gzip.open(file) as lines:
        assert [orjson.loads(line)["webhook"]["id"] for line in lines] == [f"webhook-000{n}" for n in (1, 2, 3)]
