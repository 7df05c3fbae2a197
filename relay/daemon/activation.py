"""New routes -> every part of the relay that works by them."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from relay.account.service import Accounts
from relay.daemon.notifications import Notifications
from relay.daemon.settings import Settings
from relay.daemon.stopped_routes import StoppedRoutes
from relay.delivery.dispatcher import Dispatcher
from relay.delivery.send import origin
from relay.errors import StoreBusy, StoreError
from relay.http.machine_limits import descriptor_shortage
from relay.model import Target
from relay.routes.config import Config
from relay.signals import ConfigActivated, ConnectionsScarce, Emit, Endpoint
from relay.store.contract import OwnedStore

PAUSES_WITHIN = 0.5  # seconds of a start; the first poll follows it


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """The parts that follow the routes in force."""

    settings: Settings
    store: OwnedStore
    dispatcher: Dispatcher
    accounts: Accounts
    stopped_routes: StoppedRoutes
    notifications: Notifications
    emit: Emit

    async def start(self, config: Config) -> None:
        """Activate the routes of a start. Targets that were paused, or could not be rendered, are so before."""
        self.dispatcher.pause(await self._paused(config))
        self.activate(config)

    def activate(self, config: Config) -> None:
        """Have every part use these routes. Emit a warning if files may not be enough for their connections."""
        self.emit(_activated(config))
        self.notifications.use(config)
        self.store.publish_config(config.digest)
        self.dispatcher.use(config.targets)
        self.accounts.use(config)
        self.stopped_routes.use(config)
        attempts = sum(target.concurrency for target in config.targets.values())
        if why := descriptor_shortage(attempts, files=self.settings.files, limits=self.settings.limits):
            self.emit(ConnectionsScarce(detail=why))

    async def reactivate(self, config: Config) -> list[str]:
        """Activate the routes of a reload; return the orphaned targets: pending deliveries, but not in the routes."""
        self.activate(config)
        try:
            targets = (await self.store.status()).targets
        except StoreError:
            return []  # the metrics will show it
        return sorted(name for name, each in targets.items() if each.pending and name not in config.targets)

    async def _paused(self, config: Config) -> Collection[str]:
        """Return the paused targets; while the store cannot tell that is all of them, until a poll has asked it.

        Recall beside them which targets' templates could not be rendered.
        """
        try:
            async with asyncio.timeout(PAUSES_WITHIN):
                self.dispatcher.recall(await self.store.published_health())
                return (await self.store.due([])).paused
        except (StoreBusy, TimeoutError):
            return config.targets.keys()


def _activated(config: Config) -> ConfigActivated:
    return ConfigActivated(
        sources=list(config.sources),
        targets=list(config.targets),
        routes=[route.name for route in config.routes],
        endpoints={name: _endpoint(config, target) for name, target in config.targets.items()},
        accounts=list(config.accounts),
        names=config.event_names,
        receivers=[each.name for each in config.notify],
    )


def _endpoint(config: Config, target: Target) -> Endpoint:
    """Read host and port of the URL as it is written: a placeholder in it stands for a secret."""
    _, host, port = origin(config.url_as_written(target.name))
    known = host and port and "$" not in host
    return Endpoint(target.method.value, host, port) if known else Endpoint(target.method.value)
