"""A relay's parts -> its private listener: metrics, health, the API and, if `--console` asks for it, the console."""

import socket
from collections.abc import Awaitable, Callable
from functools import partial

from prometheus_client import CollectorRegistry

from relay.admin.api.asking import Asking
from relay.admin.api.routes import Api
from relay.admin.app import Console, admin
from relay.daemon.readiness import Readiness
from relay.daemon.reloader import Reloader
from relay.daemon.settings import Settings
from relay.daemon.verifying import verify_beside
from relay.http.aiohttp_version import Variant
from relay.http.listener import Listener, listen
from relay.http.machine_limits import Limits
from relay.observe import EventStream
from relay.operations.access import Bearers
from relay.operations.desk import Receive
from relay.signals import Emit, Reloaded
from relay.store.contract import OwnedStore
from relay.store.open import session_key

CONNECTIONS = 128
GRACE = 0.5  # seconds for requests that are being served when the relay stops


async def listen_privately(
    listening: socket.socket,
    settings: Settings,
    *,
    variant: Variant,
    store: OwnedStore,
    reloader: Reloader,
    reload: Callable[[], Awaitable[Reloaded]],
    readiness: Readiness,
    registry: CollectorRegistry,
    refresh: Callable[[], Awaitable[None]],
    stream: EventStream,
    receive: Receive,
    bearers: Bearers | None,
    emit: Emit,
) -> Listener:
    """Serve on a listening socket. `refresh` reads the gauges at a scrape; `receive` takes a sample in."""
    verify = partial(verify_beside, settings.store)
    console = (settings.admin_url or "").rstrip("/")
    asking = Asking(store, lambda: reloader.config, settings.names, reload, receive, verify, console)
    application = admin(
        registry=registry,
        refresh=refresh,
        unready=readiness.unready,
        store_unready=readiness.store_unready,
        remark=readiness.remark,
        reload=reload,
        stream=stream,
        api=Api(asking),
        console=_console(settings, asking, stream, bearers) if settings.console else None,
        targets=lambda: reloader.config.targets,
        emit=emit,
        bearers=bearers,
        hosts=[settings.admin_host],
        proxies=settings.proxies,
    )
    limits = Limits(connections=CONNECTIONS)
    return await listen(application, listening, limits=limits, drain=0.0, grace=GRACE, emit=emit, variant=variant)


def bearers_of(settings: Settings) -> Bearers | None:
    """None if nothing demands a token: then whoever reaches the loopback is an operator."""
    if not (settings.admin_token or settings.viewer_token or settings.access):
        return None
    return Bearers(admin=settings.admin_token, viewer=settings.viewer_token)


def _console(settings: Settings, asking: Asking, stream: EventStream, bearers: Bearers | None) -> Console:
    from relay.admin.console import console, session  # they and their libraries are not loaded without it

    if bearers is None:
        return console.Console(asking, stream)
    secure = (settings.admin_url or "").startswith("https:")
    key = session_key(settings.store)
    return console.Console(asking, stream, session.Sessions(bearers, key.read, secure=secure))
