"""`relay.operations.verify`: what is missing -> accepted by whoever does it."""

from pathlib import Path

from relay.operations.verify import accept_loss, verify
from relay.store.contract import Archive
from relay.store.open import SqliteUrl
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import GARBLED, NOON, unread
from tests.operations.conftest import BY, last


async def test_a_store_that_has_everything_is_sound(store: Archive, folder: Path) -> None:
    assert verify(SqliteUrl(folder / "relay.db")).sound
    assert await accept_loss(store, by=BY, now=NOON) == 0


async def test_who_accepts_a_loss_is_in_the_audit(folder: Path) -> None:
    path = folder / "relay.db"
    await (opened(path)).close()
    older = path.read_bytes()
    store = opened(path)
    await store.keep(unread(GARBLED, b"x", unparsed="odd"), [])
    await store.close()
    path.write_bytes(older)
    store = opened(path)
    try:
        assert [loss.at_most for loss in verify(SqliteUrl(path)).losses] == [1]
        assert await accept_loss(store, by=BY, now=NOON) == 1
        assert verify(SqliteUrl(path)).sound
        entry = await last(store)
        assert (entry.command, entry.who, entry.count) == ("verify --accept-loss", BY, 1)
    finally:
        await store.close()


def opened(path: Path) -> SqliteStore:
    return SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None)
