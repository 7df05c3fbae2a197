"""The counts at the top of every page: of what was seen last, for no page asks for them."""

from dataclasses import replace
from typing import Any

import pytest

from relay.admin.api.asking import Asking
from relay.admin.console import waiting
from relay.admin.console.waiting import Counts, Waiting
from relay.operations.asker import Asker
from relay.operations.desk import Operation
from relay.operations.status import STATUS, Everything
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.api.test_acts import Gate
from tests.admin.api.test_acts import gate as gate
from tests.admin.console.conftest import Client, see, sent
from tests.operations.conftest import OPERATOR


async def test_what_the_overview_counted_stands_at_the_top_of_the_next_page(browser: Client, store: Archive) -> None:
    await see(browser, "/")
    seen = await see(browser, "/preferences")
    [unparsed] = [each for each in seen.source.splitlines() if 'href="/unparsed"' in each]
    assert f'<b class="waits">{(await store.status()).unparsed}</b>' in unparsed
    assert "/deliveries?state=dead&dismissed=false" in seen.links
    assert "1 dead" in seen.text


async def test_no_page_asks_for_them(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    ask = Asking.ask

    async def noting(self: Asking, asker: Asker, operation: Operation[Any, Any], parameters: Any) -> Any:
        asked.append(operation.name)
        return await ask(self, asker, operation, parameters)

    await see(browser, "/")
    monkeypatch.setattr(Asking, "ask", noting)
    for path, operations in (("/acts", ["acts", "audit"]), ("/unparsed", ["unparsed"]), ("/about", [])):
        asked.clear()
        await see(browser, path)
        assert asked == operations, path


async def test_an_act_under_way_is_counted(gate: Gate, browser: Client) -> None:
    await browser.post("/api/v1/slow", json={})
    [acts] = [each for each in (await see(browser, "/about")).source.splitlines() if 'href="/acts"' in each]
    gate.open.set()
    assert '<b class="waits">1</b>' in acts


async def test_an_act_has_them_looked_for_behind_the_next_page(
    browser: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    monkeypatch.setattr(Waiting, "look", lambda self, _asker: looks.append(self.counts_are_old))
    page = await see(browser, "/")
    await sent(browser, page, "/targets/warehouse/pause")
    assert looks == [False, True, False], "the overview, the act, the overview again"


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


async def test_they_are_looked_for_behind_a_page_when_they_are_old(store: Archive, config: Config) -> None:
    clock, asking = Clock(), Asking(store, lambda: config)
    counted = Waiting(asking, steady=clock)
    assert counted.counts() == Counts()
    await counted.look(OPERATOR)
    first = counted.counts()
    assert first.dead == 1
    counted.note(replace(await asking.ask(OPERATOR, STATUS, Everything()), targets=()), asked_in=counted.generation)
    await counted.look(OPERATOR)
    assert counted.counts().dead == 0, "they are fresh"
    clock.seconds = waiting.FRESH
    await counted.look(OPERATOR)
    assert counted.counts() == first
    clock.seconds += waiting.SHOWN
    assert counted.counts() == Counts(), "old ones are not shown"


async def test_what_was_asked_before_an_act_is_old_after_it(
    store: Archive, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Asking(store, lambda: config)
    counted, ask = Waiting(asking, steady=Clock()), asking.ask

    async def acted_meanwhile(asker: Asker, operation: Operation[Any, Any], parameters: Any) -> Any:
        found = await ask(asker, operation, parameters)
        counted.changed()
        return found

    monkeypatch.setattr(asking, "ask", acted_meanwhile)
    await counted.look(OPERATOR)
    assert counted.counts_are_old and counted.counts().dead == 1
    monkeypatch.setattr(asking, "ask", ask)
    await counted.look(OPERATOR)
    assert not counted.counts_are_old
