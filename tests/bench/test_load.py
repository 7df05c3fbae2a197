"""What is posted and taken: bodies and answers of wrk, a steady pace, the receiver that counts."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import time

import pytest
from aiohttp import ClientSession, web
from pytest_aiohttp.plugin import AiohttpServer

from relay.amocrm import form
from tests.bench import leads
from tests.bench.servers import receiving
from tests.bench.wrk import WEBHOOK, BenchFailed, Content, load
from tests.e2e.processes import run


@pytest.mark.usefixtures("wrk")
async def test_a_server_that_refuses_has_no_figure(aiohttp_server: AiohttpServer) -> None:
    async def refuse(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    app = web.Application()
    app.router.add_post("/hooks/crm/x", refuse)
    server = await aiohttp_server(app)
    refusing = TargetStatus(url=str(server.make_url("/hooks/crm/x")))
    with pytest.raises(BenchFailed, match="not all was answered 2xx"):
        await load(refusing, connections=2, seconds=1)


class TargetStatus:
    """A server in this process."""

    def __init__(self, *, url: str) -> None:
        self.url = url
        self.pids: Sequence[int] = [os.getpid()]


def test_a_comparison_posts_a_thousand_leads_that_differ(tmp_path: Path) -> None:
    bodies = leads.webhooks(tmp_path).body.read_text().splitlines()
    read = [form.decode(body.encode(), WEBHOOK.type)["leads"] for body in bodies]
    items = [item for each in read for action in each.values() for item in action.values()]
    assert len({item["id"] for item in items}) == len(bodies) == 1_000
    assert {key for each in read for key in each} == {"status", "update", "add"}
    assert len({(item["pipeline_id"], item["status_id"]) for item in items}) > 50
    assert len({item["name"] for item in items if "name" in item}) > 100


@pytest.fixture
async def posted(aiohttp_server: AiohttpServer) -> tuple[TargetStatus, list[str]]:
    """A server, and the bodies that it took."""
    got: list[str] = []

    async def take(request: web.Request) -> web.Response:
        got.append(await request.text())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    return TargetStatus(url=str((await aiohttp_server(app)).make_url("/"))), got


@pytest.mark.usefixtures("wrk")
async def test_bodies_in_lines_take_turns_and_one_is_posted_as_it_is(
    posted: tuple[TargetStatus, list[str]], tmp_path: Path
) -> None:
    server, got = posted
    (tmp_path / "bodies").write_text("a={id}\nb=1\n")
    await load(server, connections=1, seconds=1, content=Content(body=tmp_path / "bodies", more={"WRK_LINES": "1"}))
    assert {body[:2] for body in got} == {"a=", "b="}
    assert len({body for body in got if body[0] == "a"}) == len([body for body in got if body[0] == "a"])
    got.clear()
    await load(server, connections=1, seconds=1, content=Content(body=tmp_path / "bodies"))
    assert {body.partition("\n")[2] for body in got} == {"b=1\n"}


@pytest.mark.usefixtures("wrk")
async def test_what_is_filled_in_may_come_anywhere_and_other_braces_are_posted_as_they_are(
    posted: tuple[TargetStatus, list[str]], tmp_path: Path
) -> None:
    server, got = posted
    (tmp_path / "body").write_text("{now}{id}=%7B{ide}{&{id}{}{now")
    await load(server, connections=1, seconds=1, content=Content(body=tmp_path / "body"))
    for body in got:
        start, given, end = body.partition("=%7B{ide}{&")
        assert (given, end) == ("=%7B{ide}{&", f"{start[10:]}{{}}{{now")


@pytest.mark.usefixtures("wrk")
async def test_leads_are_posted_as_of_now(posted: tuple[TargetStatus, list[str]], tmp_path: Path) -> None:
    """As amoCRM posts: a lead was modified just now, and a new one created at that time."""
    server, got = posted
    start = int(time()) - 1  # wrk's clock may be a tick behind
    await load(server, connections=1, seconds=2, content=leads.webhooks(tmp_path))
    assert not any("{" in body for body in got)
    times: dict[str, list[tuple[int, int]]] = {"add": [], "update": []}
    for body in got:
        for action, items in form.decode(body.encode(), WEBHOOK.type)["leads"].items():
            for item in items.values():
                if action in times:
                    times[action].append((int(item["last_modified"]), int(item["created_at"])))
    assert all(start <= modified <= time() and created == modified for modified, created in times["add"])
    assert all(start <= modified <= time() and created < start for modified, created in times["update"])
    for found in times.values():
        modifieds = [modified for modified, _ in found]
        assert len({*modifieds}) > 1, "the time is that of each request"
        assert modifieds == sorted(modifieds)


async def test_a_pace_is_kept_and_a_receiver_takes_all_of_it() -> None:
    async with receiving() as receiver:
        pace = (sys.executable, "-m", "tests.bench.pace", receiver.urls(1)[0], str(WEBHOOK.body), "50", "0.4")
        code, printed, complaint = await run(*pace)
        assert code == 0, complaint
        assert json.loads(printed)["sent"] == (await receiver.has(20))["taken"] == 20
        with pytest.raises(BenchFailed, match="has 20 of 21"):
            await receiver.has(21, seconds=0.1)
        await receiver.forget()
        assert (await receiver.figures())["taken"] == 0


async def test_a_receiver_tells_how_late_an_event_came() -> None:
    async with receiving() as receiver, ClientSession() as session:
        for ago in (0, 7):
            at = datetime.fromtimestamp(time() - ago, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await session.post(receiver.urls(1)[0], data=f'{{"id":"1","timestamp":"{at}","data":{{}}}}'.encode())
        soon, late = await receiver.lags()
    assert 0 <= soon < 5
    assert 7 <= late < 12
