"""config/haproxy.cfg: HAProxy itself, in front of two that answer as relays do, or do not."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.balancers import haproxy
from tests.e2e.processes import TOKEN

Behaviour = Callable[[web.Request], Awaitable[web.Response]]
WAITS = 2.0  # seconds, as amoCRM does
BODY = b"leads[add][0][id]=7"


async def takes(_request: web.Request) -> web.Response:
    return web.Response(text="kept")


async def hangs(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.Response:
    assert request.transport
    request.transport.abort()
    return web.Response()


async def is_unable(_request: web.Request) -> web.Response:
    return web.Response(status=503)


@dataclass(frozen=True)
class Ports:
    """Of a relay, as `haproxy` wants to know them."""

    port: int
    admin_port: int


class Two:
    """Relays of this process, always ready: what each does with a webhook, and how many it had."""

    def __init__(self) -> None:
        self.behaviour: list[Behaviour] = [takes, takes]
        self.had: Counter[int] = Counter()
        self.bodies: list[bytes] = []

    async def serve(self, number: int, stack: AsyncExitStack) -> Ports:
        """Listen."""

        async def hook(request: web.Request) -> web.Response:
            self.had[number] += 1
            self.bodies.append(await request.read())
            return await self.behaviour[number](request)

        async def readyz(_request: web.Request) -> web.Response:
            return web.Response()

        app = web.Application()
        app.router.add_post("/hooks/{rest:.*}", hook)
        app.router.add_get("/readyz", readyz)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        port = runner.addresses[0][1]
        return Ports(port=port, admin_port=port)


@pytest.fixture
async def two() -> Two:
    return Two()


@pytest.fixture
async def url(two: Two, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        relays = [await two.serve(number, stack) for number in (0, 1)]
        port = await stack.enter_async_context(haproxy(tmp_path, relays))
        await asyncio.sleep(1.2)  # two checks of each relay
        yield f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"


async def post(url: str) -> int:
    """What amoCRM is answered while it waits."""
    timeout = aiohttp.ClientTimeout(total=WAITS)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.post(url, data=BODY) as answer:
        return answer.status


@pytest.mark.parametrize("behaviour", [hangs, hangs_up, is_unable])
async def test_a_relay_that_does_not_take_it_costs_no_webhook(behaviour: Behaviour, two: Two, url: str) -> None:
    two.behaviour[0] = behaviour
    assert await post(url) == 200
    assert two.had == {0: 1, 1: 1}
    assert two.bodies == [BODY, BODY]


async def test_where_both_are_unable_the_sender_learns_it(two: Two, url: str) -> None:
    two.behaviour[:] = [is_unable, is_unable]
    assert await post(url) == 503


async def test_nothing_but_webhooks_gets_through(url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(url[: url.index("/hooks")] + "/readyz") as answer:
        assert answer.status == 404
