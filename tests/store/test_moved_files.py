"""`store.sqlite.files`: a file that is moved, replaced or deleted under an open store ends its promises at once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest

from relay.errors import StoreFailed
from relay.signals import Committed, Signal, StoreGaveUp
from relay.store.sqlite.integrity import verify
from relay.store.sqlite.moved_files import Files
from relay.store.sqlite.store import SqliteStore
from tests.store.conftest import NOON, open_sqlite, routed, to, webhook


def delete(file: Path) -> None:
    file.unlink()


def move(file: Path) -> None:
    file.rename(file.with_name("elsewhere"))


def replace(file: Path) -> None:
    """By a copy: the same bytes, and not the same file."""
    move(file)
    shutil.copy(file.with_name("elsewhere"), file)


HARMS = [delete, move, replace]


@pytest.mark.parametrize("name", ["relay.db", "relay.db-wal", "relay.db-shm"])
@pytest.mark.parametrize("harm", HARMS)
async def test_nothing_is_acknowledged_any_more_and_the_relay_has_to_end(
    tmp_path: Path, name: str, harm: Callable[[Path], None]
) -> None:
    signals: list[Signal] = []
    failures: list[int] = []
    store = SqliteStore.open(tmp_path / "relay.db", now=NOON, emit=signals.append, failed=lambda: failures.append(1))
    await store.keep(webhook(1), [])
    harm(tmp_path / name)
    for number in (2, 3):
        with pytest.raises(StoreFailed, match=rf"{name} was moved, replaced or deleted .*put it back, then restart"):
            await store.keep(webhook(number), [])
    await store.close()
    assert failures == [1]
    assert sum(isinstance(signal, Committed) for signal in signals) == 1, "the first one, and nothing later"
    assert sum(isinstance(signal, StoreGaveUp) for signal in signals) == 1


@pytest.mark.parametrize("name", ["relay.db", "relay.db-wal"])
async def test_a_file_that_goes_during_a_commit_makes_that_commit_unknown(tmp_path: Path, name: str) -> None:
    store = open_sqlite(tmp_path, NOON)
    with pytest.raises(StoreFailed, match="deleted"):
        await store._writer.submit(lambda _cursor: (tmp_path / name).unlink())
    await store.close()


async def test_what_was_moved_can_be_put_back(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(1), [])
    move(tmp_path / "relay.db")
    with pytest.raises(StoreFailed):
        await store.keep(webhook(2), [])
    await store.close()
    (tmp_path / "elsewhere").rename(tmp_path / "relay.db")
    store = open_sqlite(tmp_path, NOON)
    assert await store.show("webhook-0001") is not None
    await store.close()


@pytest.mark.parametrize("harm", [delete, move])
async def test_a_wal_that_was_deleted_takes_nothing_with_it(tmp_path: Path, harm: Callable[[Path], None]) -> None:
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(1), [])
    harm(tmp_path / "relay.db-wal")
    with pytest.raises(StoreFailed):
        await store.keep(webhook(2), [])
    await store.close()
    store = open_sqlite(tmp_path, NOON)
    assert await store.show("webhook-0001") is not None
    assert await store.losses() == ()
    await store.close()


async def test_a_wal_that_was_replaced_is_not_applied_to_what_is_newer(tmp_path: Path) -> None:
    await open_sqlite(tmp_path, NOON).close()  # what the first WAL had is in the database
    store = open_sqlite(tmp_path, NOON)
    await store.keep(webhook(1), [])
    old = (tmp_path / "relay.db-wal").read_bytes()
    await store.keep(webhook(2), [routed(2, to())])
    delete(tmp_path / "relay.db-wal")
    (tmp_path / "relay.db-wal").write_bytes(old)
    with pytest.raises(StoreFailed):
        await store.keep(webhook(3), [])
    await store.close()
    store = open_sqlite(tmp_path, NOON)
    kept = [await store.show(f"webhook-000{number}") is not None for number in (1, 2)]
    assert (kept, [loss.count for loss in await store.losses()]) == ([True, False], [1])
    await store.close()
    assert verify(tmp_path / "relay.db").structure == ()


async def test_a_visitor_that_comes_and_goes_moves_nothing(tmp_path: Path) -> None:
    store = open_sqlite(tmp_path, NOON)
    for number in range(1, 4):
        await store.keep(webhook(number), [])
        before = Files(tmp_path / "relay.db")
        visitor = SqliteStore.visit(tmp_path / "relay.db")
        await visitor.probe()
        await visitor.close()
        assert before.gone() is None, "nor is a file put in the place of another"
        assert all(
            path.exists() for path in (tmp_path / "relay.db", tmp_path / "relay.db-wal", tmp_path / "relay.db-shm")
        )
    assert [await store.show(f"webhook-000{number}") is not None for number in range(1, 4)] == [True] * 3
    assert await store.losses() == ()
    await store.close()


def test_a_look_takes_some_microseconds(tmp_path: Path) -> None:
    (tmp_path / "relay.db").touch()
    files = Files(tmp_path / "relay.db")
    start = perf_counter()
    for _ in range(1000):
        assert files.gone() is None
    assert perf_counter() - start < 1, "a thousandth of this is what a commit pays, twice"
