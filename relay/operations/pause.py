"""A target's name -> its deliveries wait, or go on."""

from collections.abc import Collection
from datetime import datetime

from relay.errors import ConflictError, NotFoundError
from relay.operations import audit
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import OperationsStore
from relay.store.records import Filter


async def pause(
    store: OperationsStore, target: str, *, reason: str = "", routed: Collection[str], by: str, now: datetime
) -> bool:
    """Stop new attempts at a target until `resume`; False if it was paused before.

    NotFoundError for a name that neither `routed`, the targets of the routes file, nor the store knows: a mistyped
    name would pause nothing, and nobody would notice.
    """
    await _demand_known(store, target, routed)
    return await store.pause(target, audit.entry("pause", {"target": target, "reason": reason}, by=by, now=now))


async def resume(store: OperationsStore, target: str, *, routed: Collection[str], by: str, now: datetime) -> None:
    """Let attempts go on; ConflictError if the target is not paused, NotFoundError as for `pause`."""
    if not await store.resume(target, audit.entry("resume", {"target": target}, by=by, now=now)):
        await _demand_known(store, target, routed)
        raise ConflictError(f"{target} is not paused: see relay status")


async def _demand_known(store: OperationsStore, target: str, routed: Collection[str]) -> None:
    known = {*routed, *(await store.status()).targets}
    if target not in known and not await store.find(Filter(target=target), limit=1):
        raise NotFoundError(f"no target {quoted(target)} {suggestion(target, sorted(known))}")
