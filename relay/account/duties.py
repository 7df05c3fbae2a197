"""Routes with accounts -> what is to be done for them: the list of duties.

run marks      tell of outages of ours, and
refusals       of webhooks that were not answered with 2xx, for guard and heal; on every relay
guard          looks at the webhook of each source that has a `guard`
"""

from collections.abc import Mapping
from datetime import datetime

from relay.account.client import AccountClient
from relay.account.duty import Duty
from relay.account.guard import Guard
from relay.account.guard_times import is_due
from relay.account.needs import needed_settings
from relay.account.refusals import Refusals
from relay.account.self_test import self_test
from relay.model import HealMode, Source
from relay.model.heal import BEAT_EVERY
from relay.routes.config import Config
from relay.signals import Emit
from relay.store.contract import OwnedStore

FLUSH_EVERY = 10.0  # seconds
SOON = 2.0  # seconds after a failure
GUARD_TICK = 5.0  # seconds between two looks whether one is due


def duties_of(
    config: Config, clients: Mapping[str, AccountClient], *, store: OwnedStore, refusals: Refusals, emit: Emit
) -> list[Duty]:
    """Everything that these routes ask for of the accounts that have a client."""
    sources = [source for source in config.sources.values() if source.account in clients]
    duties = [
        _guard(config, source, clients[source.account or ""], store=store, refusals=refusals, emit=emit)
        for source in sources
        if source.guard
    ]
    marked = any(source.guard or source.heal.mode is not HealMode.OFF for source in sources)
    return [*([_run_marks(store), _flush(store, refusals)] if marked else []), *duties]


def _run_marks(store: OwnedStore) -> Duty:
    async def run() -> float:
        await store.healing.beat(store.clock())
        return BEAT_EVERY.total_seconds()

    return Duty(name="run marks", run=run, by_all=True, again=SOON)


def _flush(store: OwnedStore, refusals: Refusals) -> Duty:
    async def run() -> float:
        await refusals.flush(store.guard)
        return FLUSH_EVERY

    return Duty(name="refusals", run=run, by_all=True, again=SOON)


def _guard(
    config: Config, source: Source, client: AccountClient, *, store: OwnedStore, refusals: Refusals, emit: Emit
) -> Duty:
    guard = Guard(
        source,
        needed_settings(config, source.name),
        api=client,
        store=store.guard,
        outages=store.healing.outages,
        test=self_test,
        emit=emit,
        clock=store.clock,
    )
    looked_at: datetime | None = None

    async def run() -> float:
        nonlocal looked_at
        if is_due(store.clock(), looked_at, refusals.last_at(source.name)):
            began_at = store.clock()
            await store.healing.beat(began_at)  # first: an outage ends with it
            await refusals.flush(store.guard)
            await guard.look()
            looked_at = began_at
        return GUARD_TICK

    return Duty(name=f"guard {source.name}", run=run)
