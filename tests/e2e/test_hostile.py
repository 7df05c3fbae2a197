"""Whatever strangers send, and targets answer: the log stays small and readable, and no terminal is steered."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import pytest

from tests.chaos.sabotage import sabotaged
from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets: {{bot: {{url: "http://127.0.0.1:{port}/", retry: {{initial: 1h, max: 1h}}}}}}
routes: [{{name: all, match: {{}}, to: bot}}]
"""
PATH = f"/hooks/crm/{TOKEN}".encode()
HOST = b"Host: relay\r\n"
EVIL = "\x1b[31m\r\n\x07\x00\x9b\x7f\u2028\u2029\u202e\u2066\ufeffevil"

MALFORMED = [
    b"POST " + PATH + b" HTTP/9.9\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    b"P\xd0ST " + PATH + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"broken\x1b[31m header\r\n\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"Content-Length: many\r\n\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST " + PATH + b"?" + b"x" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"a: b\r\n" * 70 + b"\r\n",
    b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\nleft",
    b"POST /hooks/crm/%1b%5B31m%0d%0aevil HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
    b"POST /hooks/%1b%5B31m%E2%80%A8/x HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n",
]


async def say(relay: RelayProcess, said: bytes) -> bytes:
    """What is answered to that, and to nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        writer.write(said)
        writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize("times", [3000 // len(MALFORMED)])
async def test_thousands_of_malformed_requests_make_a_small_log_without_tracebacks(times: int, tmp_path: Path) -> None:
    await pester(tmp_path, RELAY, times)


async def test_a_relay_that_logs_whatever_strangers_cause_is_found_guilty(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="a large log"):
        await pester(tmp_path, sabotaged("tells_everything"), 3000 // len(MALFORMED))


async def pester(folder: Path, command: Sequence[str], times: int) -> None:
    """So many of each malformed request; nothing leaks, and the log stays small."""
    async with running(folder, ROUTES.format(port=9), command=command) as relay:
        began, rounds = monotonic(), 0
        while rounds < times or monotonic() - began < 2:  # what was held back in a second is told in a later one
            answers = await asyncio.gather(*(say(relay, said) for said in MALFORMED))
            rounds += 1
        seconds = monotonic() - began
        assert not any(TOKEN.encode() in answer or b"evil" in answer for answer in answers)
        log = relay.log.read_text()
        # ten lines a second of each kind, some 150 bytes each; there are six kinds
        assert len(log) < (seconds + 1) * 10 * 6 * 200, "a large log"
        assert "Traceback" not in log
        assert TOKEN not in log
        assert sum(line.get("held_back", 0) for line in map(json.loads, log.splitlines())) > times
        assert await relay.metric("relay_webhooks_total", outcome="incomplete") == rounds
        assert not relay.faults()


@asynccontextmanager
async def evil_target() -> AsyncIterator[int]:
    """The port of one that answers 400 and says what could steer a terminal."""

    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = EVIL.encode()
        writer.write(b"HTTP/1.1 400 \x1b[31mevil\r\nX: \x1b[31m\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


def webhook(body: bytes) -> bytes:
    said = "\u202e\u2028evil".encode() + b"\x9b\xff"  # the parser lets no control character of ASCII through
    headers = b"X-Amocrm-Requestid: " + said + b"\r\nContent-Type: text/plain;" + said + b"\r\n"
    return b"POST " + PATH + b" HTTP/1.1\r\n" + HOST + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def test_no_text_from_outside_breaks_a_line_or_colours_a_terminal(tmp_path: Path) -> None:
    await steer(tmp_path, RELAY)


async def test_a_command_that_prints_as_it_came_is_found_guilty(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="isprintable"):
        await steer(tmp_path, sabotaged("prints_as_it_came"))


async def steer(folder: Path, command: Sequence[str]) -> None:
    """Say what could steer a terminal wherever something can be said; `command` shows what came of it."""
    evil, word = quote(EVIL), quote(EVIL.replace("[", ""))
    async with evil_target() as port, running(folder, ROUTES.format(port=port)) as relay:
        bodies = [
            f"leads[add][0][id]={evil}&leads[add][0][name]={evil}&leads[add][0][{word}]={evil}&account[id]={evil}",
            f"{word}[{word}][0][id]={evil}&account[subdomain]={evil}",
            f"{evil}={evil}",
            EVIL,
        ]
        for body in bodies:
            await say(relay, webhook(body.encode()))
        await relay.said("attempt", 2)
        for line in relay.log.read_bytes().splitlines():
            assert line.isascii()
            assert line.decode().isprintable()
            json.loads(line)
        listed = [each["id"] for each in (await relay.command("list", "--unparsed"))["data"]]
        events = {each["event"] for each in (await relay.command("list"))["data"]}
        shown = [("show", id_) for id_ in (*listed, *events)] + [("explain", id_) for id_ in events]
        store = f"--store=sqlite:///{relay.store}"
        for asked in [("status",), ("list",), ("list", "--unparsed"), ("audit",), *shown]:
            for more in ((), ("--json",)):
                code, out, err = await run(*command, *asked, store, *more, RELAY_CONFIG=str(relay.routes))
                for printed in (out + err).split("\n"):
                    assert printed.isprintable(), (asked, printed)
                assert code == 0, (asked, err)
