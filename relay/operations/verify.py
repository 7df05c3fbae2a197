"""A store, in use or not -> what in it is corrupt or missing; and an operator accepts what is missing."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from relay.operations import audit
from relay.store.contract import Archive

if TYPE_CHECKING:
    from relay.store.sqlite.integrity import Report as Report


def verify(store: Path) -> "Report":
    """Check the file's structure and every checksum, and look for webhooks that were acknowledged and are missing."""
    from relay.store.sqlite import integrity

    return integrity.verify(store)


async def accept_loss(store: Archive, *, by: str, now: datetime) -> int:
    """Report what is missing no more; how many webhooks that is at most."""
    return await store.accept_losses(audit.entry("verify --accept-loss", {}, by=by, now=now))
