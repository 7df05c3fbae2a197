"""An authorization server on loopback that answers any bytes, and a target that knows which tokens it accepts."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from relay.model import OAuth2, Secret
from tests.delivery.conftest import read_request, serving

ID, SECRET = "relay:1", "canary+of/a secret"


def answer(status: int, body: bytes, *headers: str) -> bytes:
    """A whole response."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def grant(token: str, expires_in: object = None, **more: object) -> bytes:
    """The answer with a token."""
    document = {"access_token": token, "token_type": "Bearer", **more}
    if expires_in is not None:
        document["expires_in"] = expires_in
    return answer(200, orjson.dumps(document), "Content-Type: application/json")


@dataclass(slots=True)
class Authority:
    """`says`: the answer to request number n, from 1. `gate` holds requests while it is shut; `asked`: one came."""

    says: Callable[[int], bytes] = lambda number: grant(f"canary-token/{number}")
    requests: list[tuple[bytes, bytes]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0

    def __post_init__(self) -> None:
        self.gate.set()

    def settings(self, **more: Any) -> OAuth2:
        """What a target needs to get its tokens here."""
        values = {"client_id": Secret(ID), "client_secret": Secret(SECRET)}
        return OAuth2(**{"token_url": f"http://127.0.0.1:{self.port}/token", **values, **more})

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer one request."""
        self.requests.append(await read_request(reader))
        self.asked.set()
        number = len(self.requests)
        await self.gate.wait()
        writer.write(self.says(number))
        await writer.drain()


@asynccontextmanager
async def authorizing(says: Callable[[int], bytes] | None = None) -> AsyncIterator[Authority]:
    """An authority for as long as the block lasts."""
    authority = Authority(says) if says else Authority()
    async with serving(authority.talk) as port:
        authority.port = port
        yield authority


@dataclass(slots=True)
class Guarded:
    """A target: 200 to the tokens that it accepts, 401 to all else. `got`: token and attempt of each request."""

    accepts: Callable[[str], bool] = lambda _token: True
    got: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""

    async def talk(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Answer requests until no more come."""
        while True:
            head, _body = await read_request(reader)
            headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2])
            token = headers["authorization"].removeprefix("Bearer ")
            self.got.append((token, headers.get("relay-attempt", "")))
            status = 200 if self.accepts(token) else 401
            writer.write(answer(status, f"you sent {token}".encode()))


@asynccontextmanager
async def guarding(accepts: Callable[[str], bool] = lambda _token: True) -> AsyncIterator[Guarded]:
    """A guarded target for as long as the block lasts."""
    guarded = Guarded(accepts)
    async with serving(guarded.talk) as port:
        guarded.url = f"http://127.0.0.1:{port}/in"
        yield guarded
