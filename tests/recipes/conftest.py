"""A recipe as `relay init` writes it, but for the address of its API: a relay that runs it, and a receiver of ours."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from relay.amocrm import form, sample_bodies
from relay.cli.amocrm_post import headers
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running, url
from relay.model import State
from relay.operations import init
from relay.store.open import SqliteUrl
from relay.store.records import DeliveryRecord, Filter, WebhookRecord
from tests.e2e.processes import until
from tests.recipes.api import Api

TOKEN = "8f0c2ab1d4e74f60b5a3"


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A relay with one recipe, and the API before it."""

    relay: Relay
    session: aiohttp.ClientSession

    async def post(self, event_type: str, *, deliveries: int = 1, **fields: object) -> None:
        """A webhook as amoCRM sends it, of which so many deliveries come."""
        texts = {name: str(value) for name, value in fields.items()}
        content = form.encode(sample_bodies.body(event_type, fields=texts))
        hook = f"{url(self.relay.listening)}/hooks/crm/{TOKEN}"
        async with self.session.post(hook, data=content, headers=headers()) as answer:
            assert (await answer.json())["deliveries"] == deliveries, await answer.text()

    async def deliveries(self, state: State) -> list[DeliveryRecord]:
        return list(await self.relay.store.find(Filter(states=(state,)), limit=100))

    async def all_are(self, state: State, number: int = 1) -> list[DeliveryRecord]:
        """The deliveries, once so many are in this state and none in another."""

        async def settled() -> bool:
            counts = {each: len(await self.deliveries(each)) for each in State}
            return counts[state] == number == sum(counts.values())

        await until(settled)
        return await self.deliveries(state)

    async def settled(self, number: int) -> None:
        """Wait until so many deliveries are delivered or dead."""

        async def none_pending() -> bool:
            ended = [each for state in (State.DELIVERED, State.DEAD) for each in await self.deliveries(state)]
            return len(ended) == number

        await until(none_pending)

    async def attempts(self, delivery: DeliveryRecord) -> list[tuple[str, int | None]]:
        """Reason and status of each attempt, in order."""
        record = await self.relay.store.show(delivery.event_id)
        assert isinstance(record, WebhookRecord)
        [found] = [each for event in record.events if event.id == delivery.event_id for each in event.deliveries]
        return [(each.reason, each.status) for each in found.attempts]


Run = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("telegram", api, telegram_token="…")`: the recipe with these secrets, its API's address that of `api`."""

    @asynccontextmanager
    async def running_recipe(name: str, api: Api, **secrets: str) -> AsyncIterator[Running]:
        folder = tmp_path / "secrets"
        folder.mkdir(mode=0o700)
        for secret, value in {"crm_token": TOKEN, **secrets}.items():
            (folder / secret).write_text(value)
        routes = tmp_path / "routes.yaml"
        written = init.write(init.Choices(recipe=init.recipe(name)), routes, {})
        assert not written.made and not written.placeholders, "the test gives every secret of the recipe"
        async with _listening(api) as at:
            text = routes.read_text()
            assert api.ORIGIN in text
            routes.write_text(_quick(text.replace(api.ORIGIN, at)))
            settings = Settings(
                config=routes, store=SqliteUrl(tmp_path / "relay.db"), listen=("127.0.0.1", 0), admin=("127.0.0.1", 0)
            )
            starting = running(settings, emit=lambda _signal: None, registry=CollectorRegistry())
            async with starting as relay, aiohttp.ClientSession() as session:
                yield Running(relay=relay, session=session)

    return running_recipe


@asynccontextmanager
async def _listening(api: Api) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", api.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def _quick(text: str) -> str:
    """The same routes, with less time before the first retry."""
    text = re.sub(r"retry: \{(?!initial)", "retry: {initial: 50ms, ", text)
    return re.sub(r"initial: \w+", "initial: 50ms", text)


def lead(**fields: Any) -> dict[str, Any]:
    """The fields of a lead in the stage that the recipes name."""
    return {"id": 7, "name": "Kitchen", "pipeline_id": 752662, "status_id": 16203337} | fields
