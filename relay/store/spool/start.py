"""The file of a spool -> the spool, owned; one that cannot be opened is set aside while the shared store replies."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from relay.errors import ConfigurationError, CorruptError, StoreError, StoreFailed, StoreLocked, StoreUnsafe
from relay.signals import AcksMissing, Emit, SpoolSetAside
from relay.store.sqlite.disk import Space
from relay.store.sqlite.spool import SqliteSpool, check_may_be_spool, of_newer_relay, set_aside
from relay.store.times import utc_now


async def open_spool(
    path: Path,
    *,
    emit: Emit,
    failed: Callable[[], object],
    check_shared: Callable[[], Awaitable[object]],
    init: bool = False,
    ballast: int = 0,
    now: Callable[[], datetime] = utc_now,
) -> SqliteSpool:
    """Own the spool at `path`: made if missing, refused if it is a relay's own store or another program's file.

    One that is damaged or gone is renamed `NAME.damaged-<time>`, its webhooks are noted as lost, and a new one is
    begun; but only if the shared store is there: `check_shared` raises a StoreError or ConfigurationError otherwise.
    Raises what a SQLite store would.
    """

    check_may_be_spool(path)

    def own(*, init: bool) -> SqliteSpool:
        space = Space(path, ballast=ballast, emit=emit)
        space.prepare()
        return SqliteSpool.own(path, emit=emit, failed=failed, space=space, init=init)

    try:
        return own(init=init)
    except (StoreLocked, ConfigurationError) as error:
        raise type(error)(_of_spool(error)) from error
    except (StoreUnsafe, StoreFailed, CorruptError) as error:
        if of_newer_relay(path) or not await _replies(check_shared):
            raise type(error)(_of_spool(error)) from error
        suffix = f".damaged-{now():%Y%m%dT%H%M%SZ}"
        held = set_aside(path, suffix)
        emit(SpoolSetAside(file=str(path), to=f"{path}{suffix}", error=_of_spool(error)))
    spool = own(init=False)
    if held:
        emit(AcksMissing(at_most=held, after=None))
        await spool.note_loss(held)
    return spool


def _of_spool(error: Exception) -> str:
    return str(error).replace("--store", "--spool")


async def _replies(check_shared: Callable[[], Awaitable[object]]) -> bool:
    try:
        await check_shared()
    except (StoreError, ConfigurationError):
        return False
    return True
