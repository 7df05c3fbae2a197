"""What was fetched beside events, and deliveries that wait for it: `relay.store.enrich_contract`, on every store."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path

import apsw
import pytest

from relay.errors import StoreBusy
from relay.model import Delivered, Delivery, Json, Outcome, PlannedDelivery, Reason, Retention
from relay.model.enrich import HOLD, Enrichment
from relay.store.contract import Archive
from relay.store.enrich_contract import CORRUPT
from relay.store.records import Filter
from relay.store.sqlite import enrichments
from tests.store import kind_sqlite
from tests.store.conftest import MINUTE, NOON, Kind, Reopen, act, claim, deliver, routed, to, webhook

SECOND = timedelta(seconds=1)
LEAD: Mapping[str, Json] = {"lead": {"id": 7, "name": "Окна"}, "contacts": [{"id": 1}]}


def held(target: str = "bot", *, key: str | None = None) -> PlannedDelivery:
    return PlannedDelivery(target=target, routes=("r",), key=key, hold=HOLD)


async def row_of(store: Archive) -> int:
    [event] = await store.enrichments.held(["crm"], limit=9)
    return event.row


async def fetched(store: Archive, row: int, *, now: datetime = NOON + SECOND) -> Mapping[int, Enrichment]:
    return await store.enrichments.record([Enrichment(row=row, at=now, value=LEAD)], now=now)


async def test_a_held_delivery_is_not_due_before_it_is_recorded(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held(), to("other"))])
    assert await claim(store, now=NOON + HOLD - SECOND) == []
    assert len(await claim(store, "other")) == 1
    assert (await store.due(["bot"])).at == {"bot": NOON + HOLD}
    await fetched(store, await row_of(store))
    assert (await store.due(["bot"])).at == {"bot": NOON + SECOND}
    assert len(await claim(store, now=NOON + SECOND)) == 1
    assert await store.enrichments.held(["crm"], limit=9) == []


async def test_a_held_delivery_is_due_when_the_hold_has_passed(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    assert len(await claim(store, now=NOON + HOLD)) == 1


async def test_a_held_delivery_is_not_claimed_at_insert_whatever_its_lease(store: Archive) -> None:
    assert await store.keep(webhook(), [routed(1, held(), to("other", lease=MINUTE))]) != []
    assert await claim(store) == []


async def test_held_events_come_with_payload_targets_and_end_the_first_to_be_due_first(store: Archive) -> None:
    await store.keep(webhook(2), [routed(2, held())], now=NOON + SECOND)
    await store.keep(webhook(1), [routed(1, held("a"), held("b"), to("c"))], now=NOON)
    first, second = await store.enrichments.held(["crm"], limit=9)
    assert (first.payload, first.targets, first.until) == (routed(1).payload, ("a", "b"), NOON + HOLD)
    assert (second.source, second.targets, second.until) == ("crm", ("bot",), NOON + SECOND + HOLD)
    assert await store.enrichments.held(["crm"], limit=1) == [first]
    assert await store.enrichments.held(["shop"], limit=9) == []


async def test_what_is_stored_is_found_by_the_ids_of_events(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held()), routed(2, held()), routed(3, held())])
    first, second, _ = [each.row for each in await store.enrichments.held(["crm"], limit=9)]
    await fetched(store, first)
    await store.enrichments.record([Enrichment(row=second, at=NOON, reason="403")], now=NOON)
    assert await store.enrichments.beside(["event-0001", "event-0002", "event-0003", "event-0009"]) == {
        "event-0001": Enrichment(row=first, at=NOON + SECOND, value=LEAD),
        "event-0002": Enrichment(row=second, at=NOON, reason="403"),
    }
    assert await store.enrichments.beside([]) == {}


async def test_the_first_enrichment_of_an_event_stays(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    expected = {row: Enrichment(row=row, at=NOON + SECOND, value=LEAD)}
    assert await fetched(store, row) == expected
    late = Enrichment(row=row, at=NOON + HOLD, reason="not fetched within 10 s")
    assert await store.enrichments.record([late], now=NOON + HOLD) == expected
    assert await store.enrichments.stored([row, row + 1]) == expected


async def test_a_reason_is_stored_as_well(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    late = Enrichment(row=await row_of(store), at=NOON + HOLD, reason="not fetched\0 within 10 s")
    [stored] = (await store.enrichments.record([late], now=NOON + HOLD)).values()
    assert (stored.value, stored.reason.replace("\ufffd", "\0")) == (None, late.reason)


async def test_an_event_that_is_not_there_gets_none(store: Archive) -> None:
    assert await fetched(store, 77) == {}


async def test_what_is_behind_a_held_one_of_its_key_waits_and_is_held_in_turn(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, held(key="7"))])
    await store.keep(webhook(2), [routed(2, held(key="7"))])
    first, second = await store.enrichments.held(["crm"], limit=9)
    await fetched(store, first.row)
    [delivery] = await claim(store, now=NOON + SECOND)
    await deliver(store, delivery, now=NOON + 2 * SECOND)
    assert await claim(store, now=NOON + 3 * SECOND) == []
    await fetched(store, second.row, now=NOON + 4 * SECOND)
    assert len(await claim(store, now=NOON + 4 * SECOND)) == 1


async def test_one_that_was_fetched_while_it_waited_is_due_after_its_predecessor(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1, held(key="7"))])
    await store.keep(webhook(2), [routed(2, held(key="7"))])
    for event in await store.enrichments.held(["crm"], limit=9):
        await fetched(store, event.row)
    [delivery] = await claim(store, now=NOON + SECOND)
    await deliver(store, delivery, now=NOON + 2 * SECOND)
    assert len(await claim(store, now=NOON + 2 * SECOND)) == 1


async def test_recording_leaves_a_claimed_delivery_to_its_holder(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    [delivery] = await claim(store, now=NOON + HOLD)
    await fetched(store, row, now=NOON + HOLD)
    assert await claim(store, now=NOON + HOLD) == []
    assert await deliver(store, delivery, now=NOON + HOLD)


async def test_reroute_and_reparse_hold_as_keep_does(store: Archive) -> None:
    await store.keep(webhook(1), [routed(1)])
    await store.keep(webhook(2, unparsed="why"), [])
    await store.reroute([routed(1, held())], act(1, at=NOON + MINUTE, command="reroute"))
    await store.reparse(webhook(2), [routed(2, held())], act(2, at=NOON + MINUTE, command="reparse"))
    assert await claim(store, now=NOON + MINUTE) == []
    assert {each.until for each in await store.enrichments.held(["crm"], limit=9)} == {NOON + MINUTE + HOLD}
    assert len(await claim(store, now=NOON + MINUTE + HOLD)) == 2


async def test_a_replay_is_not_held_and_its_event_keeps_what_was_fetched(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    await fetched(store, row)
    [delivery] = await claim(store, now=NOON + SECOND)
    await deliver(store, delivery, now=NOON + SECOND)
    again = await _replayed(store, delivery)
    assert again.row == row
    assert (await store.enrichments.stored([row]))[row].value == LEAD


async def _replayed(store: Archive, delivery: Delivery) -> Delivery:
    await store.replay(Filter(event_ids=(delivery.event_id,)), act(at=NOON + MINUTE))
    [again] = await claim(store, now=NOON + MINUTE)
    return again


async def test_it_goes_with_its_event(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    await fetched(store, row)
    [delivery] = await claim(store, now=NOON + SECOND)
    done = Outcome(reason=Reason.OK, started_at=NOON, took=timedelta(), status=200)
    await store.settle(delivery, done, Delivered(), now=NOON + SECOND)
    assert await store.purge(Retention(delivered=MINUTE), now=NOON + 5 * MINUTE) == {"delivered": 1}
    assert await store.enrichments.stored([row]) == {}


async def test_it_is_there_after_a_restart(opener: Reopen) -> None:
    store = opener(NOON)
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    await fetched(store, row)
    await store.close()
    again = opener(NOON + MINUTE)
    assert (await again.enrichments.stored([row]))[row] == Enrichment(row=row, at=NOON + SECOND, value=LEAD)
    await again.close()


async def test_recording_may_be_repeated_after_an_unknown_commit(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kind.open_store(tmp_path, NOON)
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await fetched(store, row)
    other = Enrichment(row=row, at=NOON, reason="asked again")
    [stored] = (await store.enrichments.record([other], now=NOON + 2 * SECOND)).values()
    assert stored.value == LEAD
    assert len(await claim(store, now=NOON + 2 * SECOND)) == 1
    assert replace(stored, value=None).reason == ""
    await store.close()


async def test_a_kill_at_any_statement_of_a_record_leaves_all_of_it_or_nothing(tmp_path: Path) -> None:
    store = kind_sqlite.open_store(tmp_path, NOON)
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    seen = []
    for step in count(1):
        ended = killed_at(step, tmp_path / "relay.db", row)
        stored, waiting = await store.enrichments.stored([row]), await store.enrichments.held(["crm"], limit=9)
        assert bool(stored) != bool(waiting)
        seen.append(bool(stored))
        if not ended:
            break
    assert seen[0] is False and seen[-1] is True and len(seen) > 4, seen
    assert (await fetched(store, row))[row].value == LEAD
    await store.close()


def killed_at(step: int, database: Path, row: int) -> bool:
    """Whether a process that records an enrichment got as far as this statement."""
    child = os.fork()
    if not child:
        statements = count(1)
        connection = apsw.Connection(str(database))
        connection.set_exec_trace(lambda *_: next(statements) < step or os._exit(9))  # type: ignore[arg-type]
        connection.execute("begin immediate")
        enrichments.record(connection.cursor(), [Enrichment(row=row, at=NOON, value=LEAD)], NOON)
        connection.execute("commit")
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


async def test_a_corrupt_value_is_returned_as_a_reason(tmp_path: Path) -> None:
    store = kind_sqlite.open_store(tmp_path, NOON)
    await store.keep(webhook(), [routed(1, held())])
    row = await row_of(store)
    await fetched(store, row)
    with apsw.Connection(str(tmp_path / "relay.db")) as connection:
        connection.execute("update enrichments set value = replace(value, 'Окна', 'Дом!')")
    assert (await store.enrichments.stored([row]))[row].reason == CORRUPT
    await store.close()
