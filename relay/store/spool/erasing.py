"""What the shared store has erased -> erased in the spool, too; then the relay confirms it.

A spool forwards its webhooks without what is erased, as soon as it can. What it had forwarded before is in the free
pages of its file, and what the shared store refuses stays.
"""

import asyncio
from contextlib import suppress

from relay.errors import StoreBusy
from relay.model.erasure import Tombstone
from relay.store.contract import SharedStore
from relay.store.erasure_plan import Scope, plan
from relay.store.records import AuditEntry
from relay.store.sqlite.spool import SqliteSpool

EVERY = 2.0  # seconds between two looks for erasures
PAGE = 200


async def keep_erasing(shared: SharedStore, spool: SqliteSpool) -> None:
    """Erase for ever what others have erased; the caller cancels it."""
    while True:
        with suppress(StoreBusy):  # away: the next time
            await erase(shared, spool)
        await asyncio.sleep(EVERY)


async def erase(shared: SharedStore, spool: SqliteSpool) -> None:
    """Erase what this relay has not confirmed, and confirm it."""
    if not (acts := await shared.unconfirmed_erasures()):
        return
    tombstones = await shared.erasure.tombstones()
    act = AuditEntry(id=acts[-1], at=spool.clock(), who="", command="forget")
    await spool.erasure.bury(tombstones, act)
    for tombstone in tombstones:
        await _erase(spool, tombstone, act)
    await spool.erasure.rewrite()
    await shared.confirm_erasures(acts)


async def _erase(spool: SqliteSpool, tombstone: Tombstone, act: AuditEntry) -> None:
    scope = Scope(refs=frozenset({tombstone.ref}), source=tombstone.source)
    after = 0
    while page := await spool.erasure.history(after, most=PAGE):
        old = [each for each in page if each.received_at <= tombstone.at]
        await spool.erasure.erase([planned.erased for each in old if (planned := plan(each, scope))], act)
        after = page[-1].seq
