"""What is posted and taken: bodies and answers of wrk, a steady pace, the receiver that counts."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
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

PACE = (sys.executable, "-m", "tests.bench.pace")


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
        code, printed, complaint = await run(*PACE, receiver.urls(1)[0], str(WEBHOOK.body), "50", "0.4")
        assert code == 0, complaint
        assert json.loads(printed)["sent"] == (await receiver.has(20))["taken"] == 20
        with pytest.raises(BenchFailed, match="has 20 of 21"):
            await receiver.has(21, seconds=0.1)
        await receiver.forget()
        assert (await receiver.figures())["taken"] == 0


ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


async def test_a_post_on_a_kept_connection_that_is_closed_unanswered_is_sent_again_on_a_new_one() -> None:
    async with closing_server(ANSWER, b"") as (url, posts):
        code, printed, complaint = await run(*PACE, url, str(WEBHOOK.body), "20", "0.2")
    assert code == 0, complaint
    assert (json.loads(printed)["sent"], json.loads(printed)["resent"]) == (4, len(posts) - 4)
    assert len(posts) > 4


async def test_a_connection_that_was_closed_while_it_waited_gets_no_post() -> None:
    async with closing_server(ANSWER) as (url, posts):
        code, printed, complaint = await run(*PACE, url, str(WEBHOOK.body), "20", "0.2")
    assert code == 0, complaint
    assert (json.loads(printed)["sent"], len(posts)) == (4, 4)


@pytest.mark.parametrize("answers", [[b""], [ANSWER, b"HTTP/1.1 "]], ids=["on a new connection", "in an answer"])
async def test_a_pace_fails_where_a_new_connection_gets_no_answer_or_an_answer_is_cut(answers: list[bytes]) -> None:
    async with closing_server(*answers) as (url, _):
        code, _, complaint = await run(*PACE, url, str(WEBHOOK.body), "20", "0.2")
    assert code == 1
    assert "closed before it answered" in complaint


@asynccontextmanager
async def closing_server(*answers: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that writes these to the posts of a connection, one each, and closes it; and the posts it took."""
    posts: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
            posts.append(await reader.readexactly(length))
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1")
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", posts


async def test_a_receiver_tells_how_late_an_event_came() -> None:
    async with receiving() as receiver, ClientSession() as session:
        for ago in (0, 7):
            at = datetime.fromtimestamp(time() - ago, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            await session.post(receiver.urls(1)[0], data=f'{{"id":"1","timestamp":"{at}","data":{{}}}}'.encode())
        soon, late = await receiver.lags()
    assert 0 <= soon < 5
    assert 7 <= late < 12
