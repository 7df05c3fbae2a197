"""The spool is emptied into the shared store: once by id, after its commit, and what is refused does not hold it up."""

import asyncio
import os
from dataclasses import replace
from pathlib import Path

import pytest

from relay.errors import StoreBusy, StoreUnsafe
from relay.signals import SharedStoreUnfit, SpoolingEnded, SpoolRefused, StoreGaveUp
from relay.store.records import Filter
from relay.store.sqlite import spool as spool_module
from relay.store.sqlite import spooled
from tests.store.conftest import MINUTE, TRACEPARENT, act, routed, to, webhook
from tests.store.spool.conftest import Relay, direct, held, request, until
from tests.store.spool.shared import FakeShared


async def test_what_was_committed_and_not_forgotten_is_known_the_next_time(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    relay.lose_shared()
    await relay.keep(request(1, key="lead-1"), request(2))
    reached = asyncio.Event()

    async def hang(*_page: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(relay.spool, "forget", hang)
    relay.shared.away = False
    await reached.wait()
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0002"]
    relay = await relay.again()
    assert relay.store.spool().webhooks == 2
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0002"]
    assert await relay.shared.inner.count(Filter()) == {"bot": 2}
    await relay.stop()


async def test_nothing_is_forgotten_before_its_commit(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relay that dies while the shared store commits."""
    relay.lose_shared()
    await relay.keep(request(1), request(2))
    reached = asyncio.Event()

    async def hang(_requests: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(relay.shared, "forward", hang)
    relay.shared.away = False
    await reached.wait()
    await relay.stop()
    assert await held(relay.folder) == ["webhook-0001", "webhook-0002"]


async def test_a_webhook_that_is_refused_is_kept_unparsed_and_the_others_go_on(relay: Relay) -> None:
    relay.shared.refused.add("webhook-0002")
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0003", "webhook-0002"]
    [unparsed] = await relay.shared.inner.unparsed(limit=9)
    assert unparsed.unparsed == "refused by the shared store: ValueError('refused')"
    assert not relay.of(SpoolRefused)


async def test_one_that_is_refused_for_good_is_set_apart_and_tried_once_more_at_the_next_start(relay: Relay) -> None:
    relay.shared.refused_bare.add("webhook-0002")
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0003"]
    assert (relay.store.spool().webhooks, relay.store.spool().refused) == (0, 1)
    assert relay.of(SpoolRefused) == [SpoolRefused(webhook="webhook-0002", error="ValueError('refused')")]
    relay.shared.refused_bare.clear()
    relay = await relay.again()
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0003", "webhook-0002"]
    assert (relay.store.spool().webhooks, relay.store.spool().refused) == (0, 0)
    await relay.stop()


async def test_a_corrupt_payload_is_not_forwarded_but_its_webhook_is(relay: Relay) -> None:
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    await relay.spool._writer.submit(
        lambda cursor: cursor.execute(
            "update events set payload = x'00' where id = 'event-0002';"
            "update webhooks set body = x'00' where id = 'webhook-0003'"
        )
    )
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0002"]
    [unparsed] = await relay.shared.inner.unparsed(limit=9)
    assert (unparsed.id, unparsed.unparsed) == ("webhook-0002", spooled.CORRUPT)
    assert relay.of(SpoolRefused) == [SpoolRefused(webhook="webhook-0003", error=spooled.CORRUPT)]


async def test_everything_of_a_webhook_is_forwarded(relay: Relay) -> None:
    one = replace(webhook(1), query="a=1", signature="s", request_id="r", content_type="t", traceparent=TRACEPARENT)
    event = routed(1, to("bot", key="lead-7"), to("dwh", lease=MINUTE))
    raw = replace(routed(2, to("bot")), payload=b"", event=replace(event.event, id="event-0002"))
    two = webhook(2, unparsed="not a form")
    relay.lose_shared()
    assert await relay.store.keep(one, [event], window=MINUTE, dated=2 * MINUTE) == []
    assert await relay.store.keep(two, [raw]) == []
    [(_seq, _id, spooled_one), (_seq2, _id2, spooled_two)] = (await relay.spool.oldest()).webhooks
    assert spooled_one.webhook == one
    assert spooled_one.windows == (MINUTE, 2 * MINUTE)
    [found] = spooled_one.routed
    assert (found.event.entity_id, found.event.id, found.payload) == ("7", "event-0001", event.payload)
    assert {(each.target, each.routes, each.key, each.lease) for each in found.planned} == {
        ("bot", ("all",), "lead-7", None),
        ("dwh", ("all",), None, None),
    }
    assert (spooled_two.webhook, spooled_two.routed[0].raw) == (two, True)
    relay.shared.away = False
    await direct(relay)
    shown = await relay.shared.inner.show("webhook-0001")
    assert (shown.webhook, [each.payload for each in shown.events]) == (one, [event.payload])
    assert (await relay.shared.inner.show("webhook-0002")).raw


async def test_the_retry_policy_begins_when_it_is_forwarded(relay: Relay) -> None:
    """Days without the shared store must not let deliveries die of age."""
    relay.lose_shared()
    before = relay.shared.clock()
    await relay.keep(request(1))
    relay.shared.away = False
    await direct(relay)
    [delivery] = await relay.shared.inner.claim("bot", limit=9, max_bytes=1_000, now=relay.shared.clock(), lease=MINUTE)
    assert delivery.pending_since >= before.replace(microsecond=before.microsecond // 1000 * 1000)


async def test_a_large_spool_is_read_page_by_page(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooled, "MOST_BYTES", 100)
    relay.lose_shared()
    for number in range(1, 10):
        asked = request(number)
        await relay.keep(asked._replace(webhook=replace(asked.webhook, body=b"%d" % number * 60)))
    page = await relay.spool.oldest()
    assert (len(page.webhooks), page.more) == (1, True)
    relay.shared.away = False
    await direct(relay)
    assert len(await relay.shared.stored()) == 9


async def test_a_page_that_takes_too_long_is_divided(relay: Relay) -> None:
    relay.lose_shared()
    await relay.keep(*(request(number) for number in range(1, 40)))
    relay.shared.most = 3
    relay.shared.away = False
    await direct(relay)
    assert await relay.shared.stored() == [f"webhook-{number:04}" for number in range(1, 40)]


async def test_an_emptied_spool_gives_its_room_back(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "VACUUM_FROM", 1_000_000)
    relay.lose_shared()
    body = b"x" * 100_000
    for number in range(1, 31):
        asked = request(number)
        await relay.keep(asked._replace(webhook=replace(asked.webhook, body=body + b"%d" % number)))
    assert relay.store.spool().size > 3_000_000
    relay.shared.away = False
    await direct(relay)
    await until(lambda: relay.store.spool().size < 1_000_000)
    relay.lose_shared()
    assert await relay.keep(request(31)) == [[]], "and it is used again"


async def test_a_shared_store_that_is_not_safe_is_reported_once_and_webhooks_are_spooled(relay: Relay) -> None:
    relay.shared.unfit = StoreUnsafe("fsync is off")
    relay.shared.drop()
    assert await relay.keep(request(1)) == [[]]
    await until(lambda: relay.of(SharedStoreUnfit))
    await asyncio.sleep(0.05)
    assert relay.of(SharedStoreUnfit) == [SharedStoreUnfit(error="fsync is off")]
    relay.shared.unfit = None
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001"]


async def test_that_the_shared_store_is_away_is_noticed_while_nothing_arrives(relay: Relay) -> None:
    relay.lose_shared()
    await until(lambda: not relay.store.spool().direct)
    assert relay.store.spool().why == "PostgreSQL is away"


async def test_a_full_disk_under_the_spool_keeps_no_webhook_out_of_the_shared_store(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_arguments: object) -> None:
        raise StoreBusy("the disk is full")

    machine = relay.spool.clock
    monkeypatch.setattr(relay.spool, "clock", lambda: machine() - MINUTE)  # there is something to remember
    for verb in ("shrink", "remember_clock"):
        monkeypatch.setattr(relay.spool, verb, full)
    relay.lose_shared()
    await until(lambda: not relay.store.spool().direct)
    relay.shared.away = False
    await direct(relay)
    before = len(relay.of(SpoolingEnded))
    await asyncio.sleep(0.2)
    assert len(relay.of(SpoolingEnded)) == before
    [[claimed]] = await relay.keep(request(1))
    assert claimed.event_id == "event-0001"


async def test_the_shared_store_is_told_what_the_spool_holds(relay: Relay) -> None:
    relay.lose_shared()
    await relay.keep(request(1), request(2))
    await until(lambda: relay.shared.published == (2, request(1).webhook.received_at))
    relay.shared.away = False
    await until(lambda: relay.shared.published == (0, None))


async def test_while_the_shared_store_is_away_nothing_is_due_and_the_spool_is_probed(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    await relay.keep(request(1))
    await relay.store.probe()
    await relay.shared.pause("crm", act())
    assert (await relay.store.due(["bot"])).paused == {"crm"}
    relay.lose_shared()
    due = await relay.store.due(["bot"])
    assert (due.at, due.paused) == ({}, {"crm"})
    await relay.store.probe()
    monkeypatch.setattr(relay.spool, "probe", lambda: relay.shared.forward([None]))
    with pytest.raises(StoreBusy):
        await relay.store.probe()


async def test_until_the_shared_store_has_replied_nobody_knows_what_is_paused(tmp_path: Path) -> None:
    shared = FakeShared(tmp_path)
    shared.away = True
    relay = Relay(tmp_path, shared)
    relay.begin()
    with pytest.raises(StoreBusy):
        await relay.store.due([])
    shared.away = False
    assert (await relay.store.due([])).paused == set()
    await relay.stop()
    await shared.close()


async def test_what_is_forwarded_is_told_from_what_waits_for_the_shared_store(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, seen = relay.shared.forward, []

    async def noting(requests):
        seen.append(relay.store.spool().forwarding)
        return await forward(requests)

    monkeypatch.setattr(relay.shared, "forward", noting)
    monkeypatch.setattr(spooled, "MOST_WEBHOOKS", 1)
    relay.lose_shared()
    await relay.keep(request(1), request(2), request(3))
    relay.shared.away = False
    await direct(relay)
    assert seen[:3] == [False, True, True]
    assert not relay.store.spool().forwarding
    relay.store._intake.doubt("the shared store did not commit")
    assert (relay.store.spool().direct, relay.store.spool().forwarding) == (False, False)


async def test_what_is_under_way_when_the_store_closes_is_in_the_spool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = FakeShared(tmp_path)
    relay = Relay(tmp_path, shared, hedge=60)
    relay.begin()
    await direct(relay)
    shared.freeze()
    kept = relay.keep(request(1))
    for task in relay.tasks:
        task.cancel()
    close, closable = shared.close, asyncio.Event()

    async def close_late() -> None:
        await closable.wait()
        await close()

    monkeypatch.setattr(shared, "close", close_late)
    closing = asyncio.create_task(relay.store.close())
    assert await asyncio.wait_for(kept, 10) == [[]], "before the shared store is closed"
    closable.set()
    await closing
    assert await held(tmp_path) == ["webhook-0001"]


async def test_a_spool_that_cannot_be_read_any_more_stops_the_relay(relay: Relay) -> None:
    """Else it would answer 200 for webhooks that nobody can forward."""
    relay.lose_shared()
    await relay.keep(*(request(number) for number in range(1, 30)))
    os.truncate(relay.folder / "spool.db-wal", 0)
    relay.shared.away = False
    await until(lambda: relay.of(StoreGaveUp))


async def test_a_hold_is_forwarded_with_its_delivery(relay: Relay) -> None:
    relay.lose_shared()
    waits = replace(to(), hold=MINUTE)
    await relay.keep(request(1)._replace(routed=[routed(1, waits, to("other"))]))
    relay.shared.away = False
    await direct(relay)
    due_at = (await relay.shared.inner.due(["bot", "other"])).at
    assert due_at["bot"] - due_at["other"] == MINUTE
    [event] = await relay.shared.inner.enrichments.held(["crm"], limit=9)
    assert event.targets == ("bot",)
    await relay.stop()
