"""Kinds of targets that nobody would write on purpose, but that are out there: each speaks bytes to who posts."""

import asyncio
import ssl
import warnings
import zlib
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from typing import TypeAlias

import trustme

Talk: TypeAlias = Callable[[StreamReader, StreamWriter], Awaitable[None]]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
DRIP = 0.02
"""Seconds between two bytes, or interim responses: a thousand of those are too many, and a time-out comes before."""
IDLE = 0.03  # seconds after which a target closes a connection
ESCAPES = b"\x1b[31m\x1b]0;owned\x07\r\n\x00\xe2\x80\xa8<script>alert(1)</script>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What it says, and the reason that its attempts must have. `status`: the one that is seen, if any.

    `proxy`: it is not the target, but the proxy before one that nobody reaches.
    `settings`: further ones of its target, as YAML, where URL stands for its own.
    """

    talk: Talk
    reason: str
    status: int | None = None
    scheme: str = "http"
    tls: ssl.SSLContext | None = None
    proxy: bool = False
    settings: str = ""

    def entry(self, url: str) -> str:
        """What the routes file says of the target, of which `url` is this server's."""
        if self.proxy:
            return f'{{url: "https://bot.relay.test/", proxy: "{url}"}}'
        return f'{{url: "{url}"{self.settings.replace("URL", url)}}}'

    @property
    def delivers(self) -> bool:
        """The target took it, whatever it did afterwards."""
        return self.reason == "2xx"


async def _request(reader: StreamReader) -> None:
    """The next one, of which the first byte may be gone."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n")[0]))


def _to_connect(answer: bytes) -> Talk:
    """As a proxy: this, and goodbye."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)

    return talk


def _tunnels(talk: Talk) -> Talk:
    """As a proxy: a tunnel to somebody who says that."""

    async def tunnel(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await talk(reader, writer)

    return tunnel


def _says(answer: bytes, *, first: bool = False) -> Talk:
    """This, and goodbye; `first`: before it is asked."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        if not first:
            await _request(reader)
        writer.write(answer)
        await writer.drain()
        if first:
            await reader.read()

    return talk


def _answers(status: int, *headers: str, body: bytes = b"") -> Talk:
    lines = [f"HTTP/1.1 {status:03} X", f"Content-Length: {len(body)}", *headers]
    return _says("\r\n".join([*lines, "", ""]).encode() + body)


def _repeats(start: bytes, more: bytes, *, pause: float = 0.0) -> Talk:
    """The start, and then the same for as long as somebody listens."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await _request(reader)
        writer.write(start)
        for each in repeat(more):
            writer.write(each)
            await writer.drain()
            await asyncio.sleep(pause)

    return talk


def _always(*pieces: bytes) -> Talk:
    """This to every request, each piece a packet."""

    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            await _request(reader)
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)

    return talk


async def _hang(reader: StreamReader, _writer: StreamWriter) -> None:
    await reader.read()
    await asyncio.Event().wait()


async def _drip_a_tunnel(reader: StreamReader, writer: StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    for each in repeat(b"y"):
        writer.write(each)
        await writer.drain()
        await asyncio.sleep(DRIP)


async def _reset(reader: StreamReader, writer: StreamWriter) -> None:
    await _request(reader)
    writer.transport.abort()


async def _leave(reader: StreamReader, _writer: StreamWriter) -> None:
    await _request(reader)


async def _say_400(reader: StreamReader, writer: StreamWriter) -> None:
    """To whatever it was sent."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


async def _answer_twice(reader: StreamReader, writer: StreamWriter) -> None:
    """The second answer is for nobody. One that comes later than this may cross a request: then nobody can tell."""
    while True:
        await _request(reader)
        writer.write(OK + b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")


async def _close_idle(reader: StreamReader, writer: StreamWriter) -> None:
    """As servers do, and so that a request may cross the goodbye."""
    while True:
        await _request(reader)
        writer.write(OK)
        async with asyncio.timeout(IDLE):
            await reader.readexactly(1)


async def _say_408(reader: StreamReader, writer: StreamWriter) -> None:
    """As some do instead."""
    try:
        await _close_idle(reader, writer)
    except TimeoutError:
        writer.write(b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def _bomb() -> bytes:
    """200 MB of zeros as gzip."""
    pack = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(pack.compress(bytes(2**20)) for _ in range(200)) + pack.flush()


def _server(*names: str, expired: bool = False) -> ssl.SSLContext:
    """A certificate for these names that nobody the relay knows vouches for."""
    until = datetime(2020, 1, 1, tzinfo=UTC) if expired else None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert(*names, not_after=until).configure_cert(context)
    return context


def _old() -> ssl.SSLContext:
    """TLS 1.1 and nothing newer."""
    context = _server("127.0.0.1")
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _later(header: str) -> Kind:
    return Kind(talk=_answers(503, f"Retry-After: {header}"), reason="5xx", status=503)


JUDGED = ', ok_if: "{{ answer.ok }}"'
OAUTH = ', oauth2: {token_url: "URLtoken", client_id: relay, client_secret: canary}'


def _judged(talk: Talk) -> Kind:
    """By `ok_if`, which reads the body."""
    return Kind(talk=talk, reason="answer", status=200, settings=JUDGED)


def _grants(talk: Talk) -> Kind:
    """As the server that its access tokens come from: nothing is sent to the target."""
    return Kind(talk=talk, reason="oauth2", settings=OAUTH)


def kinds() -> Mapping[str, Kind]:
    """By name, which is the target's."""
    bomb = _bomb()
    tomorrow = format_datetime(datetime.now(UTC) + timedelta(days=400), usegmt=True)
    packed = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode() + bomb
    ok = {"reason": "2xx", "status": 200}
    return {
        # slow or endless
        "hangs": Kind(talk=_hang, reason="timeout"),
        "drips-headers": Kind(talk=_repeats(b"HTTP/1.1 200 OK\r\nX: ", b"y", pause=DRIP), reason="timeout"),
        "drips-body": Kind(talk=_repeats(OK.replace(b": 2", b": 9999"), b"y", pause=DRIP), **ok),
        "endless-100": Kind(talk=_repeats(b"", b"HTTP/1.1 100 Continue\r\n\r\n", pause=DRIP), reason="timeout"),
        "endless-103": Kind(talk=_repeats(b"", b"HTTP/1.1 103 Hints\r\n\r\n", pause=DRIP), reason="timeout"),
        "endless-body": Kind(talk=_repeats(b"HTTP/1.1 200 OK\r\n\r\n", bytes(65_536)), **ok),
        "endless-chunks": Kind(
            talk=_repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"8000\r\n%b\r\n" % bytes(32_768)),
            **ok,
        ),
        "bomb": Kind(talk=_says(packed), **ok),
        # too much
        "long-header": Kind(talk=_answers(200, "X: " + "y" * 20_000), **ok),
        "longer-header": Kind(talk=_answers(200, "X: " + "y" * 200_000), reason="protocol"),
        "some-headers": Kind(talk=_answers(200, *(f"X-{n}: y" for n in range(200))), **ok),
        "many-headers": Kind(talk=_answers(200, *(f"X-{n}: y" for n in range(100_000))), reason="protocol"),
        "shouts": Kind(talk=_answers(500, body=ESCAPES * 2_000), reason="5xx", status=500),
        # not HTTP
        "garbage": Kind(talk=_says(bytes(range(256)) * 16), reason="protocol"),
        "ssh": Kind(talk=_says(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", first=True), reason="protocol"),
        "nothing": Kind(talk=_leave, reason="disconnected"),
        "resets": Kind(talk=_reset, reason="disconnected"),
        # odd answers
        "truncated": Kind(talk=_says(OK.replace(b": 2", b": 9999")), **ok),
        "overlong": Kind(talk=_always(OK + b", and more"), **ok),
        "overlong-later": Kind(talk=_always(OK, b", and more"), **ok),
        "two-lengths": Kind(talk=_always(OK.replace(b"\n\r", b"\nContent-Length: 3\r\n\r")), **ok),
        "junk-line": Kind(talk=_always(OK.replace(b"OK\r\n", b"OK\r\nPHP Warning\r\n")), **ok),
        "odd-chunks": Kind(talk=_always(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nok"), **ok),
        "endless-junk": Kind(talk=_repeats(b"HTTP/1.1 200 OK\r\n", b"PHP Warning\r\n" * 1_000), reason="protocol"),
        "endless-odd-103": Kind(talk=_repeats(b"", b"HTTP/1.1 103 Hints\r\njunk\r\n\r\n" * 100), reason="protocol"),
        "status-000": Kind(talk=_answers(0), reason="other", status=0),
        "status-999": Kind(talk=_answers(999), reason="other", status=999),
        "redirects": Kind(talk=_answers(308, "Location: /"), reason="3xx", status=308),
        "answers-twice": Kind(talk=_answer_twice, **ok),
        "closes-idle": Kind(talk=_close_idle, **ok),
        "says-408": Kind(talk=_say_408, **ok),
        # when to come again
        "after-garbage": _later("soon, \\x00"),
        "after-minus": _later("-5"),
        "after-20-digits": _later("9" * 20),
        "after-1970": _later("Thu, 01 Jan 1970 00:00:00 GMT"),
        "after-a-year": _later("31536000"),
        "after-a-date": _later(tomorrow),
        # answers that are read as a whole
        "json-endless": _judged(_repeats(b'HTTP/1.1 200 OK\r\n\r\n{"ok": true, "items": [', b"1," * 30_000)),
        "json-drips": _judged(_repeats(b'HTTP/1.1 200 OK\r\n\r\n{"ok": true', b" ", pause=DRIP)),
        "json-deep": _judged(_answers(200, body=b"[" * 100_000)),
        "json-bomb": _judged(_says(packed)),
        # access tokens
        "oauth-hangs": _grants(_hang),
        "oauth-html": _grants(_answers(200, body=b"<html>Sign in</html>")),
        "oauth-endless": _grants(_repeats(b'HTTP/1.1 200 OK\r\n\r\n{"access_token": "', b"x" * 65_536)),
        "oauth-drips": _grants(_repeats(b"HTTP/1.1 200 OK\r\n\r\n", b" ", pause=DRIP)),
        "oauth-redirects": _grants(_answers(307, "Location: /")),
        "oauth-injects": _grants(_answers(200, body=b'{"access_token": "a\\r\\nX-Evil: 1"}')),
        # TLS
        "not-tls": Kind(talk=_say_400, reason="tls", scheme="https"),
        "mute-tls": Kind(talk=_hang, reason="timeout", scheme="https"),
        "stranger": Kind(talk=_says(OK), reason="tls", scheme="https", tls=_server("127.0.0.1")),
        "expired": Kind(talk=_says(OK), reason="tls", scheme="https", tls=_server("127.0.0.1", expired=True)),
        "old-tls": Kind(talk=_says(OK), reason="tls", scheme="https", tls=_old()),
        # proxies
        "proxy-hangs": Kind(talk=_hang, reason="timeout", proxy=True),
        "proxy-drips": Kind(talk=_drip_a_tunnel, reason="timeout", proxy=True),
        "proxy-refuses": Kind(talk=_to_connect(b"HTTP/1.1 403 No\r\n\r\n"), reason="proxy", proxy=True),
        "proxy-asks-who": Kind(talk=_to_connect(b"HTTP/1.1 407 Who\r\n\r\n"), reason="proxy", proxy=True),
        "proxy-garbage": Kind(talk=_to_connect(bytes(range(256)) * 16), reason="proxy", proxy=True),
        "proxy-shouts": Kind(
            talk=_to_connect(b"HTTP/1.1 200 X\r\n" + b"x: y\r\n" * 100_000), reason="proxy", proxy=True
        ),
        "proxy-leaves": Kind(talk=_to_connect(b""), reason="proxy", proxy=True),
        "proxy-to-silence": Kind(talk=_tunnels(_hang), reason="timeout", proxy=True),
        "proxy-to-no-tls": Kind(talk=_tunnels(_say_400), reason="tls", proxy=True),
    }


@asynccontextmanager
async def talking(kinds: Mapping[str, Kind]) -> AsyncIterator[Mapping[str, str]]:
    """Their URLs, by name, for as long as the block lasts."""
    talks: set[asyncio.Task[None]] = set()
    async with AsyncExitStack() as stack:
        urls = {name: await _listen(stack, kind, talks) for name, kind in kinds.items()}
        try:
            yield urls
        finally:
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)


async def _listen(stack: AsyncExitStack, kind: Kind, talks: set[asyncio.Task[None]]) -> str:
    async def answer(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
                await kind.talk(reader, writer)
        finally:
            talks.discard(task)
            writer.transport.abort() if task.cancelling() else writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=kind.tls)
    stack.callback(server.close)
    return f"{kind.scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
