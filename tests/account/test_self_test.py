"""The self-test of our own public address: a relay behind it, something else, or nothing."""

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.account.self_test import self_test
from relay.model import Secret
from relay.signals import Probed, WebhookStored
from tests.scene import Scene, limits, scene

__all__ = ["limits", "scene"]


async def test_a_relay_that_answers_is_found_and_stores_nothing(scene: Scene) -> None:
    assert await self_test(Secret(scene.hook())) is None
    assert [type(each) for each in scene.facts.signals if isinstance(each, Probed | WebhookStored)] == [Probed]


async def test_a_token_that_the_relay_does_not_have_is_told(scene: Scene) -> None:
    why = await self_test(Secret(scene.hook(token="another-token-0123456789")))
    assert why is not None and "answered 404" in why


@pytest.fixture
async def other() -> AsyncIterator[TestServer]:
    """What answers 200 to everything, or redirects."""

    async def everything(request: web.Request) -> web.Response:
        if request.path.startswith("/old"):
            raise web.HTTPPermanentRedirect("/hooks/crm/secret-token")
        return web.json_response({"ok": True})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", everything)
    async with TestServer(app) as server:
        yield server


@pytest.mark.parametrize("path, said", [("", "answered 200, and not as a relay does"), ("/old", "answered 308")])
async def test_what_is_no_relay_is_told(other: TestServer, path: str, said: str) -> None:
    why = await self_test(Secret(f"http://127.0.0.1:{other.port}{path}/hooks/crm/secret-token"))
    assert why is not None and said in why


async def test_nothing_that_listens_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        why = await self_test(Secret(f"http://127.0.0.1:{taken.getsockname()[1]}/hooks/crm/secret-token"))
    assert why is not None and "no connection" in why
