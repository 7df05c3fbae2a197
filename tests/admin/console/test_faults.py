"""An exception that nothing foresaw: a page or a problem with an id that stands in the log, and no value in either."""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from relay.admin.api.asking import Asking
from relay.http.aiohttp_version import Variant
from relay.http.listener import listen
from relay.http.machine_limits import Limits
from relay.observe.log import configure_logging
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.console.conftest import FOLLOWED, Client, Seen
from tests.e2e.processes import until

CANARY = "canary +79991234567"


class Broken:
    """A store whose questions raise what no store raises."""

    def __init__(self, store: Archive) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        if name in ("clock", "relay", "give_way"):
            return getattr(self._store, name)
        raise ZeroDivisionError(CANARY)


@pytest.fixture
async def client(
    build: Callable[..., web.Application],
    aiohttp_client: Callable[..., Awaitable[Client]],
    store: Archive,
    config: Config,
) -> Client:
    return await aiohttp_client(build(asking=Asking(Broken(store), lambda: config)), headers=FOLLOWED)


def logged(caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    return record


@pytest.mark.parametrize("path", ["/deliveries?target=sales-bot", "/unparsed"])
async def test_a_fault_under_a_page_is_a_page_with_its_id_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    answer = await client.get(path)
    seen = Seen(await answer.text())
    assert answer.status == 500
    assert answer.headers["Content-Security-Policy"]
    assert "The relay has made a mistake." in seen.text
    assert "canary" not in seen.source
    assert "Traceback" not in seen.source
    record = logged(caplog)
    assert record.__dict__["request"] in seen.text
    assert record.exc_info
    assert "sales-bot" not in record.getMessage()


async def test_a_fault_under_a_form_is_one_too(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    answer = await client.post("/targets/sales-bot/pause", data={"reason": CANARY}, allow_redirects=False)
    text = await answer.text()
    assert answer.status == 500
    assert logged(caplog).__dict__["request"] in text
    assert "canary" not in text


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_fault_under_the_api_is_a_problem_with_its_id_in_the_log(
    client: Client, caplog: pytest.LogCaptureFixture, method: str
) -> None:
    path = "/api/v1/deliveries" if method == "GET" else "/api/v1/targets/sales-bot/pause"
    answer = await client.request(method, path, **({} if method == "GET" else {"json": {}}))
    problem = await answer.json(content_type="application/problem+json")
    assert (answer.status, problem["type"]) == (500, "urn:amocrm-relay:problem:internal")
    assert problem["instance"] == path
    assert problem["detail"].rpartition(" ")[2] == logged(caplog).__dict__["request"]
    assert "canary" not in str(problem)


@pytest.mark.parametrize("variant", Variant)
@pytest.mark.parametrize("request_line", ["POST /targets/sales-bot/pause", "PUT /api/v1/targets/sales-bot/pause"])
async def test_a_client_that_leaves_amid_its_body_is_no_fault(
    build: Callable[..., web.Application], request_line: str, variant: Variant, caplog: pytest.LogCaptureFixture
) -> None:
    on = socket.create_server(("127.0.0.1", 0))
    listener = await listen(build(), on, limits=Limits(), drain=0.0, grace=0.0, emit=print, variant=variant)
    form = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": "99", "Expect": "100-continue"}
    headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "localhost", **FOLLOWED, **form}.items())
    try:
        reader, writer = await asyncio.open_connection(*listener.address)
        writer.write(f"{request_line} HTTP/1.1\r\n{headers}\r\n".encode())
        assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
        writer.write(b"a=")
        writer.close()
        await until(lambda: bool(caplog.records))
    finally:
        await listener.close()
    [record] = caplog.records
    assert record.exc_info and isinstance(record.exc_info[1], ConnectionError)
    assert "request" not in record.__dict__, "a line without a traceback"


async def test_the_line_of_the_log_has_the_traceback_once(client: Client) -> None:
    lines: list[str] = []
    handlers = logging.getLogger().handlers[:]
    try:
        configure_logging(Lines(lines), format="text", level="info")
        await client.get("/unparsed")
    finally:
        logging.getLogger().handlers[:] = handlers
    [line] = lines
    assert "error aiohttp.server" in line
    assert "ZeroDivisionError" in line
    assert 'text="a fault of the relay: GET /unparsed"' in line and " request=" in line
    assert line.count("Traceback") == 1


class Lines:
    """A log writer that keeps what it is given."""

    def __init__(self, lines: list[str]) -> None:
        self.write = lines.append
