"""The store, the lanes and the files of a relay, read at a scrape -> its gauges."""

from prometheus_client import CollectorRegistry

from relay.daemon.readiness import Readiness
from relay.daemon.reloader import Reloader
from relay.delivery.dispatcher import Dispatcher
from relay.observe import Gauges, SharedGauges
from relay.store.contract import OwnedStore
from relay.store.records import Status


class Scrape:
    """The gauges of a relay in `registry`. They export nothing before the first `refresh`."""

    def __init__(
        self,
        registry: CollectorRegistry,
        *,
        store: OwnedStore,
        dispatcher: Dispatcher,
        reloader: Reloader,
        readiness: Readiness,
    ) -> None:
        self._gauges = Gauges(registry, shared=store.spool() is not None)
        self._shared_gauges = SharedGauges(registry)
        self._store = store
        self._dispatcher = dispatcher
        self._reloader = reloader
        self._readiness = readiness

    async def refresh(self) -> None:
        """Read the gauges from the spool, which is known while a shared store is away, and from the store."""
        spool = self._store.spool()
        if spool:
            self._shared_gauges.update_spool(spool, self._store.clock())
        status, sizes = await self._store.status(), self._store.sizes()
        if spool:
            self._refresh_relays(status)
        self._readiness.update_losses(status.losses)
        certificate = self._reloader.certificate
        self._gauges.update(
            backlog=status.targets,
            target_states=self._dispatcher.health(),
            store_bytes=sizes.used,
            store_free_bytes=sizes.free,
            lost=self._readiness.lost,
            subscriptions=self._subscriptions(status),
            in_flight=self._dispatcher.in_flight(),
            unparsed=status.unparsed,
            unrouted=status.unrouted,
            certificate_ends_at=certificate.ends_at if certificate else None,
            now=self._store.clock(),
        )

    def _refresh_relays(self, status: Status) -> None:
        oldest = self._store.oldest_snapshot()
        self._shared_gauges.update_relays(
            living=len(status.living),
            configs=status.configs,
            gone=status.gone,
            stranded=status.stranded,
            oldest_snapshot_at=oldest.since if oldest else None,
            now=self._store.clock(),
        )

    def _subscriptions(self, status: Status) -> dict[str, str]:
        """The state of each webhook in amoCRM that is watched, by source, once it was looked at."""
        watched = (name for name, source in self._reloader.config.sources.items() if source.guard)
        known = {name: status.guards[name] for name in watched if name in status.guards}
        return {name: each.state for name, each in known.items() if each.state and not each.off}
