"""How many events no route took: `status` counts what the listing has, without a look at it, on every store."""

from dataclasses import replace
from datetime import timedelta

import pytest

from relay.model import Retention
from relay.store import records
from relay.store.contract import Archive
from relay.store.records import Filter
from relay.store.requests import KeepRequest
from tests.store.conftest import NOON, act, routed, to, webhook
from tests.store.healing import healed, healing_webhook, hook
from tests.store.test_erasure import ZAPHOD, arrived, run

DAY = timedelta(days=1)


async def counted(store: Archive) -> int:
    """The number in the status; the listing has as many."""
    number = (await store.status()).unrouted
    assert number == len(await store.events(Filter(), limit=99, unrouted=True))
    return number


async def test_events_that_no_route_took_are_counted(store: Archive) -> None:
    assert await counted(store) == 0
    await store.keep(webhook(1), [routed(1, to()), routed(2), routed(3)])
    await store.keep(webhook(2, unparsed="no form"), [])
    await store.keep(webhook(3, unparsed="no form"), [replace(routed(4, to()), payload=b"")])
    assert await counted(store) == 2


async def test_those_of_webhooks_that_are_kept_together_are_counted(store: Archive) -> None:
    given = [KeepRequest(webhook(n), [routed(n, *([to()] if n % 2 else [])), routed(n + 100)]) for n in range(1, 6)]
    done: list[object] = []
    store.keep_many(given, done.append)
    await store.keep(webhook(9), [])
    assert await counted(store) == 7


async def test_an_event_that_is_rerouted_is_not_counted_any_more(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1), routed(2)])
    await store.reroute([routed(1, to())], act())
    assert await counted(store) == 1
    await store.reroute([routed(1, to(), to("dwh")), routed(2, to("dwh"))], act(2), missing=True)
    assert await counted(store) == 0


async def test_an_event_of_an_unparsed_webhook_is_counted_once_that_is_read(store: Archive) -> None:
    await store.keep(webhook(1, unparsed="no form"), [replace(routed(1, to()), payload=b"")])
    assert await counted(store) == 0
    await store.reparse(webhook(1), [routed(2), routed(3, to())], act())
    assert await counted(store) == 1


async def test_what_was_healed_before_it_came_is_not_counted(store: Archive) -> None:
    await store.healing.record_heal("crm", [healed()], healed=[healing_webhook()])
    await store.keep(webhook(2), [routed(2), routed(3)], hooks=[hook(), hook("lead 8", item=1)])
    assert await counted(store) == 1


async def test_what_is_erased_or_purged_is_not_counted(store: Archive) -> None:
    await store.keep(*arrived(1, contacts={"add": [ZAPHOD]}))
    await store.keep(webhook(2), [routed(2)])
    assert await counted(store) == 2
    await run(store)
    assert await counted(store) == 1
    await store.purge(Retention(unrouted=DAY), now=NOON + 2 * DAY)
    assert await counted(store) == 0


async def test_they_are_counted_up_to_a_bound(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "COUNTED", 2)
    await store.keep(webhook(1), [routed(number) for number in range(1, 6)])
    assert (await store.status()).unrouted == 3, "more than two"
