"""The double behind a port on loopback: it answers requests, posts webhooks, and takes orders under /fakeamo/."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.orders import Orders
from tests.fakeamo.posts import Post
from tests.fakeamo.values import Ending, FakeAnswer

TICK = 0.02
TIMEOUT = 2.0
"""Seconds in which a webhook wants its answer."""


class Server:
    """`url` and `host` are known once it has started; it listens before it is read from."""

    def __init__(self, amo: FakeAmo, port: int = 0) -> None:
        self.amo = amo
        self.in_flight = 0
        """Webhooks that wait for their answer."""
        self._socket = socket.create_server(("127.0.0.1", port))
        self.host = f"127.0.0.1:{self._socket.getsockname()[1]}"
        self.url = amo.base = f"http://{self.host}"
        self._orders = Orders(amo)
        self._unanswered: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Server"]:
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.SockSite(runner, self._socket).start()
        posting = asyncio.create_task(self._post_all())
        try:
            yield self
        finally:
            posting.cancel()
            await asyncio.gather(posting, *self._unanswered, return_exceptions=True)
            await runner.cleanup()

    def is_idle(self) -> bool:
        """No webhook is due or under way."""
        next_at = self.amo.posts.next_at()
        return not self.in_flight and (next_at is None or next_at > self.amo.clock())

    # ---- requests

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if request.path.startswith("/fakeamo/"):
            return self._ordered(request, body)
        answer = self.amo.request(request.method, request.raw_path, request.headers, body)
        if answer.delay:
            await asyncio.sleep(answer.delay)
        if answer.ending is Ending.WHOLE:
            return web.Response(status=answer.status, headers=answer.headers, body=answer.body)
        return await self._broken_off(request, answer)

    def _ordered(self, request: web.Request, body: bytes) -> web.Response:
        try:
            return web.json_response(self._orders.carried_out(request.path.removeprefix("/fakeamo/"), body))
        except (LookupError, TypeError, ValueError, StopIteration) as wrong:
            return web.json_response({"error": f"{type(wrong).__name__}: {wrong}"}, status=400)

    @staticmethod
    async def _broken_off(request: web.Request, answer: FakeAnswer) -> web.StreamResponse:
        """Half an answer, or none, and the end of the connection."""
        response = web.StreamResponse(status=answer.status or 200, headers=answer.headers)
        transport = request.transport
        if answer.ending is Ending.CUT:
            response.content_length = 2 * len(answer.body) + 1
            await response.prepare(request)
            await response.write(answer.body)
        if transport:
            transport.abort() if answer.ending is Ending.RESET else transport.close()
        return response

    # ---- webhooks

    async def _post_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=TIMEOUT)
        async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                for post in self.amo.due():
                    task = asyncio.create_task(self._post(session, post))
                    self._unanswered.add(task)
                    task.add_done_callback(self._unanswered.discard)
                await asyncio.sleep(TICK)

    async def _post(self, session: aiohttp.ClientSession, post: Post) -> None:
        self.in_flight += 1
        status: int | None = None
        try:
            options: dict[str, Any] = {"data": post.body, "headers": post.headers, "allow_redirects": False}
            async with session.post(post.destination, **options) as answer:
                await answer.read()
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            status = None
        finally:
            self.in_flight -= 1
            self.amo.answered(post, status)
