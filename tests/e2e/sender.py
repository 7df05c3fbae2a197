"""Fields -> webhooks as amoCRM posts them, one by one or as a steady load, and the history of what was sent."""

import asyncio
from asyncio import TaskGroup
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import aiohttp

from tests.e2e.history import Sent

ACCOUNT = {"id": 30770011, "subdomain": "romashka"}
ACCOUNT_FIELDS = [(f"account[{name}]", str(value)) for name, value in ACCOUNT.items()]
PIPELINE = 4410021


def body(prefix: str, data: Mapping[str, Any]) -> bytes:
    """`leads[status][0]`, {"id": 7} -> `leads%5Bstatus%5D%5B0%5D%5Bid%5D=7&account…`, as http_build_query writes it."""
    return urlencode([*((f"{prefix}[{name}]", str(value)) for name, value in data.items()), *ACCOUNT_FIELDS]).encode()


def headers() -> dict[str, str]:
    """amoCRM's, as of 2026: no charset, no signature."""
    return {
        "User-Agent": "amoCRM-Webhooks/3.0",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Amocrm-Requestid": str(uuid4()),
        "Accept-Encoding": "gzip",
    }


async def post(url: str, content: bytes) -> dict[str, Any]:
    """What the relay answers, which must be 200."""
    async with aiohttp.ClientSession() as session, session.post(url, data=content, headers=headers()) as answer:
        assert answer.status == 200, await answer.text()
        kept: dict[str, Any] = await answer.json()
        return kept


async def post_lead(url: str, marker: str, *, status_id: int = 1) -> str:
    """The id of the webhook that was kept."""
    kept = await post(url, body("leads[status][0]", lead(1, marker, status_id)))
    return str(kept["webhook"])


def lead(number: int, marker: str, status_id: int) -> dict[str, Any]:
    """A lead that moved; its name is the marker by which it is found again."""
    return {"id": number, "name": marker, "status_id": status_id, "pipeline_id": PIPELINE}


@dataclass(kw_only=True)
class Load:
    """Leads posted to `url` at a steady pace, never again if they fail; stage n is for the targets of `stages[n]`.

    Each has `padding` bytes that mean nothing. With `leads` so many leads take turns, else each is a new one. Markers
    begin with `name`, which tells several loads apart. `answers` counts what was answered, by status.
    """

    url: str
    stages: Mapping[int, frozenset[str]]
    per_second: int
    padding: int = 0
    leads: int = 0
    name: str = "m"
    answers: Counter[int] = field(default_factory=Counter)
    sent: list[Sent] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def acknowledged(self) -> int:
        """How many were answered 200 so far."""
        return sum(each.acknowledged for each in self.sent)

    @asynccontextmanager
    async def flowing(self, *, connections: int = 16) -> AsyncIterator[None]:
        """It goes on for as long as the block lasts."""
        stop = asyncio.Event()
        timeout = aiohttp.ClientTimeout(total=5)
        connector = aiohttp.TCPConnector(limit=connections)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session, TaskGroup() as group:
            for _ in range(connections):
                group.create_task(self._keep_posting(session, stop, every=connections / self.per_second))
            try:
                yield
            finally:
                stop.set()

    async def _keep_posting(self, session: aiohttp.ClientSession, stop: asyncio.Event, *, every: float) -> None:
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            next_at = loop.time() + every
            acknowledged = await self._post(session)
            # a relay that is down is asked less often: it needs this processor to start
            await asyncio.sleep(next_at - loop.time() if acknowledged else 0.1)

    async def _post(self, session: aiohttp.ClientSession) -> bool:
        number = next(self._numbers)
        stage = 1 + number % len(self.stages)
        identity = number % self.leads if self.leads else number
        data = lead(identity, f"{self.name}{number:06}", stage) | (
            {"padding": "x" * self.padding} if self.padding else {}
        )
        began = monotonic()
        try:
            async with session.post(self.url, data=body("leads[status][0]", data), headers=headers()) as answer:
                acknowledged = answer.status == 200
                self.answers[answer.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            acknowledged = False
        event = {
            "type": "leads.status",
            "source": "crm",
            "account": ACCOUNT,
            "entity": "leads",
            "action": "status",
            "data": data,
        }
        self.sent.append(
            Sent(
                marker=data["name"],
                targets=self.stages[stage],
                key=str(identity),
                via=self.name,
                event=event,
                acknowledged=acknowledged,
                began=began,
                ended=monotonic(),
            )
        )
        return acknowledged
