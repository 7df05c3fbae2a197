"""A start with names that nobody knows: the other routes go on, and what waited comes once, when they are known."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from relay.daemon.settings import Settings
from relay.daemon.stopped_routes import FILE
from relay.daemon.wiring import Relay, running, url
from relay.errors import StoreBusy
from relay.model.names import Catalog
from relay.model.names_json import to_json
from relay.model.names_memory import remembering
from relay.routes.names_files import cache_file
from relay.signals import Signal
from relay.signals.account import NameOutdated, RoutesResumed, RouteStopped
from relay.store.open import SqliteUrl
from relay.store.sqlite.store import SqliteStore
from tests.account.example_catalog import CATALOG, CONTRACT, OFFER, SALES
from tests.e2e.processes import until
from tests.e2e.targets import Targets, listening, well
from tests.scene import FORM, TOKEN, form

NOBODY = "127.0.0.1:9"
"""The account's host: it never answers, and names come from the cache alone."""

ROUTES = """\
version: 1
accounts: {{main: {{host: "{host}", token: canary.api.token}}}}
sources: {{crm: {{token: "{token}", account: main}}}}
targets: {{bot: {{url: "{bot}"}}, dwh: {{url: "{dwh}"}}}}
routes:
  - {{name: offers, match: {{entity: leads, action: status, stage: Продажи/Оффер}}, to: bot}}
  - {{name: large, match: {{entity: leads, price: {{gte: 1000}}}}, to: dwh}}
  - {{name: rest, otherwise: true, to: dwh}}
"""


class Place:
    """A folder with routes and a store; a relay starts in it as often as the test likes."""

    def __init__(self, folder: Path, targets: Targets) -> None:
        self.folder = folder
        self.targets = targets
        self.facts: list[Signal] = []

    def write(self, text: str = ROUTES) -> None:
        urls = {name: self.targets.url(name) for name in ("bot", "dwh")}
        (self.folder / "routes.yaml").write_text(text.format(token=TOKEN, host=NOBODY, **urls), "utf-8")

    def know(self, catalog: Catalog = CATALOG) -> None:
        cache_file(self.folder, "main").write_text(json.dumps(to_json(replace(catalog, host=NOBODY))), "utf-8")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        settings = Settings(
            config=self.folder / "routes.yaml",
            store=SqliteUrl(self.folder / "relay.db"),
            listen=("127.0.0.1", 0),
            admin=("127.0.0.1", 0),
        )
        async with running(settings, emit=self.facts.append, registry=CollectorRegistry()) as relay:
            yield relay

    def said(self, kind: type[Signal]) -> Sequence[Signal]:
        return [each for each in self.facts if isinstance(each, kind)]

    def got(self) -> dict[str, list[str]]:
        """The names of leads by target."""
        return {name: sorted(self.targets.accepted(name)) for name in ("bot", "dwh")}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with listening(bot=well, dwh=well) as targets:
        made = Place(tmp_path, targets)
        made.write()
        yield made


async def post(relay: Relay, name: str, status: int, price: int = 0) -> None:
    fields = {"id": 1 + len(name), "name": name, "status_id": status, "pipeline_id": SALES, "price": price}
    async with aiohttp.ClientSession() as session:
        body = form(fields)
        async with session.post(f"{url(relay.listening)}/hooks/crm/{TOKEN}", data=body, headers=FORM) as answer:
            assert answer.status == 200, await answer.text()


async def post_all(relay: Relay) -> None:
    await post(relay, "offer", OFFER)
    await post(relay, "contract", CONTRACT)
    await post(relay, "large offer", OFFER, price=5000)
    await post(relay, "large contract", CONTRACT, price=5000)


WHOLE = {"bot": ["large offer", "offer"], "dwh": ["contract", "large contract", "large offer"]}
"""What the targets get of `post_all`, sooner or later."""


async def test_with_names_nothing_is_stopped(place: Place) -> None:
    place.know()
    async with place.running() as relay:
        await post_all(relay)
        await until(lambda: place.got() == WHOLE)
    assert not place.said(RouteStopped)
    assert not (place.folder / FILE).exists()


async def test_what_a_stopped_route_may_take_waits_and_comes_once_its_names_are_known(place: Place) -> None:
    async with place.running() as relay:
        await post_all(relay)
        await until(lambda: place.got() == {"bot": [], "dwh": ["large contract", "large offer"]})
        place.know()
        await until(lambda: bool(place.said(RoutesResumed)))
        await until(lambda: place.got() == WHOLE)
    [stopped] = place.said(RouteStopped)
    assert isinstance(stopped, RouteStopped) and stopped.route == "offers"
    assert place.said(RoutesResumed) == [RoutesResumed(routes=["offers"], deliveries=3)]


async def test_a_restart_before_the_names_are_known_forgets_nothing(place: Place) -> None:
    async with place.running() as relay:
        await post_all(relay)
        await until(lambda: len(place.got()["dwh"]) == 2)
    place.know()
    async with place.running():
        await until(lambda: place.got() == WHOLE)
        await until(lambda: bool(place.said(RoutesResumed)))
    assert not (place.folder / FILE).exists()


async def test_a_relay_that_ends_while_it_reroutes_doubles_nothing(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with place.running() as relay:
        await post_all(relay)
    place.know()
    calls, reroute = [], SqliteStore.reroute

    async def then_busy(store: SqliteStore, *arguments: object, **more: object) -> int:
        calls.append(await reroute(store, *arguments, **more))
        raise StoreBusy("its outcome is unknown")

    with monkeypatch.context() as patched:
        patched.setattr(SqliteStore, "reroute", then_busy)
        async with place.running():
            await until(lambda: bool(calls))
    async with place.running():
        await until(lambda: bool(place.said(RoutesResumed)))
        await until(lambda: place.got() == WHOLE)


async def test_a_route_that_is_taken_out_of_the_file_lets_go_of_what_waited(place: Place) -> None:
    async with place.running() as relay:
        await post_all(relay)
        place.write(ROUTES.replace("  - {{name: offers", "#"))
        await until(lambda: place.got()["dwh"] == ["contract", "large contract", "large offer", "offer"])
    assert place.got()["bot"] == []


async def test_a_rename_is_said_once_and_stops_nothing(place: Place) -> None:
    sales = CATALOG.pipelines[0]
    stages = tuple(replace(each, name="Предложение") if each.id == OFFER else each for each in sales.stages)
    renamed = replace(CATALOG, pipelines=(replace(sales, stages=stages), *CATALOG.pipelines[1:]))
    place.know(remembering(CATALOG, renamed))
    async with place.running() as relay:
        await post_all(relay)
        await relay.reloader.reload()
        await until(lambda: place.got() == WHOLE)
    [said] = place.said(NameOutdated)
    assert isinstance(said, NameOutdated)
    assert said.detail.endswith("the stage 'Продажи/Оффер' was renamed in amoCRM: write Продажи/Предложение")


async def test_a_reload_with_names_that_are_unknown_changes_nothing(place: Place) -> None:
    place.know()
    async with place.running() as relay:
        place.write(ROUTES.replace("Продажи/Оффер", "Продажи/Офер"))
        [problem] = (await relay.reloader.reload()).problems
        assert "amoCRM has no stage 'Продажи/Офер' (did you mean 'Продажи/Оффер'?)" in problem
        await post_all(relay)
        await until(lambda: place.got() == WHOLE)
