"""A relay in this process, on a real store, with real targets and a client that may be as rude as it likes."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp.typedefs import LooseHeaders
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.http.machine_limits import Limits
from relay.ingest.budget import Budget
from relay.model import Webhook
from relay.signals import Committed, Signal, WebhookRejected
from relay.store.open import SqliteUrl
from relay.store.records import Filter
from relay.store.sqlite.store import SqliteStore
from tests.e2e.targets import Targets, listening, well

TOKEN, OTHER_TOKEN = "f3c1a09d5e7b4c628d10", "0a9b8c7d6e5f4a3b2c1d"
MAX_BODY = 20_000
FORM = {"content-type": "application/x-www-form-urlencoded"}

ROUTES = """\
version: 1
sources:
  crm: {{token: ["{token}", "{other}"]}}
  shop: {{token: "{token}", accounts: [30770011, romashka]}}
  pipeline: {{token: "{token}", dedupe: 1h}}
targets:
  bot: {{url: "{bot}"}}
  dwh: {{url: "{dwh}"}}
routes:
  - {{name: all, match: {{entity: leads}}, to: bot}}
  - {{name: won, match: {{entity: leads, status_id: won}}, to: [bot, dwh]}}
"""


@dataclass
class Facts:
    """Collects signals; while `gate` is closed whoever tells of a commit waits, and that is the store's writer."""

    signals: list[Signal] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def __call__(self, signal: Signal) -> None:
        self.signals.append(signal)
        if isinstance(signal, Committed):
            self.gate.wait(timeout=30)

    def refusals(self) -> list[tuple[str, str]]:
        """Source and kind of each."""
        return [(each.source, str(each.reason)) for each in self.signals if isinstance(each, WebhookRejected)]


def sqlite_of(relay: Relay) -> SqliteStore:
    """The store that the daemon has opened, for tests that look into its file."""
    assert isinstance(relay.store, SqliteStore)
    return relay.store


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A relay, its targets, and a client."""

    relay: Relay
    facts: Facts
    targets: Targets
    session: aiohttp.ClientSession

    @property
    def budget(self) -> Budget:
        """For the webhooks that are on their way to the disk."""
        return self.relay.budget

    def hook(self, source: str = "crm", token: str = TOKEN) -> str:
        """Where webhooks are posted to."""
        return f"{url(self.relay.listening)}/hooks/{source}/{token}"

    async def post(
        self, body: bytes, *, source: str = "crm", token: str = TOKEN, headers: LooseHeaders | None = FORM
    ) -> "Answer":
        """A webhook's answer."""
        async with self.session.post(self.hook(source, token), data=body, headers=headers) as response:
            return await Answer.of(response)

    async def raw(self, *pieces: bytes, source: str = "crm", token: str = TOKEN) -> bytes:
        """The head of what comes back for a request line, a host and these pieces."""
        async with self.connected() as (reader, writer):
            writer.write(f"POST /hooks/{source}/{token} HTTP/1.1\r\nHost: relay\r\n".encode() + b"".join(pieces))
            return await reader.readuntil(b"\r\n\r\n")

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """A bare connection."""
        reader, writer = await asyncio.open_connection(*self.relay.listening)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def kept(self) -> list[Webhook]:
        """All webhooks that deliveries came of, and the unparsed."""
        store = self.relay.store
        ids = {each.event_id for each in await store.find(Filter(), limit=100)}
        shown = [await store.show(id_) for id_ in ids]
        return [each.webhook for each in shown if each] + await store.unparsed(limit=100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the relay says."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]

    @classmethod
    async def of(cls, response: aiohttp.ClientResponse) -> "Answer":
        return cls(status=response.status, body=await response.json(), headers=response.headers)


@pytest.fixture
def limits() -> Limits:
    """A test that needs others has a parameter of this name."""
    return Limits()


@pytest.fixture
async def scene(tmp_path: Path, limits: Limits) -> AsyncIterator[Scene]:
    facts = Facts()
    facts.gate.set()
    async with listening(bot=well, dwh=well) as targets:
        routes = tmp_path / "routes.yaml"
        urls = {name: targets.url(name) for name in ("bot", "dwh")}
        routes.write_text(ROUTES.format(token=TOKEN, other=OTHER_TOKEN, **urls))
        settings = Settings(
            config=routes,
            store=SqliteUrl(tmp_path / "relay.db"),
            listen=("127.0.0.1", 0),
            admin=("127.0.0.1", 0),
            max_body=MAX_BODY,
            limits=limits,
        )
        starting = running(settings, emit=facts, registry=CollectorRegistry())
        async with starting as relay, aiohttp.ClientSession() as session:
            yield Scene(relay=relay, facts=facts, targets=targets, session=session)
            facts.gate.set()


def form(*leads: Mapping[str, object], account: Mapping[str, object] | None = None) -> bytes:
    """A body with these leads moved."""
    fields = [(f"leads[status][{n}][{name}]", value) for n, lead in enumerate(leads) for name, value in lead.items()]
    account = {"id": 30770011, "subdomain": "romashka"} if account is None else account
    return urlencode(fields + [(f"account[{name}]", value) for name, value in account.items()]).encode()


LEAD = {"id": 501, "name": "m1", "status_id": 3, "pipeline_id": 9}
WON = LEAD | {"id": 502, "name": "m2", "status_id": 142}
