"""A store, in use or not -> a verified copy of it, and a line of the audit.

Copying needs no disk that can be written where the store is; the audit does, so it is a step of its own.
"""

from datetime import datetime
from pathlib import Path

from relay.operations import audit
from relay.store import open as stores
from relay.store.contract import OperationsStore
from relay.store.open import SqliteUrl
from relay.store.records import BackupCopy


def copy(store: SqliteUrl, to: Path, *, overwrite: bool) -> BackupCopy:
    """Copy the store to a file that appears once it is whole, sound and on disk. Blocks; may be interrupted."""
    return stores.copy(store, to, overwrite=overwrite)


async def record(store: OperationsStore, to: str, copied: BackupCopy, *, by: str, now: datetime) -> None:
    """Audit a copy that was begun at `now`."""
    act = audit.entry("backup", {"file": to}, by=by, now=now)
    await store.record_audit(act, copied.counts["webhooks"])
