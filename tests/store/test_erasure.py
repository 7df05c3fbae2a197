"""Erasing the data of a person: `relay.store.erasure_contract`, on every store, by the operation that uses it."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import orjson
import pytest

from relay.amocrm import events, form
from relay.model import Dead, Delivered, Outcome, PlannedDelivery, Reason, RetryAt, RoutedEvent, State, Webhook
from relay.model.enrich import HOLD, Enrichment
from relay.model.erasure import Ref, Tombstone
from relay.model.heal import HealState
from relay.operations import erasure
from relay.operations.erasure import Erasure, forget
from relay.store.contract import Archive
from relay.store.erasure_plan import Scope
from relay.store.records import Filter
from relay.store.requests import KeepRequest
from tests.store.conftest import MINUTE, NOON, OK, act, claim, to
from tests.store.healing import record

SECOND = timedelta(seconds=1)
NAME, PHONE = "Zaphod Beeblebrox", "+7 (999) 123-45-67"
PERSON = Ref("contacts", "777")
ZAPHOD = {
    "id": "777",
    "name": NAME,
    "custom_fields": [{"id": "1", "code": "PHONE", "values": [{"value": PHONE}]}],
}
FORD = {"id": "778", "name": "Ford Prefect"}


def arrived(number: int, *planned: PlannedDelivery, at: Any = NOON, unparsed: str | None = None, **tree: Any) -> Any:
    """A webhook of this body, and its events with these deliveries each."""
    webhook = Webhook(
        id=f"webhook-{number:04}",
        source="crm",
        received_at=at,
        body=form.encode({**tree, "account": {"id": "9"}}),
        query=f"who={NAME}" if [*tree.values()] == [{"add": [ZAPHOD]}] else "try=1",
        unparsed=unparsed,
    )
    ids = iter(range(9))
    found = events.read(
        form.decode(webhook.body), source="crm", received_at=at, new_id=lambda: f"event-{number:04}-{next(ids)}"
    )
    return webhook, [RoutedEvent(event=each, payload=events.dump(each), planned=planned) for each in found]


async def run(store: Archive, *refs: Ref, number: int = 90, **how: Any) -> Erasure:
    dry_run = how.pop("dry_run", False)
    scope = Scope(refs=frozenset(refs or [PERSON]), **how)
    return await forget(store, scope, act(number, at=NOON + MINUTE, command="forget"), dry_run=dry_run)


async def data_of(store: Archive, id_: str) -> list[Any]:
    shown = await store.show(id_)
    assert shown
    assert not any(each.corrupt for each in shown.events)
    assert not shown.webhook.corrupt
    return [orjson.loads(each.payload)["data"] for each in shown.events]


async def everything(store: Archive) -> str:
    """All that the store shows of its webhooks, and its audit."""
    shown = [await store.show(each.id) for each in await store.erasure.history(0, most=99)]
    stored = await store.erasure.history(0, most=99)
    status = await store.status()
    return f"{shown} {stored} {await store.audit(limit=99)} {status.targets} {status.reports}"


async def test_an_event_about_the_person_keeps_its_ids_alone(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), contacts={"add": [FORD]}))
    done = await run(store)
    assert (dict(done.events), done.webhooks, done.dead, done.shared) == ({"contacts.add": 1}, 1, 1, ())
    assert await data_of(store, "webhook-0001") == [{"id": 777}]
    assert await data_of(store, "webhook-0002") == [{"id": 778, "name": "Ford Prefect"}]
    shown = await everything(store)
    assert "Zaphod" not in shown
    assert "123-45-67" not in shown


async def test_a_dry_run_says_the_same_and_changes_nothing(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    before = await everything(store)
    done = await run(store, dry_run=True)
    assert dict(done.events) == {"contacts.add": 1}
    assert await everything(store) == before
    assert await store.erasure.tombstones() == []


async def test_of_several_in_one_body_only_that_one_goes_and_the_answer_says_so(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [FORD, ZAPHOD]}))
    done = await run(store)
    assert done.shared == ("webhook-0001",)
    assert await data_of(store, "webhook-0001") == [{"id": 778, "name": "Ford Prefect"}, {"id": 777}]
    shown = await store.show("webhook-0001")
    assert shown
    assert b"Ford" in shown.webhook.body
    assert b"Zaphod" not in shown.webhook.body
    assert [each.event_id for each in await claim(store)] == ["event-0001-0"]


async def test_what_is_pending_is_dead_as_erased_and_stays_so(store: Archive) -> None:
    await store.keep(*arrived(1, to(), to("other", key="k"), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to("other", key="k"), contacts={"add": [FORD]}))
    await run(store)
    found = await store.find(Filter(entity_id="777"), limit=9)
    assert {(each.state, each.why) for each in found} == {(State.DEAD, "erased")}
    assert [each.event_id for each in await claim(store, "other", now=NOON + MINUTE)] == ["event-0002-0"]  # unblocked
    assert await store.count(Filter(entity_id="777"), replayable=True) == {}
    assert await store.replay(Filter(entity_id="777"), act(2, at=NOON + MINUTE)) == 0
    _webhook, [event] = arrived(1, to("new"), contacts={"add": [ZAPHOD]})
    assert await store.reroute([event], act(3, at=NOON + MINUTE), missing=True) == 0
    assert await store.events(Filter(), limit=9, unrouted=True) == []


async def test_what_is_dead_as_erased_is_no_reason_for_an_alarm(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await run(store)
    targets = (await store.status()).targets
    assert "bot" not in targets or targets["bot"].dead == 0


async def test_what_attempts_told_goes_with_all_that_shared_the_request(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), contacts={"add": [FORD]}))
    await store.keep(*arrived(3, to(), contacts={"add": [{"id": "3"}]}))
    first, second, third = await claim(store)
    told = Outcome(
        reason=Reason.SERVER_ERROR, started_at=NOON, took=SECOND, status=500, detail="no such Zaphod", batch=2
    )
    for each, outcome in ((first, told), (second, told), (third, replace(told, started_at=NOON + SECOND, detail="no"))):
        await store.settle(each, outcome, RetryAt(NOON + MINUTE), now=NOON)
    assert (await run(store)).texts["attempts"] >= 1
    details = [
        attempt.detail
        for number in (1, 2, 3)
        for event in (await store.show(f"webhook-000{number}")).events  # type: ignore[union-attr]
        for delivery in event.deliveries
        for attempt in delivery.attempts
    ]
    assert details == ["", "", "no"]


async def test_an_attempt_under_way_tells_nothing_afterwards(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), contacts={"add": [FORD]}))
    both = await claim(store)
    await run(store)
    told = Outcome(reason=Reason.OK, started_at=NOON, took=SECOND, status=200, detail="thanks, Zaphod", batch=2)
    settled = [store.settle(each, told, Delivered(), now=NOON) for each in both]
    assert [await each for each in settled] == [False, True]
    assert "Zaphod" not in await everything(store)


async def test_an_enrichment_goes_and_what_is_fetched_late_is_not_stored(store: Archive) -> None:
    hold = PlannedDelivery(target="bot", routes=("r",), hold=HOLD)
    await store.keep(*arrived(1, hold, leads={"add": [{"id": "5"}]}))
    await store.keep(*arrived(2, hold, contacts={"add": [ZAPHOD]}))
    lead, person = [each.row for each in await store.enrichments.held(["crm"], limit=9)]
    card = {"lead": {"id": 5}, "contacts": [{"id": 777, "name": NAME}, {"id": 3}]}
    await store.enrichments.record([Enrichment(row=lead, at=NOON, value=card)], now=NOON)
    await run(store)
    [kept] = (await store.enrichments.stored([lead])).values()
    assert kept.value == {"lead": {"id": 5}, "contacts": [{"id": 3}]}
    assert not kept.reason
    await store.enrichments.record([Enrichment(row=person, at=NOON, value={"contacts": [ZAPHOD]})], now=NOON)
    assert await store.enrichments.stored([person]) == {}
    assert len(await claim(store)) == 1  # the lead's


async def test_texts_of_operators_and_of_targets_are_blanked(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), contacts={"add": [FORD]}))
    await store.pause("bot", act(1, command="pause", reason="for Zaphod  Beeblebrox", target="bot"))
    await store.publish("misaddressed", {"paths": [f"/hook/{PHONE}", "/x"]}, now=NOON)
    [_first, second] = await claim(store)
    await store.settle(second, OK, Dead(f"answered {NAME}"), now=NOON)
    await run(store)
    assert (await store.status()).reports["misaddressed"].value == {"paths": ["***", "/x"]}
    shown = await everything(store)
    assert "Zaphod" not in shown
    assert "target': 'bot'" in shown


async def test_others_with_the_same_phone_or_name_are_listed_and_taken_in_by_also(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), leads={"add": [{"id": "5", "name": f"A ship for {NAME}"}]}))
    await store.keep(*arrived(3, to(), task={"add": [{"id": "6", "text": "call 8 999 123-45-67"}]}))
    raw, _ = arrived(4, contacts={"add": [ZAPHOD]}, unparsed="not known")
    await store.keep(raw, [])
    listed = [(each.also, each.type, each.same) for each in (await run(store, dry_run=True)).others]
    assert listed == [
        ("webhook-0004", "unparsed", ("name", "phone")),
        ("leads/5", "leads.add", ("name",)),
        ("task/6", "task.add", ("phone",)),
    ]
    done = await run(store, PERSON, Ref("leads", "5"), ids=frozenset({"event-0003-0", "webhook-0004"}))
    assert done.others == ()
    assert "Zaphod" not in await everything(store)
    assert await store.unparsed(limit=9) == []


async def test_only_that_sources_person_is_erased(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    assert (await run(store, source="shop")).events == {}
    assert (await run(store, source="crm")).webhooks == 1


# ---- tombstones


async def test_a_reparse_does_not_bring_the_person_back(store: Archive) -> None:
    raw, routed = arrived(1, to(), contacts={"add": [FORD, ZAPHOD]}, unparsed="not known")
    await store.keep(raw, [])
    await run(store)
    assert await store.reparse(raw, routed, act(2, at=NOON + MINUTE, command="reparse"))
    assert await data_of(store, "webhook-0001") == [{"id": 778, "name": "Ford Prefect"}, {"id": 777}]
    assert [each.event_id for each in await claim(store, now=NOON + MINUTE)] == ["event-0001-0"]
    assert "Zaphod" not in await everything(store)
    assert await store.replay(Filter(entity_id="777"), act(3, at=NOON + MINUTE)) == 0


async def test_what_happened_after_the_erasure_is_kept(store: Archive) -> None:
    await run(store)
    raw, routed = arrived(1, to(), at=NOON + 2 * MINUTE, contacts={"add": [ZAPHOD]}, unparsed="not known")
    await store.keep(raw, [])
    await store.reparse(raw, routed, act(2, at=NOON + 3 * MINUTE, command="reparse"))
    [data] = await data_of(store, "webhook-0001")
    assert data["name"] == NAME


async def test_healing_does_not_bring_the_person_back(store: Archive) -> None:
    changed: dict[str, Any] = {"entity": "contacts", "entity_id": "777", "before": [{"name": NAME}]}
    [seen] = await store.healing.record_heal("crm", [replace(record("e1", HealState.WAITING), **changed)])
    await run(store)
    [kept] = await store.healing.heal_records("crm", since=NOON - MINUTE)
    assert (kept.state, kept.before, kept.reason) == (HealState.UNHEALABLE, None, "erased")
    webhook, routed = arrived(1, to(), contacts={"update": [ZAPHOD]})
    request = KeepRequest(replace(webhook, kind="heal"), routed)
    healed = replace(seen, state=HealState.HEALED, webhook=webhook.id)
    await store.healing.record_heal("crm", [healed], healed=[request])
    assert await store.show(webhook.id) is None
    [kept] = await store.healing.heal_records("crm", since=NOON - MINUTE)
    assert kept.state is HealState.UNHEALABLE


# ---- receipts


async def test_the_receipt_has_ids_and_counts_and_what_is_out_of_reach(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    done = await run(store)
    [entry] = [each for each in await store.audit(limit=9) if each.command == "forget"]
    assert entry.count == 1
    assert entry.details["events"] == {"contacts.add": 1}
    assert entry.details["out_of_reach"] == list(done.out_of_reach)
    assert [*map(str, done.out_of_reach)]
    assert await store.erasure.tombstones() == [Tombstone(PERSON, "", NOON + MINUTE, entry.id)]


async def test_a_repeated_act_is_one_entry_and_erases_what_is_left(store: Archive) -> None:
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    first = await run(store)
    await store.keep(*arrived(2, to(), contacts={"update": [ZAPHOD]}))
    again = await run(store)
    assert (first.webhooks, again.webhooks) == (1, 1)
    assert len([each for each in await store.audit(limit=9) if each.command == "forget"]) == 1


# ---- killed


class Killed(Exception):
    """Nothing catches it."""


async def test_wherever_a_run_ends_the_next_one_finds_what_is_left(
    store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.pause("bot", act(1, command="pause", reason=f"for {NAME}", target="bot"))
    for number in (1, 2, 3, 4):
        person = ZAPHOD if number % 2 else {"id": "777", "text": f"{NAME} called"}
        await store.keep(*arrived(number, to(), contacts={"add": [FORD, person]}))
    ends = 0
    while await ends_at(ends, store, monkeypatch):
        ends += 1
    assert ends >= 5, "a page, tombstones, texts, rows, the receipt"
    await run(store)
    shown = await everything(store)
    assert "Zaphod" not in shown
    assert shown.count("Ford") >= 8


async def test_a_run_that_is_repeated_still_lists_others(store: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(erasure, "CHUNK", 1)
    await store.keep(*arrived(1, to(), contacts={"add": [ZAPHOD]}))
    await store.keep(*arrived(2, to(), contacts={"update": [{"id": "777"}]}))
    await store.keep(*arrived(3, to(), leads={"add": [{"id": "5", "name": f"A ship for {NAME}"}]}))
    erase = store.erasure.erase

    async def once(*asked: Any) -> int:
        await erase(*asked)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(store.erasure, "erase", once)
        with pytest.raises(Killed):
            await run(store)
    assert [each.also for each in (await run(store)).others] == ["leads/5"]


async def ends_at(call: int, store: Archive, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Erase until that verb has been called, and has done its part or not; False if it was through before."""
    calls = count()

    def ending(verb: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def end(*asked: Any, **more: Any) -> Any:
            number = next(calls)
            if number == call and call % 2:
                raise Killed
            done = await verb(*asked, **more)
            if number == call:
                raise Killed
            return done

        return end

    with monkeypatch.context() as patched:
        for name in ("history", "bury", "scrub", "stored", "erase", "conclude"):
            patched.setattr(store.erasure, name, ending(getattr(store.erasure, name)))
        try:
            await run(store, number=100 + call)
        except Killed:
            return True
        return False
