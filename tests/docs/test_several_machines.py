"""docs/several-machines.md: its balancers before relays that fail, its files, its commands."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM

import aiohttp
import pytest

from tests.docs.pages import blocks, read
from tests.e2e.balancers import haproxy, nginx
from tests.e2e.processes import TOKEN, RelayProcess, running, until

PAGE = "docs/several-machines.md"
ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: bot}]
"""

Balancer = Callable[[Path, list[RelayProcess]], AbstractAsyncContextManager[int]]


# ---- the balancers


@asynccontextmanager
async def nginx_of_the_page(folder: Path, relays: list[RelayProcess]) -> AsyncIterator[int]:
    [text] = blocks(read(PAGE), "nginx")
    for number, relay in enumerate(relays, 11):
        assert f"10.0.0.{number}:8080" in text
        text = text.replace(f"10.0.0.{number}:8080", f"127.0.0.1:{relay.port}")
    async with nginx(folder, text) as port:
        yield port


class Sender:
    """Posts one webhook after another, each once, as amoCRM does."""

    def __init__(self, port: int) -> None:
        self.answers = Counter[int]()
        self._address = f"http://127.0.0.1:{port}/hooks/crm/{TOKEN}"

    async def send_for_ever(self) -> None:
        async with aiohttp.ClientSession() as session:
            while True:
                body = f"leads[add][0][id]={self.answers.total()}".encode()
                try:
                    async with session.post(self._address, data=body) as answer:
                        self.answers[answer.status] += 1
                except aiohttp.ClientError:
                    self.answers[0] += 1
                await asyncio.sleep(0.02)

    async def more(self, webhooks: int = 25) -> None:
        """Wait for so many more answers."""
        wanted = self.answers.total() + webhooks
        await until(lambda: self.answers.total() >= wanted)


async def takes(relay: RelayProcess) -> bool:
    """Whether it took webhooks since its start."""
    return await relay.metric("relay_webhooks_total", outcome="accepted") > 0


@pytest.mark.parametrize("balancer", [haproxy, nginx_of_the_page])
async def test_a_relay_that_is_killed_frozen_or_restarted_fails_no_webhook(balancer: Balancer, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        folder.mkdir()
    async with running(folders[0], ROUTES) as a, running(folders[1], ROUTES) as b, balancer(tmp_path, [a, b]) as port:
        sender = Sender(port)
        sending = asyncio.create_task(sender.send_for_ever())
        try:
            await sender.more()
            assert not await takes(b), "one takes, the next one at its failure"
            await a.kill()
            await sender.more()
            assert await takes(b)
            await a.start()
            await until(lambda: takes(a))
            a.signal(SIGSTOP)
            await sender.more()
            a.signal(SIGCONT)
            await sender.more()
            a.signal(SIGTERM)
            assert await a.ended() == 0
            await sender.more()
            await a.start()
            await until(lambda: takes(a))
            await b.kill()
            await sender.more()
        finally:
            sending.cancel()
        assert set(sender.answers) == {200}
