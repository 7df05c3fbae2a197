"""The private listener, asked over a real connection: metrics, health, reload, tail."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta
from time import perf_counter

import pytest
from prometheus_client.parser import text_string_to_metric_families

from relay.admin.app import MAX_FOLLOWERS
from relay.signals import BacklogUnreadable, Rejection, WebhookRejected
from tests.admin.conftest import Relay
from tests.e2e.processes import until


def backlog_in(text: str) -> float:
    return next(f.samples[0].value for f in text_string_to_metric_families(text) if f.name == "relay_backlog")


async def hang() -> None:
    await asyncio.Event().wait()


# ---- metrics


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
    monkeypatch.setattr("relay.admin.app.REFRESH_EVERY", timedelta(milliseconds=1))
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
        assert perf_counter() - begin < 2


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
    assert [task for task in asyncio.all_tasks() if "_Asked" in repr(task)] == []


async def test_a_store_in_trouble_hides_no_other_metric(relay: Relay) -> None:
    async def fail() -> None:
        raise OSError("no such disk")

    answer = await (await relay.client(refresh=fail)).get("/metrics")
    assert answer.status == 200
    assert BacklogUnreadable(error="no such disk") in relay.signals


# ---- health and reload


async def test_it_lives_whatever_the_store_says(relay: Relay) -> None:
    relay.reason = "disk full"
    answer = await (await relay.client()).get("/livez")
    assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_it_is_ready_as_long_as_it_can_commit(relay: Relay) -> None:
    client = await relay.client()
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (200, "ready\n")
    relay.reason = "disk full"
    answer = await client.get("/readyz")
    assert (answer.status, await answer.text()) == (503, "disk full\n")


async def test_it_is_not_ready_if_nobody_can_tell(relay: Relay) -> None:
    answer = await (await relay.client(ready=hang)).get("/readyz")
    assert (answer.status, await answer.text()) == (503, "the store does not answer\n")


async def test_a_reload_tells_what_became_of_it(relay: Relay) -> None:
    client = await relay.client()
    answer = await client.post("/-/reload")
    assert (answer.status, await answer.json()) == (200, {"reloaded": True})
    relay.problems = ["routes.yaml:3:1  no", "routes.yaml:4:1  nor"]
    answer = await client.post("/-/reload")
    assert (answer.status, await answer.json()) == (422, {"reloaded": False, "problems": relay.problems})


async def test_a_reload_is_not_done_by_looking(relay: Relay) -> None:
    answer = await (await relay.client()).get("/-/reload")
    assert answer.status == 405
    assert answer.headers["Allow"] == "POST"


# ---- what happens just now


REFUSED = WebhookRejected(
    source="-", reason=Rejection.UNAUTHORIZED, detail="wrong", remote="192.0.2.7", took=timedelta()
)


async def test_who_follows_is_told_line_by_line_until_the_listener_ends(relay: Relay) -> None:
    client = await relay.client()
    async with client.get("/-/tail") as answer:
        assert answer.content_type == "application/x-ndjson"
        relay.live(REFUSED)
        assert json.loads(await answer.content.readline())["what"] == "refused"
        asked = perf_counter()
        await client.server.close()
        assert await answer.content.read() == b""
        assert perf_counter() - asked < 5, "nobody waits for those who follow"


async def test_who_has_left_follows_no_more_though_nothing_happens(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.app.HEARTBEAT", 0.02)
    client = await relay.client()
    async with client.get("/-/tail") as answer:
        assert relay.live.followers == 1
        assert await answer.content.readline() == b"\n"
    await until(lambda: not relay.live.followers)


async def test_one_who_follows_too_many_is_turned_away(relay: Relay) -> None:
    client = await relay.client()
    async with AsyncExitStack() as stack:
        for _ in range(MAX_FOLLOWERS):
            assert (await stack.enter_async_context(client.get("/-/tail"))).status == 200
        assert (await client.get("/-/tail")).status == 503


async def test_an_unknown_path_is_answered_with_those_there_are(relay: Relay) -> None:
    answer = await (await relay.client()).get("/")
    assert answer.status == 404
    told = ["GET /metrics", "GET /livez", "GET /readyz", "GET /readyz/store", "GET /-/tail", "POST /-/reload"]
    assert (await answer.text()).splitlines() == ["not found; there are", *told]
