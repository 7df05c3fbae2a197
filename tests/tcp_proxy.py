"""A TCP port in front of another: what passes can be held up, delayed, cut, or lose its answer.

It runs in the test's own event loop.
"""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

READY = b"Z\x00\x00\x00\x05I"
"""What PostgreSQL says last when a transaction is over: ReadyForQuery, idle."""


@dataclass(eq=False)
class Passage:
    """One connection, both of its sides. `silent`: what the server says is not passed on."""

    client: StreamWriter
    server: StreamWriter
    silent: bool = False

    def cut(self) -> None:
        """Reset both sides."""
        self.client.transport.abort()
        self.server.transport.abort()


class TcpProxy:
    """`port` leads to `server_port`, on loopback. `delay`: seconds that each piece waits, either way."""

    def __init__(self, server_port: int) -> None:
        self.server_port, self.port = server_port, 0
        self.delay = 0.0
        self.lost = 0
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._passages: set[Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_lose: list[bytes] = []

    def hold(self) -> None:
        """Let nothing through, like a network that drops packets: connections stay, new ones get no answer."""
        self._flows.clear()

    def refuse(self) -> None:
        """Reset what is connected and whatever connects."""
        self._refuses = True
        self.cut()

    def heal(self) -> None:
        """Let everything through; what was held up comes late, as if sent again."""
        self._refuses = False
        self._flows.set()

    def cut(self) -> None:
        """Reset what is connected; who connects anew gets through."""
        for each in set(self._passages):
            each.cut()

    def lose_answer(self, to: bytes) -> None:
        """Pass on the next request that has these bytes, and reset its connection once PostgreSQL has answered it.

        `lost` counts the answers.
        """
        self._to_lose.append(to)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass on one connection until it ends."""
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._flows.wait()
            if not self._refuses:
                await self._connect(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # one of the sides is gone, or the test is over
        finally:
            writer.transport.abort()

    async def close(self) -> None:
        """End every connection."""
        self.cut()
        for each in set(self._tasks):
            each.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        answers, server = await asyncio.open_connection("127.0.0.1", self.server_port)
        passage = Passage(client=writer, server=server)
        self._passages.add(passage)
        up, down = (asyncio.create_task(each) for each in (self._up(reader, passage), self._down(answers, passage)))
        try:
            await asyncio.wait((up, down))
        finally:
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            self._passages.discard(passage)
            passage.cut()

    async def _up(self, reader: StreamReader, passage: Passage) -> None:
        async for piece in self._pieces(reader):
            for needle in [each for each in self._to_lose if each in piece]:
                self._to_lose.remove(needle)
                passage.silent = True
            passage.server.write(piece)
            await passage.server.drain()
        passage.server.write_eof()

    async def _down(self, reader: StreamReader, passage: Passage) -> None:
        async for piece in self._pieces(reader):
            if not passage.silent:
                passage.client.write(piece)
                await passage.client.drain()
            elif piece.endswith(READY):
                self.lost += 1
                passage.cut()
        passage.client.write_eof()

    async def _pieces(self, reader: StreamReader) -> AsyncIterator[bytes]:
        """What comes, and then its end, as soon as it may pass."""
        piece = b"first"
        while piece:
            piece = await reader.read(65_536)
            await asyncio.sleep(self.delay)
            await self._flows.wait()
            if piece:
                yield piece


@asynccontextmanager
async def proxying(server_port: int) -> AsyncIterator[TcpProxy]:
    """One that listens for as long as the block lasts."""
    proxy = TcpProxy(server_port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.close()
        await listener.wait_closed()
