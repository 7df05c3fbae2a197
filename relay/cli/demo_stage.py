"""What `relay demo` runs: two targets on this machine, and a relay with a temporary store that delivers to them."""

import base64
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from relay.cli.sink import Behaviour, Received, receiver
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, url
from relay.store.open import SqliteUrl

ROUTES = """\
version: 1

sources:
  crm:
    token: ${{DEMO_TOKEN}}          # amoCRM posts to /hooks/crm/<token>

targets:
  sales-bot:
    url: {sales_bot}
  warehouse:                      # refuses first attempts here; later it is down one minute in two
    url: {warehouse}
    secret: ${{DEMO_SECRET}}        # each request is signed
    retry: {{initial: 1s, max: 10s, attempts: 3}}

routes:
  - name: offer-made              # a lead that is created in the stage arrives as add
    match: {{entity: leads, action: [status, add], status_id: 16203337}}
    to: [sales-bot, warehouse]
  - name: talks-to-us
    match: {{entity: leads, action: [call_in, mail_in, chat, site_visit]}}
    to: sales-bot
  - name: everything-else
    otherwise: true
    to: warehouse
"""


async def prepare(stack: AsyncExitStack, folder: Path, warehouse: Behaviour) -> Settings:
    """Start two targets and write a routes file that names them."""
    good = await _target(stack, Behaviour())
    failing = await _target(stack, warehouse)
    routes = folder / "routes.yaml"
    routes.write_text(ROUTES.format(sales_bot=f"{good}/sales-bot", warehouse=f"{failing}/warehouse"))
    secret = base64.b64encode(secrets.token_bytes(24)).decode()
    return Settings(
        config=routes,
        store=SqliteUrl(folder / "relay.db"),
        listen=("127.0.0.1", 0),
        admin=("127.0.0.1", 0),
        environment={"DEMO_TOKEN": secrets.token_urlsafe(24), "DEMO_SECRET": secret},
    )


async def _target(stack: AsyncExitStack, behaviour: Behaviour) -> str:
    runner = web.AppRunner(receiver(_ignore, behaviour), access_log=None, shutdown_timeout=1)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return url(runner.addresses[0][:2])


def _ignore(_received: Received) -> None:
    """The signals of the relay show what arrives."""


def hook(relay: Relay, settings: Settings) -> str:
    """The address to which amoCRM posts."""
    return f"{url(relay.listening)}/hooks/crm/{settings.environment['DEMO_TOKEN']}"
