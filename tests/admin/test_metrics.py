"""Scrapes are answered in time, whatever the store does, and load it no more than once a second."""

import asyncio
from datetime import timedelta
from time import perf_counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.signals import BacklogUnreadable
from tests.admin.conftest import Relay, hang


def backlog_in(text: str) -> float:
    return next(f.samples[0].value for f in text_string_to_metric_families(text) if f.name == "relay_backlog")


async def test_metrics_are_fresh(relay: Relay) -> None:
    answer = await (await relay.client()).get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert backlog_in(await answer.text()) == 1


async def test_metrics_come_as_openmetrics_to_those_who_ask(relay: Relay) -> None:
    answer = await (await relay.client()).get("/metrics", headers={"Accept": "application/openmetrics-text"})
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
    assert (await answer.text()).endswith("# EOF\n")


async def test_many_scrapes_ask_the_store_once_a_second(relay: Relay) -> None:
    client = await relay.client()
    answers = await asyncio.gather(*(client.get("/metrics") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert relay.refreshes == 1


async def test_a_backlog_that_takes_long_to_count_is_counted_less_often(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.metrics.REFRESH_EVERY", timedelta(milliseconds=1))
    client = await relay.client()
    for _ in range(3):
        await asyncio.sleep(0.01)
        await client.get("/metrics")
    assert relay.refreshes == 3

    async def count() -> None:
        await asyncio.sleep(0.1)
        await relay.refresh()

    client = await relay.client(refresh=count)
    for _ in range(3):
        await asyncio.sleep(0.01)
        await client.get("/metrics")
    assert relay.refreshes == 4


async def test_a_refresh_that_never_ends_delays_no_scrape_for_long(relay: Relay) -> None:
    client = await relay.client(refresh=hang)
    for _ in range(2):
        begin = perf_counter()
        answer = await client.get("/metrics")
        assert (answer.status, backlog_in(await answer.text())) == (200, 0)
        assert perf_counter() - begin < 20


async def test_a_late_refresh_is_not_begun_again_but_waited_for(relay: Relay) -> None:
    go = asyncio.Event()

    async def slow() -> None:
        await go.wait()
        await relay.refresh()

    client = await relay.client(refresh=slow)
    assert backlog_in(await (await client.get("/metrics")).text()) == 0
    go.set()
    assert backlog_in(await (await client.get("/metrics")).text()) == 1


async def test_a_refresh_that_hangs_ends_with_the_listener(relay: Relay) -> None:
    client = await relay.client(refresh=hang)
    await client.get("/metrics")
    await client.close()
    assert [task for task in asyncio.all_tasks() if "SharedCall" in repr(task)] == []


async def test_a_store_in_trouble_hides_no_other_metric(relay: Relay) -> None:
    async def fail() -> None:
        raise OSError("no such disk")

    answer = await (await relay.client(refresh=fail)).get("/metrics")
    assert answer.status == 200
    assert BacklogUnreadable(error="no such disk") in relay.signals
