"""GET /livez, /readyz, /readyz/store -> whether the process runs, and whether it can commit webhooks."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from relay.admin.auth import ASKER
from relay.admin.shared_call import SharedCall


class HealthRoutes:
    """`unready` returns why webhooks cannot be committed, or None; `remark` a warning about a relay that is ready."""

    def __init__(self, unready: Callable[[], Awaitable[str | None]], remark: Callable[[], str | None]) -> None:
        self._unready = SharedCall(unready)
        self._remark = remark

    async def livez(self, _request: web.Request) -> web.Response:
        """Answer 200 as long as the event loop runs."""
        return web.Response(text="ok\n")

    async def readyz(self, request: web.Request) -> web.Response:
        """Answer 200 or 503; the reason and the remark only to clients with a token."""
        try:
            reason = await self._unready.result()
        except TimeoutError:
            reason = "the store does not answer"
        known = ASKER in request
        if reason:
            return web.Response(status=503, text=f"{reason if known else 'not ready'}\n")
        remark = self._remark() if known else None
        return web.Response(text=f"ready; {remark}\n" if remark else "ready\n")

    async def close(self, _app: web.Application) -> None:
        """Cancel a readiness check that is under way."""
        await self._unready.stop()
