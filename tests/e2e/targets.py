"""Names and behaviour -> HTTP targets in this process, and what they received."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from time import monotonic
from typing import TypeAlias

import orjson
from aiohttp import web

from tests.e2e.history import Received


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a target says, `after` so many seconds; None: it never does. `indiscreet`: it says what it was sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float | None = 0.0
    indiscreet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Request(Received):
    """One request as it came; `at` are seconds of the monotonic clock, names of headers have no case."""

    at: float
    headers: Mapping[str, str]
    query: str = ""


Behaviour: TypeAlias = Callable[[int], Answer]
"""The how-manieth request of this event, from 1 -> the answer."""


def well(_nth: int) -> Answer:
    """Takes everything."""
    return Answer()


def hanging(_nth: int) -> Answer:
    """Never answers."""
    return Answer(after=None)


def slow(seconds: float) -> Behaviour:
    """Takes everything, later."""
    return lambda _nth: Answer(after=seconds)


def always(status: int) -> Behaviour:
    """The same for all."""
    return lambda _nth: Answer(status=status)


def repeating(status: int) -> Behaviour:
    """The same for all, with the address and the headers that it was sent."""
    return lambda _nth: Answer(status=status, indiscreet=True)


def refusing(times: int, **headers: str) -> Behaviour:
    """503 to the first requests of each event, with these headers."""
    return lambda nth: Answer(status=503, headers=headers) if nth <= times else Answer()


def flaky(share: float, chance: Random) -> Behaviour:
    """503 to that share of requests."""
    return lambda _nth: Answer(status=503 if chance.random() < share else 200)


class Targets:
    """Targets at one port, each at the path of its name. Their behaviour may be changed while they run.

    `busiest` is how many requests each had at the same time, at most; `of_one_key_at_once`, how many began while
    another one of the same entity was under way.
    """

    def __init__(self, behaviour: dict[str, Behaviour]) -> None:
        self.behaviour = behaviour
        self.received: list[Request] = []
        self.port = 0
        self.busiest: Counter[str] = Counter()
        self.of_one_key_at_once: Counter[str] = Counter()
        self._under_way: Counter[str] = Counter()
        self._keys_under_way: Counter[tuple[str, str]] = Counter()
        self._seen: Counter[tuple[str, str]] = Counter()

    def url(self, name: str) -> str:
        """Where the relay finds it."""
        return f"http://127.0.0.1:{self.port}/{name}"

    def of(self, name: str) -> list[Request]:
        """What one of them received, in order."""
        return [each for each in self.received if each.target == name]

    def accepted(self, name: str) -> list[str]:
        """The markers of what one of them took, in order."""
        return [each.marker for each in self.of(name) if each.accepted]

    async def take(self, request: web.Request) -> web.Response:
        """Note the request, then answer as the target's behaviour are."""
        name, event_id = request.match_info["name"], request.headers.get("webhook-id", "")
        body = await request.read()
        self._seen[name, event_id] += 1
        answer = self.behaviour[name](self._seen[name, event_id])
        marker, entity = _identity(body)
        self.received.append(
            Request(
                target=name,
                marker=marker,
                event_id=event_id,
                attempt=int(request.headers.get("relay-attempt", "0")),
                body=body,
                accepted=answer.status == 200 and answer.after is not None,
                at=monotonic(),
                headers=request.headers,
                query=request.rel_url.raw_query_string,
            )
        )
        await self._let_pass(name, entity, answer.after)
        text = f"{request.path_qs} {[*request.headers.values()]}" if answer.indiscreet else ""
        return web.Response(status=answer.status, headers=answer.headers, text=text)

    async def _let_pass(self, name: str, entity: str, seconds: float | None) -> None:
        self._under_way[name] += 1
        self.busiest[name] = max(self.busiest[name], self._under_way[name])
        self.of_one_key_at_once[name] += bool(self._keys_under_way[name, entity])
        self._keys_under_way[name, entity] += 1
        try:
            if seconds is None:
                await asyncio.Event().wait()
            await asyncio.sleep(seconds or 0)
        finally:
            self._under_way[name] -= 1
            self._keys_under_way[name, entity] -= 1


def _identity(body: bytes) -> tuple[str, str]:
    """The name and the id of the lead; empty if the event has none, or it is another body."""
    try:
        lead = orjson.loads(body)["data"]
        return str(lead.get("name", "")), str(lead.get("id", ""))
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        return "", ""


@asynccontextmanager
async def listening(**behaviour: Behaviour) -> AsyncIterator[Targets]:
    """Targets of these names that can be reached for as long as the block lasts."""
    targets = Targets(behaviour)
    app = web.Application()
    app.router.add_post("/{name}", targets.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        targets.port = runner.addresses[0][1]
        yield targets
    finally:
        await runner.cleanup()
