"""`relay.operations.probe`: a real target is asked without an event, and what it answers is told."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from relay.errors import NotAllowed, NotFoundError
from relay.operations.desk import Desk
from relay.operations.probe import PROBE, Probe
from relay.routes import config as routes_file
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.operations.conftest import BY, OPERATOR, VIEWER, last

ROUTES = """
version: 1
sources: {{crm: {{token: f3c1a09d5e7b4c628d10}}}}
targets:
  bot:
    url: "{url}/in?key=canary-in-query"
    headers: {{X-Key: "Bearer canary-in-header"}}
    secret: whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw
    ok_if: "{{{{ answer.ok }}}}"
    {more}
routes: [{{name: rest, otherwise: true, to: bot}}]
"""


class Target:
    """Remembers what it was asked; answers a POST as webhooks are, and anything else with 405."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.taken = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        self.bodies.append(await request.read())
        if request.method == "POST":
            self.taken += 1
            return web.Response()
        return web.Response(status=405, text=f"no {request.method}, canary-in-header")


@pytest.fixture
async def target() -> AsyncIterator[tuple[Target, str]]:
    made = Target()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    async with TestServer(app) as server:
        yield made, str(server.make_url("")).rstrip("/")


def desk_of(store: Archive, url: str, *, more: str = "") -> Desk:
    config = routes_file.parse(ROUTES.format(url=url, more=more), file="routes.yaml", env={})
    return Desk(store, OPERATOR, config=lambda: config)


@pytest.mark.parametrize("method", ["OPTIONS", "GET"])
async def test_what_a_target_answers_is_told_and_it_has_taken_no_event(
    store: Archive, target: tuple[Target, str], method: str
) -> None:
    asked, url = target
    before = await store.count(Filter())
    done = await desk_of(store, url).ask(PROBE, Probe(target="bot", method=method))
    assert (done.reached, done.status, done.reason, done.method) == (True, 405, "4xx", method)
    assert done.detail == f"no {method}, ***", "what the target repeats of its secrets is masked"
    [request] = asked.asked
    assert (request.method, request.path_qs, asked.bodies) == (method, "/in?key=canary-in-query", [b""])
    assert request.headers["x-key"] == "Bearer canary-in-header"
    assert request.headers["relay-probe"] == "true"
    assert not {"webhook-id", "webhook-signature", "relay-attempt", "content-type"} & {*map(str.lower, request.headers)}
    assert asked.taken == 0
    assert await store.count(Filter()) == before
    entry = await last(store)
    assert (entry.command, entry.who, entry.details) == ("probe", BY, {"target": "bot", "method": method})


async def test_of_an_address_that_is_a_template_the_root_is_asked(store: Archive, target: tuple[Target, str]) -> None:
    asked, url = target
    done = await desk_of(store, url + "/{{ data.id }}").ask(PROBE, Probe(target="bot"))
    assert done.reached
    assert asked.asked[0].path_qs == "/"


async def test_a_target_that_is_not_there_is_not_reached(store: Archive, unused_tcp_port: int) -> None:
    done = await desk_of(store, f"http://127.0.0.1:{unused_tcp_port}").ask(PROBE, Probe(target="bot"))
    assert (done.reached, done.reason, done.status) == (False, "connect", None)
    assert "Connect" in done.detail and "canary" not in done.detail


async def test_where_there_is_no_access_token_nothing_is_sent(
    store: Archive, target: tuple[Target, str], unused_tcp_port: int
) -> None:
    asked, url = target
    oauth2 = f"oauth2: {{token_url: 'http://127.0.0.1:{unused_tcp_port}/token', client_id: a, client_secret: b}}"
    done = await desk_of(store, url, more=oauth2).ask(PROBE, Probe(target="bot"))
    assert (done.reached, done.reason) == (False, "oauth2")
    assert asked.asked == []


async def test_a_name_that_the_routes_do_not_have_is_refused(store: Archive, target: tuple[Target, str]) -> None:
    with pytest.raises(NotFoundError, match="no target 'bott'"):
        await desk_of(store, target[1]).ask(PROBE, Probe(target="bott"))


async def test_a_viewer_may_not(store: Archive, target: tuple[Target, str]) -> None:
    asked, url = target
    viewer = Desk(store, VIEWER, config=desk_of(store, url).config)
    with pytest.raises(NotAllowed):
        await viewer.ask(PROBE, Probe(target="bot"))
    assert asked.asked == []
