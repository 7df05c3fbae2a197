"""The spool of a relay that is gone -> the shared store."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.errors import ConfigurationError, StoreBusy, StoreLocked, StoreUnsafe
from relay.signals import Emit
from relay.store.contract import SharedStore
from relay.store.records import AuditEntry
from relay.store.spool.pages import Pages
from relay.store.sqlite.spool import SqliteSpool, check_is_spool, is_spool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drained:
    """How many webhooks were forwarded, and how many the shared store refuses, which stay in the file."""

    forwarded: int
    refused: int


async def drain(
    file: Path,
    open_shared: Callable[[str], SharedStore],
    *,
    audit: Callable[[str, datetime], AuditEntry],
    emit: Emit,
) -> Drained:
    """Forward all webhooks of a stranded spool, as its relay would; repeated, it goes on where it ended.

    `open_shared` is called with the name of that relay, in whose place this process is until it ends; `audit` makes the
    audit entry, with that name and the time of the shared store. It is there before the first webhook. Raises
    StoreLocked if the relay runs, ConfigurationError if there is no spool, StoreBusy if the shared store is away.
    """
    spool = _own(file, emit)
    try:
        return await _drain(spool, open_shared(spool.name), audit, emit)
    finally:
        await spool.close()


def _own(file: Path, emit: Emit) -> SqliteSpool:
    if file.is_file():
        check_is_spool(file)
    if not file.is_file() or not is_spool(file):
        raise ConfigurationError(f"there is no spool at {file}: name the file that a relay had as --spool")
    try:
        return SqliteSpool.own(file, emit=emit, failed=lambda: None)
    except StoreUnsafe as error:
        raise StoreUnsafe(str(error).replace(" with --store", "")) from error
    except StoreLocked:
        raise StoreLocked(f"{file} is in use: its relay runs, and forwards it; leave it to that, or stop it") from None


async def _forward_all(shared: SharedStore, pages: Pages) -> None:
    more = True
    while more:
        await shared.ready()
        pages.connection = shared.connections
        smallest = pages.most == 1
        try:
            more = await pages.forward_page()
        except StoreBusy:
            if smallest:
                raise


async def _drain(
    spool: SqliteSpool, shared: SharedStore, audit: Callable[[str, datetime], AuditEntry], emit: Emit
) -> Drained:
    def publish() -> None:
        shared.publish_spool(spool.waiting + spool.refused, spool.oldest_at)

    publish()
    try:
        await shared.ready()
        pages = Pages(shared, spool, committed=lambda _request: None, emit=emit)
        act = audit(spool.name, shared.clock())
        await shared.record_audit(act, 0)
        await pages.hand_over()
        await _forward_all(shared, pages)
        await shared.record_audit(act, pages.forwarded)
        await spool.shrink()
        return Drained(forwarded=pages.forwarded, refused=spool.refused)
    finally:
        publish()
        await shared.close()
