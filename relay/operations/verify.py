"""A store, in use or not -> what in it is corrupt or missing; and an operator accepts what is missing."""

from datetime import datetime

from relay.operations import audit
from relay.store import open as stores
from relay.store.contract import OperationsStore
from relay.store.open import StoreUrl
from relay.store.records import IntegrityReport


def verify(store: StoreUrl) -> IntegrityReport:
    """Check the file's structure and every checksum, and look for webhooks that were acknowledged and are missing."""
    return stores.verify(store)


async def accept_loss(store: OperationsStore, *, by: str, now: datetime) -> int:
    """Report what is missing no more; how many webhooks that is at most."""
    return await store.accept_losses(audit.entry("verify --accept-loss", {}, by=by, now=now))
