"""GET /metrics -> the registry in the scraper's format, its backlog gauges refreshed from the store."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from relay.admin.shared_call import SharedCall
from relay.signals import BacklogUnreadable, Emit

REFRESH_EVERY = timedelta(seconds=1)


class MetricsRoute:
    """`refresh` updates the gauges in `registry`: at most once a second, and a slow one less often."""

    def __init__(self, registry: CollectorRegistry, refresh: Callable[[], Awaitable[None]], *, emit: Emit) -> None:
        self._registry = registry
        self._refresh = refresh
        self._emit = emit
        self._refreshed = SharedCall(self._refresh_or_announce, every=REFRESH_EVERY)

    async def get(self, request: web.Request) -> web.Response:
        """Answer a scrape, with the gauges of the scrapes before, for two minutes, if the store is late or away."""
        with suppress(TimeoutError):
            await self._refreshed.result()
        encode, content_type = choose_encoder(request.headers.get(hdrs.ACCEPT, ""))
        return web.Response(body=encode(self._registry), headers={hdrs.CONTENT_TYPE: content_type})

    async def close(self, _app: web.Application) -> None:
        """Cancel a refresh that is under way."""
        await self._refreshed.stop()

    async def _refresh_or_announce(self) -> None:
        try:
            await self._refresh()
        except Exception as error:  # noqa: BLE001  the other metrics are needed most when the store is in trouble
            self._emit(BacklogUnreadable(error=str(error)))
