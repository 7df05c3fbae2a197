"""A store and the targets of a routes file -> the state of every target, of intake and of the daemon."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from relay.model import Health
from relay.operations.known_names import KnownNames, known_names
from relay.routes.config import Config
from relay.store.contract import OperationsStore
from relay.store.records import Filter, Status, TargetStatus

FILES = "files"
MISADDRESSED = "misaddressed"
UNAUTHORIZED = "unauthorized"
OLDEST_SNAPSHOT = "oldest_snapshot"
"""Names under which the running daemon publishes reports: its files, requests at wrong addresses, wrong tokens, and who
keeps PostgreSQL from vacuuming."""

PROMPT = timedelta(minutes=1)  # a delivery that is pending for less may be on its way


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The store as it was `at` an instant. `routed`: the targets of the routes file, None if it cannot be used.

    `names`: those in the file, None too.
    """

    at: datetime
    status: Status
    targets: Mapping[str, TargetStatus]
    routed: Collection[str] | None
    names: KnownNames | None = None

    @property
    def running(self) -> bool:
        """True while a daemon runs."""
        return self.status.owner is not None

    def idle(self, target: TargetStatus) -> bool:
        """Whether a circuit is open only because no delivery comes to close it: its pause is over, and none waits.

        Where relays share the store, others may deliver well to that target.
        """
        report = target.condition
        if not self.running or report is None or report.health is not Health.OPEN or report.probe_at is None:
            return False
        well = any(each.health is Health.OK for each in target.conditions.values())
        young = target.oldest_at is None or (well and self.at - target.oldest_at < PROMPT)
        return report.probe_at <= self.at and young

    def in_routes(self, target: str) -> bool | None:
        """Whether the routes file names a target; None if it cannot be used."""
        return None if self.routed is None else target in self.routed


async def look(store: OperationsStore, config: Config | None) -> Overview:
    """The overview of now; `config` is None if the routes file cannot be used."""
    now = store.clock()
    if config is None:
        return await overview(store, None, now=now)
    guarded = [name for name, source in config.sources.items() if source.guard]
    return await overview(store, config.targets, now=now, names=known_names(config), guarded=guarded)


async def overview(
    store: OperationsStore,
    routed: Collection[str] | None,
    *,
    now: datetime,
    names: KnownNames | None = None,
    guarded: Collection[str] | None = None,
) -> Overview:
    """Every target that the routes file names or the store has something of, by name.

    `guarded`: the sources whose webhook in amoCRM is watched, None if the file cannot be used: nothing is shown of
    others, as what was seen of them once is not looked at any more.
    """
    status = await store.status()
    if guarded is not None:
        status = replace(status, guards={name: each for name, each in status.guards.items() if name in guarded})
    known = await store.count(Filter()) if routed is None else routed
    targets = {name: status.targets.get(name, TargetStatus()) for name in sorted({*status.targets, *known})}
    return Overview(at=now, status=status, targets=targets, routed=routed, names=names)


async def read(store: OperationsStore) -> Status:
    """The status alone, on which the next step of a delivery depends."""
    return await store.status()
