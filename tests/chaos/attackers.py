"""PORT PATH COUNT TLS KIND… -> so many connections of each kind, which never come to an end by themselves.

Run as a program, for it needs descriptors and a processor of its own. It prints, as JSON, for how many seconds each
connection was borne, and how many outlived all patience.
"""

import asyncio
import json
import resource
import ssl
import sys
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain, repeat
from time import monotonic

PATIENCE = 40.0  # seconds
EVERY = 1.0  # second, a drop
PER_SECOND = 200  # who come: they are to be slow, not a flood

KINDS = ("idle", "headers", "body", "chunks", "handshake")


def drops(kind: str, path: str) -> Iterator[bytes]:
    """What such a connection says, bit by bit."""
    head = f"POST {path} HTTP/1.1\r\nHost: relay\r\n".encode()
    match kind:
        case "headers":
            return chain([head], repeat(b"a: b\r\n"))
        case "body":
            return chain([head + b"Content-Length: 1000\r\n\r\n"], repeat(b"x"))
        case "chunks":
            return chain([head + b"Transfer-Encoding: chunked\r\n\r\n"], repeat(b"1\r\nx\r\n"))
        case "handshake":
            return chain([b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"], repeat(b""))
        case _:
            return repeat(b"")


async def attack(port: int, path: str, kind: str, tls: ssl.SSLContext | None, *, after: float) -> float | None:
    """Seconds until it was thrown out; None if it never was. It comes `after` so many seconds."""
    await asyncio.sleep(after)
    began = monotonic()
    with suppress(OSError, asyncio.IncompleteReadError):
        async with asyncio.timeout(PATIENCE):
            context = None if kind == "handshake" else tls
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            try:
                await bother(reader, writer, drops(kind, path))
            finally:
                writer.transport.abort()
    lived = monotonic() - began
    return lived if lived < PATIENCE else None


async def bother(reader: StreamReader, writer: StreamWriter, said: Iterator[bytes]) -> None:
    closed = asyncio.ensure_future(reader.read())  # to its end: an answer is no news
    while not closed.done():
        writer.write(next(said))
        await asyncio.wait([closed], timeout=EVERY)
    await closed


async def main(port: int, path: str, count: int, tls: bool, kinds: list[str]) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    context = ssl.create_default_context() if tls else None
    if context:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    many = enumerate(kind for _ in range(count) for kind in kinds)
    lived = await asyncio.gather(*(attack(port, path, kind, context, after=nth / PER_SECOND) for nth, kind in many))
    print(json.dumps(lived))


if __name__ == "__main__":
    PORT, PATH, COUNT, TLS, *MANY = sys.argv[1:]
    asyncio.run(main(int(PORT), PATH, int(COUNT), TLS == "tls", MANY))
