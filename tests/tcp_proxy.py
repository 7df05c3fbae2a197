"""A TCP port in front of another: what passes can be held up, delayed, cut, or lose its answer.

It runs in the test's own event loop.
"""

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

READY = b"Z\x00\x00\x00\x05I"
"""What PostgreSQL says last when a transaction is over: ReadyForQuery, idle."""
IN_TRANSACTION = b"Z\x00\x00\x00\x05T"
APPLICATION = re.compile(rb"application_name\0([^\0]*)\0")
"""In the message that begins a session."""


@dataclass(eq=False)
class Passage:
    """One connection, both of its sides. `name`: its application's, since it is `begun`.

    `silent`: what the server says is kept back, `unsaid`, until its transaction is over.
    """

    client: StreamWriter
    server: StreamWriter
    name: bytes = b""
    begun: bool = False
    silent: bool = False
    unsaid: bytes = b""

    def cut(self) -> None:
        """Reset both sides."""
        self.client.transport.abort()
        self.server.transport.abort()


class TcpProxy:
    """`port` leads to `server_port`, on loopback. `delay`: seconds that each piece waits, either way.

    `asked`: what all clients have sent.
    """

    def __init__(self, server_port: int) -> None:
        self.server_port, self.port = server_port, 0
        self.delay = 0.0
        self.lost = 0
        self.asked = b""
        self._flows = asyncio.Event()
        self._flows.set()
        self._refuses = False
        self._passages: set[Passage] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._to_lose: list[bytes] = []
        self._to_lose_of: list[bytes] = []

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

    def lose_commit(self, of: bytes) -> None:
        """Reset a session instead of passing on that it has committed: the next one that does, of an application whose
        name has these bytes. The statements of most requests were prepared, and have no text to go by.

        `lost` counts these, too.
        """
        self._to_lose_of.append(of)

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
            if not passage.begun and (found := APPLICATION.search(piece)):
                passage.name = found[1]
            for needle in [each for each in self._to_lose if each in piece]:
                self._to_lose.remove(needle)
                passage.silent = True
            self.asked += piece
            passage.server.write(piece)
            await passage.server.drain()
        passage.server.write_eof()

    async def _down(self, reader: StreamReader, passage: Passage) -> None:
        async for piece in self._pieces(reader):
            passage.unsaid += piece
            if (passage.silent or self._of(passage)) and not passage.unsaid.endswith(IN_TRANSACTION):
                if passage.unsaid.endswith(READY):
                    self._lose(passage)
                continue
            said, passage.unsaid = passage.unsaid, b""
            passage.client.write(said)
            await passage.client.drain()
            passage.begun = passage.begun or said.endswith(READY)
        passage.client.write_eof()

    def _of(self, passage: Passage) -> list[bytes]:
        return [each for each in self._to_lose_of if passage.begun and each in passage.name]

    def _lose(self, passage: Passage) -> None:
        if not passage.silent:
            self._to_lose_of.remove(self._of(passage)[0])
        self.lost += 1
        passage.cut()

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
