"""Routes with accounts -> what is to be done for them: the list of duties.

token           asks whether an account's token is good, and what its clock says; on every relay
names           of stages, users and fields, fetched from time to time; on every relay
run marks       are stored from time to time: a gap in them was an outage of ours; on every relay
failed answers  to amoCRM are counted in the store, for guard and heal; on every relay
heal            scans and heals, for each source that does; what one that does not must remember
guard           looks at the webhook of each source that has a `guard`
enrich          fetches what targets want beside events, for each account
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.account.answers import without_request
from relay.account.client import AccountClient
from relay.account.duty import Duty
from relay.account.enrich.enricher import Enricher
from relay.account.failed_answers import FailedAnswers
from relay.account.guard import Guard
from relay.account.guard_times import is_due
from relay.account.heal.rounds import Rounds
from relay.account.heal.scanner import switch_off
from relay.account.names_cache import refresh
from relay.account.needs import needed_settings
from relay.account.self_test import self_test
from relay.account.token_watch import EVERY as TOKEN_EVERY
from relay.account.token_watch import TokenWatch
from relay.errors import AccountError, ConfigurationError
from relay.model import HealMode, Source
from relay.model.heal import BEAT_EVERY
from relay.model.subscription import GuardRecord
from relay.routes.config import Config
from relay.routes.plan import plan
from relay.signals import Emit
from relay.signals.account import NamesNotRefreshed
from relay.store.contract import OwnedStore

FLUSH_EVERY = 10.0  # seconds
SOON = 2.0  # seconds after a failure
NAMES_EVERY = 900.0  # seconds
NAMES_AGAIN = 60.0  # after a failure
OFF_EVERY = 3600.0  # seconds
GUARD_TICK = 5.0  # seconds between two looks whether one is due


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What duties work with. `names`: the folder where catalogs of names are cached."""

    store: OwnedStore
    failed_answers: FailedAnswers
    names: Path
    emit: Emit


def duties_of(config: Config, clients: Mapping[str, AccountClient], means: Means) -> list[Duty]:
    """Everything that these routes ask for of their accounts.

    Run marks are made whatever they ask for: a time without would look like an outage to a guard that comes later.
    """
    duties = [_run_marks(means.store)]
    duties += [make(config, client, means) for client in clients.values() for make in (_token, _names)]
    sources = [(source, clients[source.account]) for source in config.sources.values() if source.account]
    if any(source.guard or source.heal.mode is not HealMode.OFF for source, _ in sources):
        duties.append(_flush(means.store, means.failed_answers))
    duties += [_guard(config, source, client, means) for source, client in sources if source.guard]
    duties += [
        _heal(config, source, client, means) for source, client in sources if source.heal.mode is not HealMode.OFF
    ]
    if off := [source.name for source in config.sources.values() if source.heal.mode is HealMode.OFF]:
        duties.append(_heal_off(off, means.store))
    if any(target.enrich for target in config.targets.values()):
        duties += [_enrich(config, client, means) for client in clients.values()]
    return duties


def duties_without_accounts(config: Config, _clients: Mapping[str, AccountClient], means: Means) -> list[Duty]:
    """What a relay does that never had an account: if a source has healed before, it does not from now on."""
    return [_heal_off([*config.sources], means.store, only_if_it_has=True)]


def _token(_config: Config, client: AccountClient, means: Means) -> Duty:
    watch = TokenWatch(client, emit=means.emit)

    async def run() -> float:
        await watch.look(means.store.clock())
        return TOKEN_EVERY.total_seconds()

    return Duty(name=f"token {client.account.name}", run=run, by_all=True)


def _enrich(config: Config, client: AccountClient, means: Means) -> Duty:
    name = client.account.name
    enricher = Enricher(
        name,
        [source.name for source in config.sources.values() if source.account == name],
        config.targets,
        api=client,
        store=means.store.enrichments,
        emit=means.emit,
        clock=means.store.clock,
    )
    return Duty(name=f"enrich {name}", run=enricher.look, again=SOON)


def _names(config: Config, client: AccountClient, means: Means) -> Duty:
    name = client.account.name
    told = ""

    async def run() -> float:
        nonlocal told
        try:
            await refresh(client, client.account, means.names, known=config.catalogs.get(name), now=means.store.clock())
        except (AccountError, ConfigurationError) as error:
            if (problem := without_request(str(error))) != told:
                told = problem
                means.emit(NamesNotRefreshed(account=name, detail=str(error)))
            return NAMES_AGAIN
        told = ""
        return NAMES_EVERY

    return Duty(name=f"names {name}", run=run, by_all=True)


def _heal(config: Config, source: Source, client: AccountClient, means: Means) -> Duty:
    rounds = Rounds(
        source,
        client.account,
        api=client,
        store=means.store.healing,
        guard=means.store.guard,
        catalog=config.catalogs.get(client.account.name),
        status=means.store.status,
        plan=lambda event: plan(event, config),
        clock=means.store.clock,
        emit=means.emit,
    )
    return Duty(name=f"heal {source.name}", run=rounds.round)


def _heal_off(sources: Sequence[str], store: OwnedStore, *, only_if_it_has: bool = False) -> Duty:
    """Marks that their webhooks are in no index: once they heal, what came till then was not lost."""

    async def run() -> float:
        for each in sources:
            if not only_if_it_has or await store.healing.heal_marks(each):
                await switch_off(store.healing, each, now=store.clock())
        return OFF_EVERY

    return Duty(name="heal off", run=run, again=SOON)


def _run_marks(store: OwnedStore) -> Duty:
    async def run() -> float:
        await store.healing.beat(store.clock())
        return BEAT_EVERY.total_seconds()

    return Duty(name="run marks", run=run, by_all=True, again=SOON)


def _flush(store: OwnedStore, failed_answers: FailedAnswers) -> Duty:
    async def run() -> float:
        await failed_answers.flush(store.guard)
        return FLUSH_EVERY

    return Duty(name="failed answers", run=run, by_all=True, again=SOON)


def _guard(config: Config, source: Source, client: AccountClient, means: Means) -> Duty:
    store, failed_answers = means.store, means.failed_answers
    guard = Guard(
        source,
        needed_settings(config, source.name),
        api=client,
        store=store.guard,
        outages=store.healing.outages,
        test=self_test,
        emit=means.emit,
        clock=store.clock,
    )
    looked_at: datetime | None = None

    async def run() -> float:
        nonlocal looked_at
        record = (await store.guard.records()).get(source.name, GuardRecord(source=source.name))
        if is_due(store.clock(), looked_at, failed_answers.last_at(source.name), record):
            began_at = store.clock()
            await store.healing.beat(began_at)  # first: an outage ends with it
            await failed_answers.flush(store.guard)
            await guard.look()
            looked_at = began_at
        return GUARD_TICK

    return Duty(name=f"guard {source.name}", run=run)
