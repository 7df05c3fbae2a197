"""What pages of the console take, of 1,000,000 deliveries: `python -m tests.bench.pages [NUMBER [TIMES]]`.

The stores are those of `questions`. A page is asked for by HTTP within the process, with its templates compiled: what
is measured is the desk, the rendering and aiohttp, both sides. Goal: a p99 of at most 100 ms on a quiet machine; on a
busy one the time of the processor tells more (of PostgreSQL without the server's).
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client import CollectorRegistry

from relay.admin.api.asking import Asking
from relay.admin.api.routes import Api
from relay.admin.app import admin
from relay.admin.console.console import Console
from relay.observe import EventStream
from relay.operations.tail import documents
from relay.routes.config import Config, load
from relay.signals import Reloaded
from relay.store.activity import Activity, Hits
from relay.store.contract import Archive
from tests.bench.questions import DELIVERIES, END, TIMES, stores

ROUTES = """\
version: 1
sources:
  crm: {token: a-token-of-twenty-characters}
targets:
  bot: {url: "https://bot.example/"}
  dwh: {url: "https://dwh.example/"}
routes:
  - {name: all, match: {entity: leads}, to: [bot, dwh]}
"""
PAGES = (
    "/",
    "/targets/bot",
    "/leads/4711",
    "/search?q=4711",
    "/search?q=0000000",
    "/search?q=e4711",
    "/sources",
    "/deliveries",
    "/deliveries?state=dead&target=bot",
    "/deliveries?target=nobody",
    "/attempts",
    "/attempts?slower=1h",
    "/unparsed",
    "/unrouted",
    "/refused",
    "/acts",
)
MINUTE, HOUR = int(END.timestamp() // 60), int(END.timestamp() // 3600)
COUNTED = Activity(
    since=0.0,
    delivered={name: {MINUTE - each: 100 + each for each in range(60)} for name in ("bot", "dwh")},
    failed={"bot": {MINUTE - each: each % 7 for each in range(60)}},
    sources={"crm": Hits(since=0.0, last=END.timestamp(), hours={HOUR - each: 9 for each in range(24)})},
    routes={"all": Hits(since=0.0, last=END.timestamp(), hours={HOUR - each: 9 for each in range(24)})},
)


def routes() -> Config:
    """The routes file."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "routes.yaml")
        file.write_text(ROUTES)
        return load(file, {})


async def ready() -> None:
    """Ready, and nothing to refresh."""


async def reload() -> Reloaded:
    """Nothing changes."""
    return Reloaded(file="routes.yaml")


def listener(store: Archive, config: Config) -> web.Application:
    """The private listener, with the console."""
    asking, live = Asking(store, lambda: config), EventStream(lambda: END, documents)
    return admin(
        registry=CollectorRegistry(),
        refresh=ready,
        unready=ready,
        store_unready=ready,
        reload=reload,
        stream=live,
        api=Api(asking),
        console=Console(asking, live),
        emit=lambda _signal: None,
    )


async def measure(client: TestClient[web.Request, web.Application], page: str, times: int) -> str:
    """Ask for a page so often, after once."""
    took: list[float] = []
    worked = 0.0
    for _ in range(times + 1):
        begun, worked_before = perf_counter(), process_time()
        async with client.get(page, allow_redirects=False) as answer:
            size = len(await answer.read())
        took.append((perf_counter() - begun) * 1000)
        worked += process_time() - worked_before
    took = sorted(took[1:])
    p50, p99 = took[len(took) // 2], took[len(took) * 99 // 100]
    mean = worked * 1000 / (times + 1)
    return f"{answer.status} p50 {p50:6.1f} p99 {p99:6.1f} ms, processor {mean:5.1f} ms, {size / 1024:5.1f} KiB"


async def main(deliveries: int, times: int = TIMES) -> None:
    """Print a line for each page and store."""
    begun = perf_counter()
    config = routes()
    async with stores(deliveries // 2) as made:
        print(f"filled in {perf_counter() - begun:.0f} s", file=sys.stderr)
        for name, store in made:
            await store.questions.record_activity(COUNTED, now=END)
            async with TestClient(TestServer(listener(store, config))) as client:  # type: ignore[arg-type]  # an Archive
                for page in PAGES:
                    print(f"{page:38} {name:11} {await measure(client, page, times)}", flush=True)


if __name__ == "__main__":
    asyncio.run(main(*(map(int, sys.argv[1:]) if len(sys.argv) > 1 else (DELIVERIES,))))
