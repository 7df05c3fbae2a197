"""What a listener's own answers raise: the client gets 500 and an id, the log the traceback under it."""

import asyncio
import json
import logging
import socket

import pytest
from aiohttp import ClientSession, web

from relay.http.aiohttp_version import Variant
from relay.http.listener import listen
from relay.http.machine_limits import Limits
from relay.http.response import Response

CANARY = "canary s3cret"


@pytest.mark.parametrize("error", [ZeroDivisionError, TimeoutError, ConnectionResetError])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_nothing_foresaw_is_answered_500_and_logged_once(
    method: str, error: type[Exception], variant: Variant, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(_request: web.BaseRequest) -> Response:
        raise error(CANARY)

    on = socket.create_server(("127.0.0.1", 0))
    listener = await listen(fail, on, limits=Limits(), drain=0.0, grace=0.0, emit=print, variant=variant)
    host, port = listener.address
    try:
        async with ClientSession() as session, asyncio.timeout(40):
            sent = session.request(method, f"http://{host}:{port}/hooks/crm/s3cret", headers={"a": "s3cret"})
            async with sent as answer:
                status, text = answer.status, await answer.text()
    finally:
        await listener.close()
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert status == 500
    assert json.loads(text) == {"error": "internal server error", "request": record.__dict__["request"]}
    assert record.exc_info and isinstance(record.exc_info[1], error)
    assert "s3cret" not in record.getMessage()
