"""What a store keeps for the guard of subscriptions: `relay.store.guard_contract`, held against every store."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from relay.errors import StoreBusy
from relay.model.heal import HORIZON
from relay.model.subscription import GuardRecord, SubscriptionState, SwitchedOff
from relay.store.contract import Archive
from tests.store.conftest import MINUTE, NOON, Kind, Reopen, act

SEEN = GuardRecord(
    source="crm",
    state=SubscriptionState.DISABLED,
    since=NOON,
    checked_at=NOON + MINUTE,
    detail="switched off",
    seen_on_at=NOON - MINUTE,
    disabled_at=NOON,
    spent_at=NOON - 2 * MINUTE,
    recreating=("status_lead", "add_lead"),
)


async def test_a_record_comes_back_and_is_in_the_status(store: Archive) -> None:
    assert await store.guard.records() == {}
    await store.guard.record(SEEN)
    assert await store.guard.records() == {"crm": SEEN}
    assert (await store.status()).guards == {"crm": SEEN}


async def test_a_record_replaces_the_one_before(store: Archive) -> None:
    await store.guard.record(SEEN)
    later = replace(SEEN, state=SubscriptionState.OK, disabled_at=None, recreating=(), seen_on_at=NOON + MINUTE)
    await store.guard.record(later)
    await store.guard.record(replace(SEEN, source="shop"))
    assert (await store.guard.records())["crm"] == later


async def test_what_operators_set_stays_when_the_guard_records(store: Archive) -> None:
    await store.guard.record(SEEN)
    await store.guard.switch("crm", off=True, act=act(1, command="disconnect"))
    await store.guard.resume("crm", act(2, at=NOON + MINUTE, command="guard resume"))
    await store.guard.record(SEEN)
    assert (await store.guard.records())["crm"] == replace(SEEN, off=True, resumed_at=NOON + MINUTE)
    await store.guard.switch("crm", off=False, act=act(3, command="connect"))
    assert not (await store.guard.records())["crm"].off
    assert {each.command for each in await store.audit(limit=9)} == {"disconnect", "connect", "guard resume"}


async def test_what_was_seen_is_forgotten_when_an_operator_connects(store: Archive) -> None:
    await store.guard.record(SEEN)
    await store.guard.switch("crm", off=False, act=act(command="connect"))
    forgotten = replace(SEEN, state=None, since=None, checked_at=None, detail="")
    assert (await store.guard.records())["crm"] == forgotten


async def test_an_operator_may_be_there_before_the_guard(store: Archive) -> None:
    await store.guard.switch("crm", off=True, act=act(command="disconnect"))
    assert await store.guard.records() == {"crm": GuardRecord(source="crm", off=True)}


async def test_an_act_repeated_after_an_unknown_commit_is_audited_once(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = kind.open_store(tmp_path, NOON)
    await store.probe()
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await store.guard.switch("crm", off=True, act=act(command="disconnect"))
    await store.guard.switch("crm", off=True, act=act(command="disconnect"))
    assert [(each.command, each.count) for each in await store.audit(limit=9)] == [("disconnect", 1)]
    await store.close()


async def test_failed_answers_are_counted_by_minute_and_a_count_never_shrinks(store: Archive) -> None:
    guard = store.guard
    await guard.record_failed_answers("crm", {NOON: 3, NOON + MINUTE: 4})
    await guard.record_failed_answers("crm", {NOON: 5})
    await guard.record_failed_answers("crm", {NOON: 2})
    await guard.record_failed_answers("shop", {NOON: 100})
    assert await guard.failed_answers("crm", since=NOON, until=NOON + MINUTE) == 9
    assert await guard.failed_answers("crm", since=NOON, until=NOON) == 5
    assert await guard.failed_answers("crm", since=NOON + MINUTE, until=NOON + 9 * MINUTE) == 4
    assert await guard.failed_answers("crm", since=NOON + 2 * MINUTE, until=NOON + 9 * MINUTE) == 0


async def test_failed_answers_of_several_relays_add_up(kind: Kind, tmp_path: Path) -> None:
    first = kind.open_store(tmp_path, NOON)
    await first.guard.record_failed_answers("crm", {NOON: 3})
    expected = 3
    if second := await kind.join(tmp_path, NOON):
        await second.guard.record_failed_answers("crm", {NOON: 4})
        await second.close()
        expected = 7
    assert await first.guard.failed_answers("crm", since=NOON, until=NOON) == expected
    await first.close()


async def test_old_failed_answers_are_dropped(store: Archive) -> None:
    await store.guard.record_failed_answers("crm", {NOON: 3})
    await store.guard.record_failed_answers("crm", {NOON + HORIZON + MINUTE: 1})
    assert await store.guard.failed_answers("crm", since=NOON, until=NOON + 2 * HORIZON) == 1


async def test_a_span_is_open_until_its_end_is_recorded(store: Archive) -> None:
    guard = store.guard
    await guard.record(SEEN, switched_off=SwitchedOff(NOON))
    assert await guard.switched_off("crm", since=NOON + timedelta(days=1)) == [SwitchedOff(NOON)]
    await guard.record(SEEN, switched_off=SwitchedOff(NOON, NOON + MINUTE))
    assert await guard.switched_off("crm", since=NOON) == [SwitchedOff(NOON, NOON + MINUTE)]
    assert await guard.switched_off("crm", since=NOON + MINUTE) == []
    await guard.record(SEEN, switched_off=SwitchedOff(NOON + MINUTE, NOON + 2 * MINUTE, ours=True))
    [_, last] = await guard.switched_off("crm", since=NOON - MINUTE)
    assert last == SwitchedOff(NOON + MINUTE, NOON + 2 * MINUTE, ours=True)
    assert await guard.switched_off("shop", since=NOON) == []


async def test_what_the_guard_knows_is_there_after_a_restart(opener: Reopen) -> None:
    store = opener(NOON)
    await store.probe()
    await store.guard.record(SEEN, switched_off=SwitchedOff(NOON))
    await store.guard.record_failed_answers("crm", {NOON: 3})
    await store.close()
    store = opener(NOON + MINUTE)
    assert await store.guard.records() == {"crm": SEEN}
    assert await store.guard.failed_answers("crm", since=NOON, until=NOON) == 3
    assert await store.guard.switched_off("crm", since=NOON) == [SwitchedOff(NOON)]
    await store.close()
