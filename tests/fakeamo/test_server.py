"""The double behind its port: what is asked and ordered over HTTP, and webhooks that are posted."""

import asyncio
import sys
from collections.abc import AsyncIterator
from subprocess import PIPE

import aiohttp
import pytest
from aiohttp import web

from tests.e2e.processes import until
from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server


class Receiver:
    """Takes webhooks; `answer` is its status, `takes` how many seconds it takes."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answer = 200
        self.takes = 0.0

    async def take(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        await asyncio.sleep(self.takes)
        return web.Response(status=self.answer, headers={"Location": "/elsewhere"})


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
async def hook(receiver: Receiver) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hooks/crm/token"
    await runner.cleanup()


@pytest.fixture
async def server(amo: FakeAmo) -> AsyncIterator[Server]:
    async with Server(amo).serving() as server:
        yield server


@pytest.fixture
async def session(server: Server) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {server.amo.token}"}
    async with aiohttp.ClientSession(server.url, headers=headers, timeout=aiohttp.ClientTimeout(total=5)) as session:
        yield session


async def test_a_request_is_answered_as_in_process(server: Server, session: aiohttp.ClientSession) -> None:
    server.amo.add_lead()
    server.amo.clock.advance(20)
    async with session.get("/api/v4/events", params={"filter[type][]": "lead_added"}) as answer:
        assert answer.headers["Content-Type"] == "application/hal+json"
        assert answer.headers["Date"] == "Sat, 11 Jul 2026 09:27:00 GMT"
        found = (await answer.json(content_type=None))["_embedded"]["events"]
    assert [each["type"] for each in found] == ["lead_added"]
    async with session.get("/api/v4/tasks") as answer:
        assert (answer.status, await answer.read()) == (204, b"")


async def test_a_cut_body_and_a_reset_break_the_connection_off(server: Server, session: aiohttp.ClientSession) -> None:
    server.amo.faults.plan("cut", "/api/v4/account")
    with pytest.raises(aiohttp.ClientPayloadError):
        async with session.get("/api/v4/account") as answer:
            await answer.read()
    server.amo.faults.plan("reset", times=2)  # aiohttp repeats a GET on a connection that it had kept
    with pytest.raises(aiohttp.ClientConnectionError):
        await session.get("/api/v4/account")
    async with session.get("/api/v4/account") as answer:
        assert answer.status == 200


async def test_a_webhook_is_posted_when_it_is_due(server: Server, hook: str, receiver: Receiver) -> None:
    server.amo.subscribe(hook, ["add_lead"])
    lead = server.amo.add_lead()
    await asyncio.sleep(0.1)
    assert receiver.bodies == []
    server.amo.clock.advance(1)
    await until(lambda: server.amo.posts.all[0].state == "ok", 10)
    assert f"%5Bid%5D={lead.id}&".encode() in receiver.bodies[0]


@pytest.mark.parametrize("answer", [302, 404, 503])
async def test_a_webhook_that_is_refused_is_posted_again(
    server: Server, hook: str, receiver: Receiver, answer: int
) -> None:
    server.amo.subscribe(hook, ["add_lead"])
    server.amo.add_lead()
    receiver.answer = answer
    server.amo.clock.advance(1)
    await until(lambda: len(server.amo.posts.all[0].answers) == 1, 10)
    receiver.answer = 200
    server.amo.clock.advance(300)
    await until(lambda: server.amo.posts.all[0].state == "ok", 10)
    assert [status for _, status in server.amo.posts.all[0].answers] == [answer, 200]
    assert len(receiver.bodies) == 2


async def test_two_seconds_are_the_most_that_an_answer_may_take(server: Server, hook: str, receiver: Receiver) -> None:
    server.amo.subscribe(hook, ["add_lead"])
    receiver.takes = 3
    server.amo.add_lead()
    server.amo.clock.advance(1)
    await until(lambda: bool(server.amo.posts.all[0].answers), 10)
    assert server.amo.posts.all[0].answers[0][1] is None
    await until(server.is_idle, 10)


async def test_orders_change_the_account_and_read_the_oracle(server: Server, session: aiohttp.ClientSession) -> None:
    async def order(verb: str, **arguments: object) -> object:
        async with session.post(f"/fakeamo/{verb}", json=arguments) as answer:
            found = await answer.json()
            assert answer.status == 200, found
            return found

    await order("subscribe", destination="http://127.0.0.1:9/h", settings=["status_lead"])
    added = await order("add_lead", name="Новая", stage="Продажи/Переговоры")
    moved = await order("move", lead=added["card"], stage="Оффер")
    (row,) = await order("rows")
    assert row == moved["rows"][0]
    assert row["new"][0] == server.amo.structure.stage("Оффер").id
    await order("rename_stage", stage="Оффер", name="Предложение")
    await order("switch_off", destination="http://127.0.0.1:9/h")
    await order("advance", seconds=60)
    await order("traffic", times=30)
    state = await order("state")
    assert state["webhooks"][0]["by"] == "person"
    assert "Продажи/Предложение" in state["stages"]
    assert state["mutations"] == len(server.amo.log) > 20


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("explode", {}, "no order 'explode'"),
        ("move", {"lead": "leads/7", "stage": "Оффер"}, "KeyError: 7"),
        ("fault", {"kind": "rain"}, "no fault 'rain'"),
        ("quirk", {"wet": True}, "no quirk 'wet'"),
        ("note", {"paper": 1}, "unexpected keyword"),
    ],
)
async def test_a_wrong_order_is_answered_400_with_the_reason(
    session: aiohttp.ClientSession, name: str, arguments: dict[str, object], said: str
) -> None:
    async with session.post(f"/fakeamo/{name}", json=arguments) as answer:
        assert answer.status == 400
        assert said in (await answer.json())["error"]


async def test_it_starts_from_the_command_line_and_says_what_the_routes_file_needs() -> None:
    command = [sys.executable, "-m", "tests.fakeamo", "--port", "0", "--traffic", "50"]
    process = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    stdout = process.stdout
    assert stdout
    said = b""
    while b"token:" not in said or said.count(b"\n") < 12:
        said += await asyncio.wait_for(stdout.readline(), 20)
    lines = dict(line.strip().split(": ", 1) for line in said.decode().splitlines() if ": " in line)
    headers = {"Authorization": f"Bearer {lines['token']}"}
    async with aiohttp.ClientSession(f"http://{lines['host']}", headers=headers) as session:
        answer = await session.get("/api/v4/account")
        assert (await answer.json(content_type=None))["subdomain"] == "example"
    process.terminate()
    await process.communicate()
    assert process.returncode == 0


def test_one_clock_stands_and_the_other_runs() -> None:
    standing, running = VirtualClock(), RunningClock(speed=1e9)
    before = standing(), running()
    assert running() > before[1]
    assert standing.advance(5) == standing() == before[0] + 5
    assert running.advance(7_200) >= before[1] + 7_200
