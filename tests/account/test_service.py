"""A relay in this process beside the double of amoCRM on a port: what the daemon does for accounts."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, closing
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from relay.account import duties
from relay.account.service import Accounts
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running
from relay.model.subscription import GuardRecord, SubscriptionState
from relay.observe import Observer
from relay.observe.log import Log
from relay.routes.names_files import cache_file
from relay.signals import Notice, Signal, StoreGaveUp
from relay.signals.account import NamesNotRefreshed, SourceScanned, SubscriptionReenabled
from relay.store.open import SqliteUrl, StoreUrl, parse_store_url
from tests.e2e.processes import free_port
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server
from tests.fakeamo.subscriptions import Subscription
from tests.store.conftest import act

TOKEN = "f3c1a09d5e7b4c628d10"
BARE = """\
version: 1
sources: {{crm: {{token: {token}}}}}
targets: {{bot: {{url: "http://127.0.0.1:9/"}}}}
routes: [{{name: moved, match: {{entity: leads, action: [add, status]}}, to: bot}}]
"""
WATCHED = """\
version: 1
accounts: {{main: {{host: "{host}", token: {api_token}}}}}
sources: {{crm: {{token: {token}, account: main, guard: {{reenable: true, url: "http://127.0.0.1:{port}"}}}}}}
targets: {{bot: {{url: "http://127.0.0.1:9/"}}}}
routes: [{{name: moved, match: {{entity: leads, action: [add, status]}}, to: bot}}]
"""
HEALING = WATCHED.replace("guard:", "heal: report, guard:")
SETTINGS = ["add_lead", "status_lead", "update_lead"]


class Place:
    """A folder, a port, and an account whose webhook posts there."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.server = server
        self.amo = server.amo
        self.port = free_port()
        self.destination = f"http://127.0.0.1:{self.port}/hooks/crm/{TOKEN}"
        self.amo.subscribe(self.destination, [*SETTINGS])
        self.registry = CollectorRegistry()
        self.emitted: list[Signal] = []
        self.write(WATCHED)

    def write(self, routes: str) -> None:
        text = routes.format(token=TOKEN, api_token=self.amo.token, host=self.server.host, port=self.port)
        (self.folder / "routes.yaml").write_text(text)

    def relay(self, store: StoreUrl | None = None, *, name: str = "relay") -> AbstractAsyncContextManager[Relay]:
        """`name`: of one that shares a store; the others post to another port than the account does."""
        settings = Settings(
            config=self.folder / "routes.yaml",
            store=store or SqliteUrl(self.folder / "relay.db"),
            spool=self.folder / name / "spool.db",
            listen=("127.0.0.1", self.port if name == "relay" else 0),
            durable=False,
            admin=("127.0.0.1", 0),
            max_body=1024,
        )
        self.registry = CollectorRegistry()
        observe = Observer(self.registry, Log(lambda _line: None, "text", 50))

        def emit(signal: Signal) -> None:
            self.emitted.append(signal)
            observe(signal)

        return running(settings, emit=emit, registry=self.registry)

    @property
    def subscription(self) -> Subscription:
        found = self.amo.webhooks.known(self.destination)
        assert found
        return found

    @property
    def disabled(self) -> bool:
        return self.subscription.disabled

    def metrics(self) -> str:
        return generate_latest(self.registry).decode()


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    async with Server(FakeAmo(7, clock=RunningClock())).serving() as server:
        yield Place(tmp_path, server)


def accounts(relay: Relay) -> Accounts:
    found = relay._accounts
    assert found
    return found


async def until(met: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(50):
        while not await met():  # noqa: ASYNC110  the store tells nobody
            await asyncio.sleep(0.02)


async def seen(relay: Relay, state: SubscriptionState) -> GuardRecord:
    async def there() -> bool:
        record = (await relay.store.guard.records()).get("crm")
        return record is not None and record.state is state

    await until(there)
    return (await relay.store.guard.records())["crm"]


async def test_soon_after_its_start_a_relay_knows_its_webhook(place: Place) -> None:
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.OK)
        await relay.scrape.refresh()
        assert 'relay_subscription_state{source="crm",state="ok"} 1.0' in place.metrics()
        assert 'relay_subscription_state{source="crm",state="disabled"} 0.0' in place.metrics()


async def test_without_accounts_nothing_is_asked_and_no_such_series_is_there(place: Place) -> None:
    place.write(BARE)
    async with place.relay() as relay:
        await asyncio.sleep(0.2)
        await relay.scrape.refresh()
        assert "relay_subscription_state" not in place.metrics()
        assert await relay.store.healing.outages(relay.store.clock()) == []
        assert await relay.store.healing.heal_marks("crm") == {}
    assert place.amo.requests == []


async def test_accounts_may_come_and_go_with_the_routes(place: Place) -> None:
    place.write(BARE)
    async with place.relay() as relay:
        place.write(WATCHED)
        await relay.reloader.reload()
        await seen(relay, SubscriptionState.OK)
        place.write(BARE)
        await relay.reloader.reload()
        await relay.scrape.refresh()
        assert "relay_subscription_state{" not in place.metrics()


async def test_run_marks_are_made_whatever_the_routes_want_of_an_account(place: Place) -> None:
    place.write(BARE)
    async with place.relay() as relay:
        means = accounts(relay)._means
        assert "run marks" in [each.name for each in duties.duties_of(relay.reloader.config, {}, means)]


async def test_a_webhook_that_our_failures_switched_off_is_on_again_after_the_next_start(place: Place) -> None:
    async with place.relay() as relay, aiohttp.ClientSession() as session:
        await seen(relay, SubscriptionState.OK)
        for _ in range(101):
            async with session.post(place.destination, data=b"x" * 2000) as answer:
                assert answer.status == 413
            place.subscription.note_answer(413, place.amo.clock(), 100)

        async def stored() -> bool:
            now = relay.store.clock()
            return await relay.store.guard.failed_answers("crm", since=now - timedelta(days=1), until=now) == 101

        await until(stored)
    assert place.disabled

    async def on() -> bool:
        return not place.disabled

    async with place.relay() as relay:
        await until(on)
        await seen(relay, SubscriptionState.OK)
    assert any(isinstance(each, SubscriptionReenabled) for each in place.emitted)


async def test_a_webhook_that_was_connected_is_looked_at_at_once(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "GUARD_TICK", 0.05)
    place.amo.subscriptions.clear()
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.MISSING)
        place.amo.subscribe(place.destination, [*SETTINGS])
        await relay.store.guard.switch("crm", off=False, act=act(command="connect"))
        await seen(relay, SubscriptionState.OK)


async def test_a_relay_that_stops_for_what_it_cannot_read_of_the_store_says_so(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "GUARD_TICK", 0.05)
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.OK)
        with closing(sqlite3.connect(place.folder / "relay.db")) as connection:
            connection.execute("drop table guards")
        async with asyncio.timeout(30):
            await relay.ended.wait()
    assert relay.exit_code == 1
    assert ["guards" in each.error for each in place.emitted if isinstance(each, StoreGaveUp)] == [True]


async def test_what_a_person_switched_off_stays_off_over_a_restart(place: Place) -> None:
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.OK)
    place.amo.switch_off(place.destination)
    async with place.relay() as relay:
        record = await seen(relay, SubscriptionState.DISABLED)
    assert "relay guard resume crm" in record.detail
    assert place.disabled


async def test_no_token_is_in_what_is_told_or_stored(place: Place) -> None:
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.OK)
        place.amo.switch_off(place.destination)
        await relay.scrape.refresh()
        said = f"{place.emitted} {place.metrics()} {(await relay.store.status()).guards}"
    database = b"".join(each.read_bytes() for each in place.folder.glob("relay.db*"))
    for secret in (TOKEN, place.amo.token):
        assert secret not in said
        assert secret.encode() not in database


async def test_names_are_cached_and_the_accounts_clock_is_known(place: Place) -> None:
    async with place.relay() as relay:

        async def there() -> bool:
            return cache_file(place.folder, "main").exists()

        await until(there)
        offset = accounts(relay).offset_of("main")
        assert offset is not None
        assert abs(offset.offset) <= offset.uncertainty + timedelta(seconds=1)
        assert accounts(relay).offset_of("another") is None


async def test_a_source_that_heals_has_rounds_and_its_webhooks_are_indexed_with_the_accounts_time(place: Place) -> None:
    place.write(HEALING)
    async with place.relay() as relay:

        async def scanned() -> bool:
            return any(isinstance(each, SourceScanned) for each in place.emitted)

        await until(scanned)
        place.amo.add_lead()
        far = timedelta(days=1)

        async def indexed() -> bool:
            now = relay.store.clock()
            hooks = await relay.store.healing.hooks("crm", since=now - far, until=now + far)
            return bool(hooks) and all(each.hook.arrived for each in hooks)

        await until(indexed)


async def test_a_source_whose_account_is_removed_over_a_restart_has_not_healed_since(place: Place) -> None:
    """What comes meanwhile is in no index: to heal it once the account is back would send all of it twice."""
    place.write(HEALING)
    async with place.relay() as relay:
        await relay.store.healing.record_heal("crm", [], marks={"core": relay.store.clock()})
        assert "off" not in await relay.store.healing.heal_marks("crm")
    place.write(BARE)
    async with place.relay() as relay:

        async def marked() -> bool:
            return "off" in await relay.store.healing.heal_marks("crm")

        await until(marked)


async def test_without_heal_there_are_no_rounds_and_nothing_is_indexed(place: Place) -> None:
    async with place.relay() as relay:
        await seen(relay, SubscriptionState.OK)
        place.amo.add_lead()

        async def came() -> bool:
            return (await relay.store.status()).last_at is not None

        await until(came)
        assert await relay.store.healing.first_hook("crm") is None
        [marked] = await relay.store.healing.heal_marks("crm")
        assert marked == "off", "what comes now was not lost, once the source heals"
    assert not any(isinstance(each, SourceScanned) for each in place.emitted)
    assert not any("/events" in path for _, _, path, _ in place.amo.requests)


async def test_a_tokens_end_and_the_accounts_clock_are_known_soon_after_a_start(place: Place) -> None:
    place.write(WATCHED.replace('guard: {{reenable: true, url: "http://127.0.0.1:{port}"}}', "heal: off"))
    async with place.relay() as relay:

        async def known() -> bool:
            shown = place.metrics()
            return accounts(relay).offset_of("main") is not None and "token_expires_timestamp_seconds{" in shown

        await until(known)
        ends_at = float(place.amo.clock() + 365 * 86_400)
        shown = [each for each in place.metrics().splitlines() if each.startswith("relay_account_token_expires")]
        [line] = shown
        assert abs(float(line.rpartition(" ")[2]) - ends_at) < 3600
        assert 'relay_account_requests_total{account="main",outcome="ok"}' in place.metrics()


async def test_names_that_cannot_be_asked_for_are_told_once_and_stop_nothing_else(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duties, "NAMES_AGAIN", 0.1)
    place.amo.faults.plan("no rights", "/api/v4/leads/pipelines", times=99)
    async with place.relay() as relay:

        async def asked_often() -> bool:
            return len([path for _, _, path, _ in place.amo.requests if path.startswith("/api/v4/leads/pipelines")]) > 3

        await until(asked_often)
        assert len([each for each in place.emitted if isinstance(each, NamesNotRefreshed)]) == 1
        await seen(relay, SubscriptionState.OK)
    assert not any(isinstance(each, Notice) for each in place.emitted)


async def test_of_two_relays_that_share_a_store_one_looks_and_both_know(place: Place, postgres_dsn: str) -> None:
    store = parse_store_url(postgres_dsn)
    for name in ("relay", "other"):
        (place.folder / name).mkdir()
    async with place.relay(store) as first, place.relay(store, name="other") as second:
        await seen(first, SubscriptionState.OK)
        await seen(second, SubscriptionState.OK)

        async def one_leads() -> bool:
            return [first.store.leads(), second.store.leads()].count(True) == 1

        async def clocks_known() -> bool:
            return all(accounts(each).offset_of("main") for each in (first, second))

        await until(one_leads)
        await until(clocks_known)
        await second.scrape.refresh()
        assert 'relay_subscription_state{source="crm",state="ok"} 1.0' in place.metrics()
