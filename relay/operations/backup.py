"""A store, in use or not -> a verified copy of it, and a line of the audit.

Copying needs no disk that can be written where the store is; the audit does, so it is a step of its own.
"""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relay.operations import audit
from relay.store.contract import Archive

if TYPE_CHECKING:
    from relay.store.sqlite.backup import Copied as Copied


def copy(store: Path, to: Path, *, overwrite: bool) -> "Copied":
    """Copy the store to a file that appears once it is whole, sound and on disk. Blocks; may be interrupted."""
    from relay.store.sqlite.backup import backup

    return backup(store, to, overwrite=overwrite)


async def note(store: Archive, to: str, copied: "Copied", *, by: str, now: datetime) -> None:
    """Audit a copy that was begun at `now`."""
    act = audit.entry("backup", {"file": to}, by=by, now=now)
    await store.note(act, copied.counts["webhooks"])
