"""Webhooks that were answered 200 and are gone without a trace in SQLite: the next start says so, until accepted."""

from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from relay.model import Retention
from relay.signals import AcksMissing, Signal
from relay.store.contract import Archive
from relay.store.sqlite.store import SqliteStore
from relay.store.sqlite.watermark import SIZE, Watermark, acked
from tests.store.conftest import MINUTE, NOON, act, open_sqlite, routed, to, webhook
from tests.store.damage import flip_at, roll_back

LATER = NOON + timedelta(days=1)


def start(folder: Path) -> tuple[SqliteStore, list[AcksMissing]]:
    signals: list[Signal] = []
    store = SqliteStore.open(folder / "relay.db", now=LATER, emit=signals.append, failed=lambda: None)
    return store, [signal for signal in signals if isinstance(signal, AcksMissing)]


async def keep(store: Archive, *numbers: int) -> None:
    for number in numbers:
        await store.keep(webhook(number), [routed(number, to())])


async def crash_image(folder: Path) -> Path:
    """What kill -9 leaves of a store whose last three webhooks are in the WAL alone."""
    store = open_sqlite(folder, NOON)
    await keep(store, 1, 2)
    await store.close()
    store = open_sqlite(folder, NOON)
    await keep(store, 3, 4, 5)
    image = folder / "image"
    image.mkdir()
    for name in ("relay.db", "relay.db-wal", "relay.db.acked"):
        (image / name).write_bytes((folder / name).read_bytes())
    await store.close()
    return image


def deleted(wal: Path) -> None:
    wal.unlink()


def cut_short(wal: Path) -> None:
    wal.write_bytes(wal.read_bytes()[:-100])


def flipped(wal: Path) -> None:
    flip_at(wal, wal.stat().st_size // 2)


@pytest.mark.parametrize("harm", [deleted, cut_short, flipped])
async def test_a_wal_that_lost_something_is_told_at_the_next_start(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    image = await crash_image(tmp_path)
    harm(image / "relay.db-wal")
    store, [missing] = start(image)
    [loss] = await store.losses()
    kept = [number for number in range(1, 6) if await store.show(f"webhook-{number:04}")]
    await store.close()
    assert missing.at_most == loss.count == 5 - len(kept) > 0
    with closing(apsw.Connection(str(image / "relay.db"))) as connection:
        assert list(connection.execute("select first, last from losses")) == [(len(kept) + 1, 5)]
    assert (loss.after, loss.noticed_at) == (NOON, LATER)


async def test_a_crash_alone_loses_nothing_and_says_nothing(tmp_path: Path) -> None:
    image = await crash_image(tmp_path)
    store, missing = start(image)
    assert (missing, await store.losses()) == ([], ())
    await store.close()


async def test_a_backup_that_was_restored_lacks_what_came_after_it(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    await keep(store, 1)
    await store.close()
    backup = (tmp_path / "relay.db").read_bytes()
    store = open_sqlite(tmp_path, NOON)
    await keep(store, 2, 3)
    await store.close()
    roll_back(tmp_path / "relay.db", backup)
    store, [missing] = start(tmp_path)
    assert missing.at_most == 2
    await store.close()


@pytest.fixture
async def shorter(tmp_path: Path) -> Path:
    """A folder whose store is two webhooks short."""
    store = open_sqlite(tmp_path, NOON)
    await store.close()
    empty = (tmp_path / "relay.db").read_bytes()
    store = open_sqlite(tmp_path, NOON)
    await keep(store, 1, 2)
    await store.close()
    roll_back(tmp_path / "relay.db", empty)
    return tmp_path


async def test_it_is_told_until_somebody_accepts_it_whatever_comes_in_meanwhile(shorter: Path) -> None:
    store, [missing] = start(shorter)
    assert missing.after is None, "there is nothing left to count from"
    await keep(store, 7, 8, 9)
    await store.close()
    store, noticed_again = start(shorter)
    assert noticed_again == [], "once in the log; but the status, the metric and /readyz go on"
    assert [loss.count for loss in (await store.status()).losses] == [2]
    assert await store.accept_losses(act(command="verify --accept-loss")) == 2
    assert await store.losses() == ()
    assert [(each.command, each.count) for each in await store.audit(limit=9)] == [("verify --accept-loss", 2)]
    assert await store.accept_losses(act(2)) == 0
    assert len(await store.audit(limit=9)) == 1, "nothing was there to be accepted"
    await store.close()
    store, noticed_again = start(shorter)
    assert (noticed_again, await store.losses()) == ([], ())
    await store.close()


async def test_the_same_loss_once_more_is_a_new_one(shorter: Path) -> None:
    empty = (shorter / "relay.db").read_bytes()
    store, _ = start(shorter)
    await store.accept_losses(act())
    await keep(store, 1, 2)
    await store.close()
    roll_back(shorter / "relay.db", empty)
    store, [_noticed] = start(shorter)
    assert [loss.count for loss in await store.losses()] == [2]
    await store.close()


async def test_what_was_noticed_outlives_the_next_wal(shorter: Path) -> None:
    store, _ = start(shorter)
    image = shorter / "image"
    image.mkdir()
    for name in ("relay.db", "relay.db.acked"):
        (image / name).write_bytes((shorter / name).read_bytes())
    await store.close()
    store, _ = start(image)
    assert [loss.count for loss in await store.losses()] == [2]
    await store.close()


async def test_a_purge_loses_nothing(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(1), [])
    await store.keep(webhook(2, unparsed="odd"), [])
    assert (await store.purge(Retention(unrouted=MINUTE, unparsed=MINUTE), now=LATER)).keys() == {
        "unrouted",
        "unparsed",
    }
    await store.close()
    store, missing = start(tmp_path)
    assert (missing, await store.losses()) == ([], ())
    await store.close()


# ---- the file


async def test_the_file_follows_every_commit_and_never_leads(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    assert acked(tmp_path / "relay.db") == 0
    await keep(store, 1, 2)
    assert acked(tmp_path / "relay.db") == 2
    with pytest.raises(Exception, match="UNIQUE"):
        await store.keep(webhook(3), [routed(3, to()), routed(3, to())])
    assert acked(tmp_path / "relay.db") == 2, "what was rolled back was never acknowledged"
    await store.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 2 * SIZE, b"\xff" * 2 * SIZE, b"\0" * (SIZE - 1) + b"\x09"])
async def test_a_file_that_cannot_be_read_alarms_nobody(tmp_path: Path, content: bytes) -> None:
    store = open_sqlite(tmp_path, NOON)
    await keep(store, 1)
    await store.close()
    (tmp_path / "relay.db.acked").write_bytes(content)
    store, missing = start(tmp_path)
    assert missing == []
    assert acked(tmp_path / "relay.db") == 1, "from now on it tells again"
    await store.close()


def test_a_disk_that_will_not_write_it_stops_nothing(tmp_path: Path) -> None:
    file = Watermark.open(tmp_path / "relay.db")
    file.advance(1)
    file.close()  # from now on every write of it fails
    file.advance(2)
    assert acked(tmp_path / "relay.db") == 1
