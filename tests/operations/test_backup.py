"""`relay.operations.backup`: a store in use -> a verified copy, and a line of the audit."""

from pathlib import Path

from relay.operations import backup
from relay.store.contract import Archive
from relay.store.open import SqliteUrl
from tests.cli.conftest import NOON
from tests.operations.conftest import BY, last


async def test_a_copy_is_in_the_audit_with_its_file_and_its_webhooks(store: Archive, folder: Path) -> None:
    copied = backup.copy(SqliteUrl(folder / "relay.db"), folder / "copy.db", overwrite=False)
    assert (folder / "copy.db").stat().st_size == copied.size
    await backup.record(store, str(folder / "copy.db"), copied, by=BY, now=NOON)
    entry = await last(store)
    assert (entry.command, entry.who, entry.at, entry.count) == ("backup", BY, NOON, 5)
    assert entry.details == {"file": str(folder / "copy.db")}
