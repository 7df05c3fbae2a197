"""Healed bodies: what the relay's own decoding makes of them, and of what they are silent."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from relay.account.heal.bodies import body, needs_present
from relay.account.heal.channels import ACCOUNT, UPDATES, channel_of
from relay.account.heal.expected import ExpectedWebhook, expected_at_stage, expected_webhooks
from relay.account.heal.healed import healed, webhook_id
from relay.account.heal.hooks import hooks_of
from relay.account.heal.wanted import AccountFacts
from relay.amocrm import events
from relay.amocrm.shapes import BodyReader
from relay.model import Event, RoutedEvent, Webhook
from relay.model.heal import Exactness, HealRecord, HealState
from tests.account.heal.amo import CHANGED, EXACT, LIMITS, SECONDS, feed_event
from tests.account.heal.test_keys import CHANGES, MOVES, STAGE, DpChannel, user
from tests.account.heal.world import World

FACTS = AccountFacts(id=5, subdomain="example", url="https://example.amocrm.ru")
FOUND = CHANGED + timedelta(hours=2)


def record(expected: ExpectedWebhook, event: Any, **more: Any) -> HealRecord:
    made = HealRecord(
        source="crm",
        channel=expected.channel,
        event_id=event.id,
        type=event.type,
        action=expected.action,
        entity=event.entity,
        entity_id=expected.entity_id or str(event.entity_id),
        key=expected.key.text,
        at=event.at,
        found_at=FOUND,
        before=event.before,
        after=event.after,
        exactness=expected.exactness,
        reason="outage",
    )
    return replace(made, **more)


def read(form: bytes, *, received_at: datetime = FOUND) -> Event:
    (event,) = BodyReader().read(form, "", source="crm", received_at=received_at, new_id=lambda: "e")
    return event


@pytest.mark.parametrize(("_body", "event", "action"), CHANGES, ids=lambda each: each if isinstance(each, str) else "")
def test_a_healed_body_reads_as_the_webhook_that_was_lost(_body: Any, event: Any, action: str) -> None:
    """Of the same type, channel and key: to reparse it gives the same event, and to keep it would match it."""
    expected, *_ = expected_webhooks(event)
    healed_as = record(expected, event)
    form = body(healed_as, FACTS.block, None)
    made = read(form)
    assert made.type == action
    assert made.account["id"] == 5
    channel = channel_of(made, "")
    assert channel == ACCOUNT
    webhook = Webhook(id="w", source="crm", received_at=CHANGED, body=form)
    hooks = hooks_of(webhook, [made], limits=LIMITS, clock=EXACT)
    assert (expected.channel, expected.key.text) in {(hook.channel, hook.key) for hook in hooks}


def test_a_healed_move_has_what_the_feed_says_and_nothing_of_today() -> None:
    account, _update, *_ = expected_webhooks(MOVES)
    made = read(body(record(account, MOVES), FACTS.block, {"id": 7, "name": "Сегодня", "price": 5}))
    fields = {"id": 7, "status_id": 142, "pipeline_id": 2, "old_status_id": 11, "last_modified": int(SECONDS)}
    assert made.data == fields
    assert not needs_present(record(account, MOVES))


def test_a_healed_move_of_a_trigger_has_both_pipelines_and_no_time() -> None:
    trigger = DpChannel("status", STAGE, "try=1")
    *_, expected = expected_webhooks(MOVES, [trigger])
    made = read(body(record(expected, MOVES), FACTS.block, None))
    assert made.data == {"id": 7, "status_id": 142, "pipeline_id": 2, "old_status_id": 11, "old_pipeline_id": 1}
    assert "_links" not in made.account
    assert channel_of(made, "try=1") == trigger.name


def test_a_healed_call_of_a_trigger_is_about_the_lead() -> None:
    call = feed_event("incoming_call", "contact", 9, after=[{"note": {"id": 71}}])
    expected = expected_at_stage(7, "call_in", DpChannel("call_in", STAGE))
    made = read(body(record(expected, call), FACTS.block, None))
    assert (made.type, made.data) == ("leads.call_in", {"id": 7, "status_id": 142, "pipeline_id": 2})


def test_a_healed_owner_of_a_contact_comes_as_an_update() -> None:
    given = feed_event("entity_responsible_changed", "contact", 7, before=user(8), after=user(9))
    expected, *_ = expected_webhooks(given)
    made = read(body(record(expected, given), FACTS.block, None))
    assert made.type == "contacts.update"
    assert made.data["old_responsible_user_id"] == 8
    assert made.data["responsible_user_id"] == 9


def test_a_healed_webhook_has_the_same_ids_whenever_it_is_made() -> None:
    expected, *_ = expected_webhooks(MOVES)

    def plan(event: Event) -> RoutedEvent:
        return RoutedEvent(event=event, payload=events.dump(event))

    lost = record(expected, MOVES)
    (one, first), (two, second) = (healed(lost, FACTS, None, found_at=FOUND, plan=plan) for _ in range(2))
    assert (one, first) == (two, second)
    assert one.state is HealState.HEALED
    assert (one.before, one.after) == (None, None)
    assert UUID(first.webhook.id).version == 5
    (routed,) = first.routed
    assert routed.event.heal == {
        "event_id": MOVES.id,
        "exactness": Exactness.EXACT,
        "found_at": "2026-03-04T07:06:07.000Z",
        "reason": "outage",
    }
    assert routed.event.happened_at == CHANGED
    others = [replace(lost, source="other"), replace(lost, channel=UPDATES), replace(lost, event_id="x")]
    assert len({webhook_id(each) for each in [lost, *others]}) == 4


@pytest.mark.parametrize("still_times", [False, True])
async def test_what_is_healed_with_the_present_state_has_the_fields_of_a_webhook(*, still_times: bool) -> None:
    """Held against the double's own bodies: an addition that came, and one that was healed, of cards that are alike."""
    world = World(seed=3, quirks={"still_times": still_times})
    amo = world.amo
    contact = amo.add_contact(phone="+70000000000")
    await world.run(600)
    lost = []

    def change() -> None:
        if not lost:
            lost.append(amo.add_contact(phone="+70000000000"))
            lead = amo.add_lead(contacts=[contact.id])
            lost.append(lead)
            amo.note(lead, "Перезвонить")
            amo.add_task(lead)

    world.outage(7200, change=change)
    amo.add_contact(phone="+70000000000")
    lead = amo.add_lead(contacts=[contact.id])
    amo.note(lead, "Перезвонить")
    amo.add_task(lead)
    await world.run(10_000)
    came = {each.event.type: each.event.data for each in world.store.kept}
    healed_ = {each.type: each.data for each in world.healed()}
    assert healed_.keys() >= {"leads.add", "contacts.add", "leads.note", "task.add"}
    for name, data in healed_.items():
        silent = {"last_modified", "date_create", "attachement", "metadata", "account_id", "linked_leads_id"}
        assert data.keys() - came[name].keys() <= set(), name
        assert came[name].keys() - data.keys() <= silent, name
