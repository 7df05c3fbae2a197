"""An HTTP proxy on loopback, for which every name is this machine: it opens tunnels, passes requests on, or refuses."""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"

_LENGTH = re.compile(r"content-length: ([0-9]+)", re.IGNORECASE)
_OPENS = re.compile(rb"(?:HTTP/1\.1 1.*?\r\n\r\n)?HTTP/1\.[01] 2.*\r\n\r\n", re.DOTALL)


@dataclass(kw_only=True)
class LocalProxy:
    """`heads` are those of what it was asked, one for each connection; `answer` is what it says to a CONNECT.

    Unless that is a whole 2xx it says no more, and hangs up if `leaves`.
    """

    answer: bytes = ESTABLISHED
    leaves: bool = True
    heads: list[str] = field(default_factory=list)
    writers: list[StreamWriter] = field(default_factory=list)

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection."""
        self.writers.append(writer)
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        method, to, _ = head.split(" ", 2)
        if method != "CONNECT":
            await self._pass_on(head, to, reader, writer)
        else:
            writer.write(self.answer)
            if _OPENS.fullmatch(self.answer):
                await _join(int(to.rpartition(":")[2]), reader, writer)
            elif not self.leaves:
                await reader.read()
                await asyncio.Event().wait()

    async def _pass_on(self, head: str, url: str, reader: StreamReader, writer: StreamWriter) -> None:
        """Each request in the form for its origin, without what is for the proxy."""
        port = urlsplit(url).port or 80
        async with _connected(port, writer) as to_target:
            while True:
                to_target.write(_for_origin(head))
                to_target.write(await reader.readexactly(int(_LENGTH.search(head)[1])))
                head = (await reader.readuntil(b"\r\n\r\n")).decode()

    def cut(self) -> None:
        """Reset every connection."""
        for each in self.writers:
            each.transport.abort()

    @property
    def lines(self) -> list[str]:
        """The first line of each head."""
        return [head.partition("\r\n")[0] for head in self.heads]


def _for_origin(head: str) -> bytes:
    lines = [line for line in head.split("\r\n") if not line.lower().startswith("proxy-")]
    parts = urlsplit(lines[0].split(" ")[1])
    lines[0] = f"POST {parts._replace(scheme='', netloc='').geturl()} HTTP/1.1"
    return "\r\n".join(lines).encode()


async def _join(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    async with _connected(port, writer) as to_target:
        await _pump(reader, to_target)


@asynccontextmanager
async def _connected(port: int, writer: StreamWriter) -> AsyncIterator[StreamWriter]:
    """A connection to a port of this machine; what comes from there goes to `writer`, and its end ends that."""
    from_target, to_target = await asyncio.open_connection("127.0.0.1", port)
    back = asyncio.create_task(_pump(from_target, writer))
    try:
        yield to_target
    finally:
        to_target.transport.abort()
        back.cancel()


async def _pump(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()
