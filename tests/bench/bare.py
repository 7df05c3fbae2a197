"""What the relay is measured against: `python -m tests.bench.bare PORT [URL …]`, an aiohttp server that forgets.

Without URLs it reads a webhook and answers as the relay would; with URLs it posts the body to each of them first, all
at once, and answers once all have answered. The same path, the same loop; no store, no routes, no logs, no metrics.
"""

import asyncio
import sys

import uvloop
from aiohttp import ClientSession, TCPConnector, web

ANSWER = b'{"webhook":"01a20c31-d07e-72c8-9d9c-9b35b50b174d","events":1,"deliveries":1}'


def answer() -> web.Response:
    return web.Response(body=ANSWER, content_type="application/json")


async def forget(request: web.Request) -> web.Response:
    await request.read()
    return answer()


def forward(session: ClientSession, urls: list[str]) -> web.RequestHandler:
    async def pass_on(url: str, body: bytes, content_type: str) -> None:
        async with session.post(url, data=body, headers={"content-type": content_type}) as response:
            await response.read()
            response.raise_for_status()

    async def proxy(request: web.Request) -> web.Response:
        body, content_type = await request.read(), request.headers["content-type"]
        if len(urls) == 1:
            await pass_on(urls[0], body, content_type)
        else:
            await asyncio.gather(*(pass_on(url, body, content_type) for url in urls))
        return answer()

    return proxy


async def main(port: int, urls: list[str]) -> None:
    async with ClientSession(connector=TCPConnector(limit=0)) as session:
        app = web.Application()
        app.router.add_post("/hooks/{source}/{token}", forward(session, urls) if urls else forget)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2:]))
