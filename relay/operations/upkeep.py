"""A PostgreSQL store as a whole -> migrated, filled from a SQLite store, or rid of a stranded spool."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.operations import audit
from relay.signals import Emit
from relay.store import upkeep
from relay.store.open import StoreUrl
from relay.store.records import ForgottenSpool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolFile:
    """What a spool of this machine holds: webhooks to be forwarded, and those that the store refuses."""

    file: Path
    webhooks: int
    oldest_at: datetime | None
    refused: int


async def migrate(store: StoreUrl) -> None:
    """Bring the schema up to date, as a relay does when it starts."""
    await upkeep.migrate(store)


async def migration_sql(store: StoreUrl) -> str:
    """The SQL that would do it, for a role that may; empty if nothing is to be done."""
    return await upkeep.migration_sql(store)


async def move(source: StoreUrl, to: StoreUrl) -> Mapping[str, int]:
    """Copy a SQLite store whose daemon is stopped into an empty database; the rows by table."""
    return await upkeep.move(source, to)


async def drain(file: Path, to: StoreUrl, *, by: str, durable: bool, emit: Emit) -> tuple[int, int]:
    """Forward a stranded spool: how many webhooks were forwarded, and how many the store refuses."""
    drained = await upkeep.drain(
        file,
        to,
        audit=lambda relay, now: audit.entry("spool drain", {"file": str(file), "relay": relay}, by=by, now=now),
        durable=durable,
        emit=emit,
    )
    return drained.forwarded, drained.refused


async def forget_spool(relay: str, store: StoreUrl, *, by: str) -> ForgottenSpool:
    """Take the spool of a relay that is gone for empty: its disk is lost."""
    return await upkeep.forget_spool(relay, store, lambda now: audit.entry("spool forget", {}, by=by, now=now))


def spool_file(file: Path) -> SpoolFile | None:
    """Look into a spool beside the relay that owns it; None if there is no such file."""
    if (found := upkeep.spool_contents(file)) is None:
        return None
    return SpoolFile(file=file, webhooks=found.webhooks, oldest_at=found.oldest_at, refused=found.refused)
