"""An account's host that answers what the test says, and remembers what it was asked."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import web

from relay.account.block import Block
from relay.account.client import AccountClient
from relay.account.limiter import Limiter
from relay.account.session import Session
from relay.account.tokens import LongLivedToken, Tokens
from relay.model import Account, Secret
from relay.signals import Signal
from relay.signals.account import AccountAsked
from relay.store.sqlite.account_files import AccountFiles

TOKEN = "canary.api.token"
Answering = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Host:
    """`answers` are given one after the other, then empty objects."""

    url: str = ""
    answers: list[web.StreamResponse | Answering] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    @property
    def account(self) -> Account:
        return Account(name="main", host=self.url.removeprefix("http://"), token=Secret(TOKEN))

    def will(self, *answers: web.StreamResponse | Answering) -> None:
        self.answers += answers

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.at.append(asyncio.get_running_loop().time())
        self.asked.append(f"{request.method} {request.raw_path}")
        self.tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        self.bodies.append(await request.read())
        answer = self.answers.pop(0) if self.answers else web.json_response({})
        return answer if isinstance(answer, web.StreamResponse) else await answer(request)


def html(status: int, **how: Any) -> web.Response:
    return web.Response(status=status, text="<html><h1>nginx</h1></html>", content_type="text/html", **how)


@asynccontextmanager
async def serving() -> AsyncIterator[Host]:
    host = Host()
    runner = web.ServerRunner(web.Server(host.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address = runner.addresses[0]
    host.url = f"http://{address[0]}:{address[1]}"
    try:
        yield host
    finally:
        await runner.cleanup()


@dataclass
class Asking:
    """A client of that host, and the facts that it announced."""

    client: AccountClient
    facts: list[Signal]

    @property
    def outcomes(self) -> list[str]:
        return [str(fact.outcome) for fact in self.facts if isinstance(fact, AccountAsked)]


@asynccontextmanager
async def asking(host: Host, tokens: Tokens | None = None, folder: Path | None = None) -> AsyncIterator[Asking]:
    """`folder`: where other clients look, too."""
    facts: list[Signal] = []
    with TemporaryDirectory() as own:
        client = AccountClient(
            host.account,
            tokens or LongLivedToken(Secret(TOKEN)),
            session=Session(host.url),
            limiter=Limiter(),
            block=Block(host.account, records=AccountFiles((folder or Path(own)) / "relay.db"), emit=facts.append),
            emit=facts.append,
        )
        try:
            yield Asking(client, facts)
        finally:
            await client.close()
