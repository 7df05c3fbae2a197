"""The private listener, asked over a real connection."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from time import perf_counter
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from aiohttp.test_utils import TestClient
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.parser import text_string_to_metric_families

from relay.admin import auth
from relay.admin.app import MAX_FOLLOWERS, admin
from relay.ingest.forwarded import TrustedProxies
from relay.model import Secret
from relay.observe import EventStream
from relay.signals import Notice, Refusal, Reloaded, Signal, WebhookRejected
from tests.e2e.processes import until

Client = TestClient[web.Request, web.Application]

FOR_ANYONE = ["/livez", "/readyz", "/readyz/store"]
PATHS = [*(("GET", path) for path in ("/metrics", *FOR_ANYONE, "/-/tail")), ("POST", "/-/reload")]
BEARER = {"Authorization": "Bearer a-long-admin-token"}


class Relay:
    """What stands behind the listener; its answers are set by the test."""

    def __init__(self, connect: Callable[[web.Application], Awaitable[Client]]) -> None:
        self._connect = connect
        self.registry = CollectorRegistry()
        self.backlog = Gauge("relay_backlog", "As the store knows it.", registry=self.registry)
        self.refreshes = 0
        self.reloads = 0
        self.reason: str | None = None
        self.problems: list[str] = []
        self.signals: list[Signal] = []
        self.live = EventStream(lambda: datetime(2026, 11, 22, 12, 0, tzinfo=UTC))

    async def refresh(self) -> None:
        self.refreshes += 1
        self.backlog.set(self.refreshes)

    async def ready(self) -> str | None:
        return self.reason

    async def reload(self) -> Reloaded:
        self.reloads += 1
        return Reloaded(file="routes.yaml", problems=self.problems)

    async def client(self, **more: Any) -> Client:
        asked = {"refresh": self.refresh, "ready": self.ready, "reload": self.reload, "live": self.live} | more
        return await self._connect(admin(registry=self.registry, emit=self.signals.append, **asked))


@pytest.fixture
def relay(aiohttp_client: Callable[[web.Application], Awaitable[Client]]) -> Relay:
    return Relay(aiohttp_client)


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
    assert [(s.level, s.fields) for s in relay.signals if isinstance(s, Notice)] == [
        ("warning", {"error": "no such disk"})
    ]


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
    source="-", refusal=Refusal.UNAUTHORIZED, detail="wrong", remote="192.0.2.7", took=timedelta()
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


# ---- who may ask


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic a-long-admin-token", "a-long-admin-token"])
async def test_with_a_token_only_life_and_readiness_are_told_to_strangers(
    method: str, path: str, given: str, relay: Relay
) -> None:
    client = await relay.client(token=Secret("a-long-admin-token"))
    answer = await client.request(method, path, headers={"Authorization": given})
    if path in FOR_ANYONE:
        assert answer.status == 200
    else:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert relay.refreshes == 0


@pytest.mark.parametrize("path", ["/readyz", "/readyz/store"])
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Host": "relay.internal.example"}])
async def test_a_probe_without_the_token_learns_whether_it_is_ready_and_nothing_else(
    given: dict[str, str], path: str, relay: Relay
) -> None:
    """Kubernetes cannot send one."""
    client = await relay.client(token=Secret("a-long-admin-token"), remark=lambda: "webhooks are missing")
    answer, told = await client.get(path, headers=given), await client.get(path, headers=BEARER)
    assert (answer.status, await answer.text()) == (200, "ready\n")
    assert (told.status, await told.text()) == (200, "ready; webhooks are missing\n")
    relay.reason = "disk full"
    answer, told = await client.get(path, headers=given), await client.get(path, headers=BEARER)
    assert (answer.status, await answer.text()) == (503, "not ready\n")
    assert (told.status, await told.text()) == (503, "disk full\n")


async def test_a_stranger_does_not_learn_which_paths_there_are(relay: Relay) -> None:
    answer = await (await relay.client(token=Secret("a-long-admin-token"))).get("/nowhere")
    assert answer.status == 401


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_the_token_opens_every_path_under_any_name(method: str, path: str, relay: Relay) -> None:
    client = await relay.client(token=Secret("a-long-admin-token"))
    answer = await client.request(method, path, headers=BEARER | {"Host": "relay.internal.example"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8081", "127.0.0.1", "127.0.0.1:8081", "[::1]", "[::1]:8081", "192.0.2.9:8081"]
)
async def test_loopback_and_the_address_listened_on_are_names_of_ours(host: str, relay: Relay) -> None:
    answer = await (await relay.client(hosts=["192.0.2.9"])).get("/readyz", headers={"Host": host})
    assert answer.status == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "::1", ""],
)
async def test_a_page_that_rebinds_its_name_gets_nothing(method: str, path: str, host: str, relay: Relay) -> None:
    client = await relay.client(hosts=["192.0.2.9"])
    answer = await client.request(method, path, headers={"Host": host})
    assert answer.status in {400, 421}
    assert relay.refreshes == 0


async def test_an_ipv6_address_listened_on_is_named_in_brackets(relay: Relay) -> None:
    client = await relay.client(hosts=["2001:db8::9"])
    assert (await client.get("/livez", headers={"Host": "[2001:db8::9]:8081"})).status == 200


# ---- tokens that are guessed


WRONG = {"Authorization": "Bearer a-long-admin-tokem"}


class Guarded:
    """A listener with a token, and the clock it looks at."""

    def __init__(self, relay: Relay) -> None:
        self.now = 1000.0
        self._relay = relay
        self._client: Client | None = None

    async def ask(self, headers: dict[str, str], path: str = "/metrics") -> int:
        return (await self.answer(headers, path)).status

    async def answer(self, headers: dict[str, str], path: str = "/metrics") -> ClientResponse:
        if self._client is None:
            self._client = await self._relay.client(token=Secret("a-long-admin-token"), clock=lambda: self.now)
        return await self._client.get(path, headers=headers)


@pytest.fixture
def guarded(relay: Relay) -> Guarded:
    return Guarded(relay)


async def test_after_five_wrong_tokens_all_but_the_right_one_have_to_wait_a_minute(
    guarded: Guarded, relay: Relay
) -> None:
    """Others at the address may be behind the same proxy: they must not shut out who knows the token."""
    assert [await guarded.ask(WRONG) for _ in range(5)] == [401] * 5
    answer = await guarded.answer(WRONG)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "61")
    assert [await guarded.ask(each) for each in ({}, BEARER, WRONG, BEARER)] == [429, 200, 429, 200]
    assert [await guarded.ask(WRONG, path) for path in FOR_ANYONE] == [200, 200, 200]
    assert [(s.level, s.fields) for s in relay.signals if isinstance(s, Notice)] == [
        ("warning", {"remote": "127.0.0.1"})
    ]
    guarded.now += 59
    assert [await guarded.ask(each) for each in (BEARER, WRONG)] == [200, 429]
    guarded.now += 1
    assert [await guarded.ask(each) for each in (BEARER, WRONG, BEARER)] == [200, 401, 200]


async def test_wrong_tokens_at_readyz_are_guesses_too(guarded: Guarded, relay: Relay) -> None:
    assert [await guarded.ask(WRONG, "/readyz") for _ in range(5)] == [200] * 5
    assert await guarded.ask(WRONG) == 429
    assert [s.fields for s in relay.signals if isinstance(s, Notice)] == [{"remote": "127.0.0.1"}]


async def test_behind_a_trusted_proxy_only_the_guesser_is_shut_out(relay: Relay) -> None:
    client = await relay.client(
        token=Secret("a-long-admin-token"), proxies=TrustedProxies((ip_network("127.0.0.1/32"),))
    )
    asked = [
        (await client.get("/metrics", headers=WRONG | {"X-Forwarded-For": remote})).status
        for remote in [*["192.0.2.1"] * 6, "192.0.2.2"]
    ]
    assert asked == [401] * 5 + [429, 401]
    assert [s.fields for s in relay.signals if isinstance(s, Notice)] == [{"remote": "192.0.2.1"}]


async def test_however_many_networks_guess_ten_lines_a_second_say_so(relay: Relay) -> None:
    now = 5.0
    client = await relay.client(
        token=Secret("a-long-admin-token"),
        proxies=TrustedProxies((ip_network("127.0.0.1/32"),)),
        clock=lambda: now,
    )

    async def guess(network: int) -> None:
        for _ in range(5):
            await client.get("/metrics", headers=WRONG | {"X-Forwarded-For": f"2001:db8:1:{network + 1}::1"})

    for network in range(12):
        await guess(network)
    now += 1
    await guess(12)
    said = [signal.fields for signal in relay.signals if isinstance(signal, Notice)]
    assert [each["remote"] for each in said] == [f"2001:db8:1:{network + 1}::1" for network in [*range(10), 12]]
    assert [each.get("held_back") for each in said] == [None] * 10 + [2]


async def test_four_wrong_tokens_a_minute_shut_nobody_out(guarded: Guarded) -> None:
    for _ in range(3):
        assert [await guarded.ask(each) for each in (WRONG, WRONG, WRONG, WRONG, BEARER)] == [401, 401, 401, 401, 200]
        guarded.now += 60


async def test_who_shows_no_token_does_not_guess(guarded: Guarded) -> None:
    shown: list[dict[str, str]] = [{}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}]
    assert [await guarded.ask(each) for each in shown * 3] == [401] * 12
    assert await guarded.ask(BEARER) == 200


def test_a_guesser_shuts_out_its_own_network_alone() -> None:
    guessers = auth._Guessers(lambda: 0.0)
    for remote in ("192.0.2.1", "2001:db8::1"):
        for _ in range(auth.GUESSES):
            guessers.note(remote)
    shut_out = ["192.0.2.1", "2001:db8::1", "2001:db8::2:1", "2001:db8:0:0:ffff::1"]
    heard = ["192.0.2.2", "::1", "2001:db8:0:1::1", "fe80::1%eth0", "::ffff:192.0.2.1", ""]
    assert [remote for remote in [*shut_out, *heard] if guessers.shut_out(remote)] == shut_out


def test_of_a_million_guessers_a_thousand_are_remembered() -> None:
    guessers = auth._Guessers(lambda: 0.0)
    for number in range(20 * auth.MAX_GUESSERS):
        guessers.note(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(guessers._guesses) == auth.MAX_GUESSERS


# ---- pages of other sites

CROSS = [
    ({}, 200),  # curl
    ({"Origin": "http://127.0.0.1:8081"}, 200),
    ({"Origin": "HTTP://127.0.0.1:8081"}, 200),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8081"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "http://127.0.0.1"}, 403),
    ({"Origin": "http://127.0.0.1:9000"}, 403),
    ({"Origin": "http://127.0.0.1:8081.evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9000"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8081"}, 403),
]


@pytest.mark.parametrize("token", [None, Secret("a-long-admin-token")])
@pytest.mark.parametrize(("headers", "status"), CROSS)
async def test_no_page_of_another_site_reloads_the_routes(
    headers: dict[str, str], status: int, token: Secret | None, relay: Relay
) -> None:
    client = await relay.client(token=token)
    answer = await client.post("/-/reload", headers=BEARER | {"Host": "127.0.0.1:8081"} | headers)
    assert (answer.status, relay.reloads) == (status, int(status == 200))


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_what_changes_nothing_is_told_whoever_shows_it(path: str, relay: Relay) -> None:
    answer = await (await relay.client()).get(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200
