"""What the receivers of the recipes have in common: what they were sent, and how they refuse next."""

from collections import deque
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Api:
    """An API at `ORIGIN`, as a recipe has it. The next requests are refused by `refusals`, one after another."""

    ORIGIN: ClassVar[str]

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.refusals: deque[web.Response] = deque()

    async def take(self, request: web.Request) -> web.Response:
        call = Call(
            method=request.method,
            path=request.rel_url.raw_path,
            query=dict(request.query),
            headers={name.lower(): value for name, value in request.headers.items()},
            body=await request.read(),
        )
        self.calls.append(call)
        return self.refusals.popleft() if self.refusals else self.answer(call)

    def answer(self, call: Call) -> web.Response:
        """What the API says if nothing is wrong with it."""
        raise NotImplementedError
