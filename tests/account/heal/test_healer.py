"""What the healer does beside matching: modes, brakes, gaps that stay, and what an operator asks for."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from relay.account.heal.healer import EXPIRED, HELD
from relay.account.heal.matcher import PROMPT
from relay.account.heal.scanner import switch_off
from relay.account.heal.wanted import webhook_type
from relay.amocrm.vocabulary import ACTIONS_OF
from relay.model import Event, RoutedEvent
from relay.model.accounts import Heal, HealMode
from relay.model.heal import HORIZON, HealState, Span
from tests.account.heal.schedule import HOUR, MINUTE
from tests.account.heal.world import World
from tests.fakeamo import SETTINGS as EVERY_SETTING

LEADS = frozenset({"leads.add", "leads.status"})
SETTLED = 2.5 * HOUR


async def lived(**more: Any) -> World:
    """An account and a relay that know each other since an hour; `approves` only what a test approves."""
    world = World(seed=5, approves=False, more={"subscribed": LEADS}, **more)
    world.amo.add_lead()
    await world.run(HOUR)
    return world


def adding(world: World, number: int = 1) -> Callable[[], None]:
    """Add that many leads in an outage, and no more."""
    left = [number]

    def change() -> None:
        for _ in range(left[0]):
            world.amo.add_lead()
        left[0] = 0

    return change


def lost(world: World, number: int = 1, *, answer: int | None = None, length: float = 2 * HOUR) -> None:
    """Leads whose webhooks do not come: nobody was there, or (`answer`) somebody before us refused them."""
    world.outage(length, answer=answer, change=adding(world, number))


async def test_what_was_lost_in_an_outage_of_ours_is_healed_with_its_reason() -> None:
    world = await lived()
    lost(world, 20)
    await world.run(SETTLED)
    assert len(world.healed()) == 20
    assert {each.heal["reason"] for each in world.healed() if each.heal} == {"outage"}
    assert {each.heal["exactness"] for each in world.healed() if each.heal} == {"state"}


async def test_a_fault_with_one_lost_change_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await lived()
    lost(world, 3)
    poison = max(world.amo.cards["leads"])

    def plan(event: Event) -> RoutedEvent:
        if event.entity_id == str(poison):
            raise ZeroDivisionError
        return RoutedEvent(event=event, payload=b"{}")

    monkeypatch.setattr(world.healer, "_plan", plan)
    await world.run(SETTLED)
    assert len(world.healed()) == 2
    [record] = [each for each in world.store.known.values() if each.state is HealState.UNHEALABLE]
    assert (record.entity_id, record.reason) == (str(poison), "a fault of the relay: ZeroDivisionError")


async def test_report_counts_and_sends_nothing() -> None:
    world = await lived(heal=Heal(mode=HealMode.REPORT))
    lost(world, 3)
    await world.run(SETTLED)
    assert world.healed() == []
    assert world.states()[HealState.WOULD_HEAL] == 3
    world.heal = Heal(mode=HealMode.ON)
    await world.run(SETTLED)
    assert world.healed() == [], "switching it on starts at that moment"


async def test_off_reads_nothing() -> None:
    world = await lived(heal=Heal())
    lost(world)
    await world.run(SETTLED)
    assert world.amo.requests == []


async def test_what_came_while_the_source_did_not_heal_is_healed_by_no_later_scan() -> None:
    """Its webhooks were routed, and are in no index; a daily look goes back by two days."""
    world = await lived()
    on, world.heal = world.heal, Heal()
    for _ in range(6):
        await switch_off(world.store, "crm", now=world.now())
        world.amo.add_lead()
        await world.run(HOUR)
    world.heal = on
    await world.run(30 * HOUR, every=HOUR)
    assert world.healed() == []
    lost(world, 3)
    await world.run(SETTLED)
    assert len(world.healed()) == 3
    assert world.routed() == world.oracle()


async def test_a_source_whose_last_webhook_is_purged_heals_what_was_lost_since(monkeypatch: pytest.MonkeyPatch) -> None:
    world = await lived()
    await world.run(8 * 24 * HOUR, every=HOUR)
    lost(world, 3)
    monkeypatch.setattr(world.store, "_first", None)
    monkeypatch.setattr(world.store, "index", [])
    monkeypatch.setattr(world.store, "_by_key", {})
    await world.run(SETTLED)
    assert len(world.healed()) == 3
    assert world.routed() == world.oracle()


async def test_nothing_before_the_first_webhook_is_healed() -> None:
    world = World(seed=5, more={"subscribed": LEADS})
    lost(world, 3)
    await world.run(HOUR)
    world.amo.add_lead()
    await world.run(MINUTE)
    world.amo.add_lead()
    await world.run(SETTLED + 30 * HOUR, every=HOUR)
    assert world.healed() == []
    assert world.states() == {HealState.MATCHED: 1}


# ---- brakes


async def test_no_more_than_the_most_are_healed_until_an_operator_approves() -> None:
    world = await lived(heal=Heal(mode=HealMode.ON, most=5))
    lost(world, 8)
    await world.run(SETTLED)
    assert (len(world.healed()), world.states()[HealState.WAITING]) == (5, 3)
    await world.run(HOUR)
    assert len(world.healed()) == 5
    await world.store.approve("crm", at=world.now())
    await world.run(HOUR)
    assert len(world.healed()) == 8
    assert world.routed() == world.oracle()


async def test_an_action_stops_itself_if_with_no_outage_too_much_of_it_is_lost() -> None:
    world = await lived()
    lost(world, 6, answer=502)
    await world.run(SETTLED)
    assert (len(world.healed()), world.states()[HealState.WAITING]) == (0, 6)
    await world.store.approve("crm", at=world.now())
    await world.run(HOUR)
    assert len(world.healed()) == 6


async def test_few_that_amocrm_loses_do_not_stop_it() -> None:
    world = await lived()
    lost(world, 3, answer=502)
    await world.run(SETTLED)
    assert len(world.healed()) == 3


async def test_a_webhook_that_comes_while_its_heal_waits_cancels_that() -> None:
    world = await lived(heal=Heal(mode=HealMode.ON, most=0))
    lost(world)
    await world.run(SETTLED)
    (waiting,) = [each for each in world.store.known.values() if each.state is HealState.WAITING]
    world.amo.posts.all[-1].at = world.clock()
    world._receive(world.amo.posts.all[-1])
    await world.store.approve("crm", at=world.now())
    await world.run(HOUR)
    assert world.healed() == []
    assert world.store.known[waiting.channel, waiting.event_id].state is HealState.MATCHED


async def test_an_action_is_not_healed_while_webhooks_come_that_the_feed_knows_nothing_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As when the token may not see all leads; an operator who looked at it may let it go on."""
    world = await lived()
    await world.run(3 * HOUR)
    world.clock.advance(MINUTE)
    world.amo.quirks.lost = 1.0
    for _ in range(2):
        world.amo.add_lead()
    world.amo.quirks.lost = 0.0
    await world.run(80 * MINUTE)
    world.amo.add_lead()
    monkeypatch.setattr(world.amo, "feed", world.amo.feed[:-1])
    await world.run(50 * MINUTE)
    assert any(scan.stopped == {"leads.add"} and scan.orphans == 1 for scan in world.scans)
    assert world.healed() == []
    await world.store.approve("crm", at=world.now())
    await world.run(30 * MINUTE)
    assert len(world.healed()) == 2


# ---- gaps that stay, and spans that wait


async def test_what_was_lost_while_a_person_had_switched_it_off_is_healed_only_if_asked_for() -> None:
    world = await lived()
    began = world.server().at
    lost(world, 2)
    world.more["closed"] = (Span(began, world.server().at),)
    await world.run(SETTLED)
    assert world.healed() == []
    assert world.states()[HealState.UNHEALABLE] == 2
    scan = await world.healer.look(world.wanted(), began, world.server(), now=world.now())
    assert scan.verdicts["leads.add", "state", HealState.WOULD_HEAL] == 2
    await world.healer.run_since(world.wanted(), began, world.server(), now=world.now())
    assert len(world.healed()) == 2
    assert world.routed() == world.oracle()


async def test_a_move_that_is_healed_because_somebody_asks_is_whole() -> None:
    """What is decided keeps no values of the feed's event: they are read again."""
    world = await lived()
    lead, (one, two) = world.amo.add_lead(), [world.amo.structure.stage(name) for name in ("Переговоры", "Оффер")]
    world.amo.move(lead, one)
    await world.run(10 * MINUTE)
    began = world.server().at
    world.outage(HOUR, change=lambda: lead.fields["status_id"] != two.id and world.amo.move(lead, two) and None)
    world.more["closed"] = (Span(began, world.server().at),)
    await world.run(SETTLED)
    assert world.states()[HealState.UNHEALABLE] == 1
    await world.healer.run_since(world.wanted(), began, world.server(), now=world.now())
    assert world.routed() == world.oracle()


async def test_what_is_asked_for_since_an_hour_is_healed_of_no_time_before() -> None:
    """Of what was decided before nothing is read again: it would be healed without its values, and nobody asked."""
    world = await lived()
    lead, (one, two) = world.amo.add_lead(), [world.amo.structure.stage(name) for name in ("Переговоры", "Оффер")]
    world.amo.move(lead, one)
    await world.run(10 * MINUTE)
    began = world.server().at
    world.outage(HOUR, change=lambda: lead.fields["status_id"] != two.id and world.amo.move(lead, two) and None)
    ended = world.server().at
    world.more["closed"] = (Span(began, ended),)
    await world.run(SETTLED)
    await world.healer.run_since(world.wanted(), ended + timedelta(hours=1), world.server(), now=world.now())
    assert (world.healed(), world.states()[HealState.UNHEALABLE]) == ([], 1)
    await world.healer.run_since(world.wanted(), began, world.server(), now=world.now())
    assert world.routed() == world.oracle()


async def test_nothing_is_decided_of_a_span_whose_webhooks_may_lie_in_a_spool() -> None:
    world = await lived()
    world.more["held_since"] = world.server().at
    lost(world, 2)
    await world.run(SETTLED)
    assert world.states()[HealState.SEEN] == 2
    del world.more["held_since"]
    await world.run(HOUR)
    assert len(world.healed()) == 2


async def test_what_is_subscribed_to_later_is_not_healed_from_before() -> None:
    """A daily look goes back by two days."""
    world = await lived()
    contact = world.amo.add_contact()
    await world.run(5 * HOUR)
    world.more["subscribed"] = LEADS | {"contacts.update"}
    world.amo.update(contact, name="Другое")
    await world.run(30 * HOUR, every=HOUR)
    kept = {each.event.type for each in world.store.kept}
    assert {"contacts.add", "contacts.update"} <= kept
    assert not [each for each in world.store.known.values() if each.action == "contacts.add"]
    world.more["subscribed"] = LEADS | {"contacts.update", "contacts.add"}
    world._seen.clear()
    await world.run(30 * HOUR, every=HOUR)
    assert not [each for each in world.store.known.values() if each.action == "contacts.add"]


async def test_what_nobody_approves_is_given_up_and_counted_before_it_is_purged() -> None:
    world = await lived()
    world.approves = False
    world.more["most"] = 0
    lost(world, 2)
    await world.run(SETTLED)
    assert world.states()[HealState.WAITING] == 2
    purged_at = min(each.at for each in world.store.known.values() if each.state is HealState.WAITING) + HORIZON
    for before, waiting in ((5 * HOUR, 2), (0.2 * HOUR, 0)):
        world.advance((purged_at - world.server().at).total_seconds() - before)
        await world.scan()
        assert world.states()[HealState.WAITING] == waiting
    assert world.scans[-1].verdicts["leads.add", "state", HealState.UNHEALABLE] == 2
    assert {each.reason for each in world.store.known.values() if each.state is HealState.UNHEALABLE} == {EXPIRED}


async def test_what_a_spool_holds_up_for_a_week_is_given_up_and_counted() -> None:
    world = await lived()
    world.more["held_since"] = world.server().at
    lost(world, 2)
    await world.run(SETTLED)
    purged_at = min(each.at for each in world.store.known.values() if each.state is HealState.SEEN) + HORIZON
    world.advance((purged_at - world.server().at).total_seconds() - 0.2 * HOUR)
    await world.scan()
    assert world.scans[-1].verdicts["leads.add", "state", HealState.UNHEALABLE] == 2
    assert {each.reason for each in world.store.known.values() if each.state is HealState.UNHEALABLE} == {HELD}


# ---- what an operator asks for


async def test_a_look_counts_what_would_be_healed_and_stores_nothing() -> None:
    world = await lived()
    began = world.server().at
    lost(world, 2)
    world.advance(SETTLED)
    commits, requests = world.store.commits, len(world.amo.requests)
    scan = await world.healer.look(world.wanted(), began - timedelta(days=30), world.server(), now=world.now())
    assert scan.verdicts["leads.add", "state", HealState.WOULD_HEAL] == 2
    assert scan.verdicts["leads.add", "state", HealState.MATCHED] == 1
    assert world.store.commits == commits
    assert len(world.amo.requests) > requests
    assert world.healed() == []


# ---- triggers whose lead's stage has to be asked for


def staged(world: World, *on: str) -> Any:
    stage = world.amo.structure.stage("Оффер")
    world.trigger(stage, "try=1", *on)
    for each in world.wanted().triggers:
        world.store.marks[PROMPT + each.name] = world.now()
    return stage


async def test_a_call_of_a_lead_is_healed_for_the_trigger_of_the_stage_that_it_was_in() -> None:
    world = await lived()
    offer = staged(world, "call_in")
    inside, outside = world.amo.add_lead(stage=offer), world.amo.add_lead()
    contact = world.amo.add_contact()
    world.amo.link(inside, contact)
    await world.run(HOUR)
    world.answer = None
    began = world.now()
    world.amo.call(inside)
    world.amo.call(outside)
    world.amo.call(contact, lead=inside)
    world.advance(MINUTE)
    world.amo.move(inside, world.amo.structure.stage("Переговоры"))
    world.amo.move(outside, offer)
    world.advance(2 * HOUR)
    world.answer = 200
    world.store.down.append(Span(began, world.now()))
    await world.run(SETTLED)
    calls = [each for each in world.healed() if each.action == "call_in"]
    assert [each.data["id"] for each in calls] == [inside.id] * 2
    assert {each.query["try"] for each in calls} == {"1"}


@pytest.mark.parametrize("moved", [False, True])
async def test_a_lead_created_in_a_stage_is_healed_for_its_trigger_wherever_it_is_now(*, moved: bool) -> None:
    world = await lived()
    offer = staged(world, "add")
    await world.run(MINUTE)

    def change() -> None:
        if len(world.amo.cards["leads"]) == 1:
            lead = world.amo.add_lead(stage=offer)
            if moved:
                world.amo.move(lead, world.amo.structure.stage("Переговоры"))

    world.outage(2 * HOUR, change=change)
    await world.run(SETTLED)
    added = [each for each in world.healed() if each.type == "leads.add" and each.query]
    assert [each.data["status_id"] for each in added] == [offer.id]


# ---- what the account no longer has, and filters that it ignores


@pytest.mark.parametrize("alpha", [True, False])
async def test_what_was_added_and_is_gone_is_healed_by_its_id(*, alpha: bool) -> None:
    world = await lived(quirks={"alpha": alpha})
    lost(world, 3)
    lead = [*world.amo.cards["leads"].values()][-1]
    world.amo.delete(lead)
    await world.run(SETTLED)
    found = {each.data["id"]: each.data for each in world.healed()}
    assert len(found) == 3
    assert found[lead.id] == {"id": lead.id}
    assert all("name" in data for id_, data in found.items() if id_ != lead.id)


async def test_an_account_that_says_it_filters_and_does_not_is_asked_one_by_one() -> None:
    world = await lived(quirks={"alpha": False})
    world.more["account"] = replace(world.wanted().account, filters=True)
    for _ in range(5):
        world.amo.add_lead()
    await world.run(MINUTE)
    lost(world, 3)
    await world.run(SETTLED)
    assert len(world.healed()) == 3
    assert all("name" in each.data for each in world.healed())


def test_the_settings_of_a_subscription_are_known() -> None:
    """All that the double takes, by the names of the events that they bring."""
    types = {f"{entity}.{action}" for entity, actions in ACTIONS_OF.items() for action in actions}
    assert {webhook_type(each) for each in EVERY_SETTING} <= types


# ---- killed at every write


async def killed_at(commit: int | None) -> tuple[World, int]:
    """A relay that heals about 60 changes, killed at its n-th commit after the outage; and how many commits it made."""
    world = await lived()
    left = [12]

    def change() -> None:
        if left[0]:
            left[0] -= 1
            lead = world.amo.add_lead()
            for name in ("Переговоры", "Оффер"):
                world.amo.move(lead, world.amo.structure.stage(name))
                world.advance(20)

    world.outage(2 * HOUR, change=change)
    before = world.store.commits
    world.store.crash_at = None if commit is None else before + commit
    await world.run(SETTLED, every=30 * MINUTE)
    return world, world.store.commits - before


async def test_killed_at_every_write_of_a_heal_it_loses_nothing_and_doubles_nothing() -> None:
    _, commits = await killed_at(None)
    assert commits > 10
    for commit in range(1, commits + 1):
        world, _ = await killed_at(commit)
        assert world.crashes == 1, commit
        assert world.routed() == world.oracle(), commit
        assert len(world.healed()) > 30, commit
