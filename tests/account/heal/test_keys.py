"""The webhook and the feed's event of one change have one key in each channel; those of another change have others."""

from datetime import timedelta

import pytest

from relay.account.heal.channels import DpChannel, Stage, canonical, channel_of, channels_of, parse
from relay.account.heal.expected import (
    action_at_stage,
    expected_at_stage,
    expected_webhooks,
    is_update,
    webhook_types_of,
)
from relay.account.heal.feed_events import FeedEvent, feed_events, has_next
from relay.account.heal.hooks import ClockOffset
from relay.account.heal.keys import Rule
from relay.account.heal.lanes import lanes
from relay.account.heal.limits import WIDEST
from relay.model import Json
from relay.model.accounts import DpTrigger
from relay.model.heal import Exactness
from tests.account.heal.amo import CHANGED, EXACT, SECONDS, events_of, feed_event, hooks, item

NOTE = {"id": "71", "element_id": "7", "note_type": "4", "text": "x", "created_at": SECONDS, "updated_at": SECONDS}
UUID = "11111111-2222-4333-8444-555555555555"
DATED = {"last_modified": SECONDS}


def status(pipeline: int, status: int) -> Json:
    return [{"lead_status": {"id": status, "pipeline_id": pipeline}}]


def customer_status(status: int) -> Json:
    return [{"customer_status": {"id": status}}]


def user(id_: int) -> Json:
    return [{"responsible_user": {"id": id_}}]


OWNERS = {"responsible_user_id": "9", "old_responsible_user_id": "8", **DATED}
MOVE = {"id": "7", "status_id": "142", "old_status_id": "11", "pipeline_id": "2"}
CHANGES = [
    (item("leads", "add", {"id": "7", **DATED}), feed_event("lead_added", "lead", 7), "leads.add"),
    (item("leads", "delete", {"id": "7", "status_id": "1"}), feed_event("lead_deleted", "lead", 7), "leads.delete"),
    (item("leads", "restore", {"id": "7", **DATED}), feed_event("lead_restored", "lead", 7), "leads.restore"),
    (
        item("leads", "status", MOVE | DATED),
        feed_event("lead_status_changed", "lead", 7, before=status(2, 11), after=status(2, 142)),
        "leads.status",
    ),
    (
        item("leads", "responsible", {"id": "7", **OWNERS}),
        feed_event("entity_responsible_changed", "lead", 7, before=user(8), after=user(9)),
        "leads.responsible",
    ),
    (
        item("leads", "note", {"note": NOTE}),
        feed_event("common_note_added", "lead", 7, after=[{"note": {"id": 71}}]),
        "leads.note",
    ),
    (
        item("leads", "update", {"id": "7", **DATED}),
        feed_event("custom_field_301_value_changed", "lead", 7),
        "leads.update",
    ),
    (
        item("contacts", "add", {"id": "7", "type": "contact", **DATED}),
        feed_event("contact_added", "contact", 7),
        "contacts.add",
    ),
    (
        item("contacts", "add", {"id": "7", "type": "company", **DATED}),
        feed_event("company_added", "company", 7),
        "companies.add",
    ),
    (
        item("contacts", "update", {"id": "7", "type": "company", **OWNERS}),
        feed_event("entity_responsible_changed", "company", 7, before=user(8), after=user(9)),
        "companies.update",
    ),
    (
        item("contacts", "note", {"note": NOTE, "type": "contact"}),
        feed_event("outgoing_call", "contact", 7, after=[{"note": {"id": 71}}]),
        "contacts.note",
    ),
    (item("customers", "delete", {"id": "7"}), feed_event("customer_deleted", "customer", 7), "customers.delete"),
    (item("task", "add", {"id": "7"}), feed_event("task_added", "task", 7), "task.add"),
    (item("task", "delete", {"id": "7"}), feed_event("task_deleted", "task", 7), "task.delete"),
    (item("task", "update", {"id": "7"}), feed_event("task_completed", "task", 7), "task.update"),
    (
        item("message", "add", {"id": UUID, "chat_id": "c", "talk_id": "3"}),
        feed_event("incoming_chat_message", "lead", 7, after=[{"message": {"id": UUID, "talk_id": 3}}]),
        "message.add",
    ),
    (
        item("outgoing_message", "add", {"id": UUID, "chat_id": "c"}),
        feed_event("outgoing_chat_message", "lead", 7, after=[{"message": {"id": UUID}}]),
        "outgoing_message.add",
    ),
    (item("talk", "add", {"talk_id": "7"}), feed_event("talk_created", "talk", 7), "talk.add"),
    (item("talk", "update", {"talk_id": "7"}), feed_event("talk_closed", "talk", 7), "talk.update"),
    (item("talk", "update", {"talk_id": "8"}), feed_event("conversation_answered", "talk", 8), "talk.update"),
    (
        item("task", "update", {"id": "8", **OWNERS}),
        feed_event("entity_responsible_changed", "task", 8, before=user(8), after=user(9)),
        "task.update",
    ),
    (
        item("contacts", "update", {"id": "8", "type": "contact", **DATED}),
        feed_event("entity_merged", "contact", 8),
        "contacts.update",
    ),
    (
        item("customers", "status", {"id": "7", "status_id": "5", "old_status_id": "4", **DATED}),
        feed_event("customer_status_changed", "customer", 7, before=customer_status(4), after=customer_status(5)),
        "customers.status",
    ),
]


@pytest.mark.parametrize(
    ("body", "event", "action"), CHANGES, ids=lambda value: value if isinstance(value, str) else ""
)
def test_webhook_and_feed_agree_on_the_key_of_a_change(body: dict[str, Json], event: FeedEvent, action: str) -> None:
    expected, *updates = expected_webhooks(event)
    assert (expected.channel, expected.action) == ("updates" if expected.key.rule is Rule.LEVEL else "account", action)
    assert {expected.action, expected.key.webhook_type} & webhook_types_of(event.type) or is_update(event.type)
    assert all(each.channel == "updates" for each in updates)
    found = {(hook.channel, hook.key): hook for hook in hooks(body)}
    hook = found[expected.channel, expected.key.text]
    assert hook.since <= CHANGED <= hook.until
    (made,) = events_of(body)
    assert made.type == action


def test_no_two_changes_share_a_key() -> None:
    keys = [
        expected.key.text
        for _body, event, _action in CHANGES
        for expected in expected_webhooks(event)
        if expected.channel == "account"
    ]
    assert len({*keys}) == len(keys)


# ---- triggers of the digital pipeline

STAGE = Stage(2, 142)
MOVED = item("leads", "status", {**MOVE, "old_pipeline_id": "1"}, dp=True)
MOVES = feed_event("lead_status_changed", "lead", 7, before=status(1, 11), after=status(2, 142))


def test_a_move_is_told_to_the_account_and_to_each_trigger_of_its_stage() -> None:
    triggers = [
        DpChannel("status", STAGE),
        DpChannel("status", STAGE, "try=1"),
        DpChannel("status", Stage(3, 142)),
        DpChannel("call_in", STAGE),
    ]
    expected = [*expected_webhooks(MOVES, triggers)]
    assert [each.channel for each in expected if each.channel != "updates"] == [
        "account",
        "dp:status:2/142:",
        "dp:status:2/142:try=1",
    ]
    (hook,) = hooks(MOVED, query="try=1")
    assert (hook.channel, hook.key) == (expected[3].channel, expected[3].key.text)
    assert expected[3].exactness is Exactness.EXACT


def test_a_trigger_that_waits_for_a_call_is_told_by_the_stage_of_its_lead() -> None:
    call = feed_event("incoming_call", "lead", 7, after=[{"note": {"id": 71}}])
    assert action_at_stage(call) == "call_in"
    expected = expected_at_stage(7, "call_in", DpChannel("call_in", STAGE))
    (hook,) = hooks(item("leads", "call_in", {"id": "7", "status_id": "142", "pipeline_id": "2"}, dp=True))
    assert (hook.channel, hook.key) == (expected.channel, expected.key.text)


def test_a_lead_created_in_the_stage_comes_as_an_addition() -> None:
    expected = expected_at_stage(7, "add", DpChannel("add", STAGE))
    (hook,) = hooks(item("leads", "add", {"id": "7", "status_id": "142", "pipeline_id": "2"}, dp=True))
    assert (hook.channel, hook.key) == (expected.channel, expected.key.text)
    assert expected.key.rule is Rule.ONCE


def test_a_query_names_its_channel_whatever_its_order_and_escapes() -> None:
    assert canonical("b=2&a=%20") == canonical("a=+&b=2") == "a=+&b=2"
    (channel,) = channels_of(DpTrigger(stage="x", on=("status",), query={"b": "2", "a": " "}), STAGE)
    assert hooks(MOVED, query="b=2&a=%20")[0].channel == channel.name
    assert parse(channel.name) == channel
    assert parse("account") is None


def test_the_call_of_a_widget_has_no_channel() -> None:
    tree = {"event": {"type_code": "lead_status_changed", "data": {"id": "7", "element_type": "2"}}}
    (event,) = events_of(tree)
    assert channel_of(event, "") is None
    assert hooks(tree) == []


def test_a_period_of_a_customer_is_in_no_feed() -> None:
    assert hooks(item("customers", "period", {"id": "7", "period_id": "2"}, dp=True)) == []


# ---- the times that a webhook can report


def test_the_body_of_a_leads_webhook_dates_its_change_however_late_it_comes() -> None:
    late = CHANGED + timedelta(minutes=95)
    (hook,) = hooks(item("leads", "status", MOVE | DATED), received_at=late)
    assert hook.at == CHANGED
    assert (hook.since, hook.until) == (CHANGED - WIDEST, CHANGED + WIDEST), "matching takes the account's own drift"


def test_an_arrival_is_counted_on_the_servers_clock() -> None:
    """By our own, 3 s slow, each would seem to have come before its change, and be sent twice."""
    slow = CHANGED - timedelta(seconds=3)
    (hook,) = hooks(MOVED, received_at=slow, clock=ClockOffset(timedelta(seconds=3), timedelta(milliseconds=500)))
    assert hook.arrived == CHANGED
    assert hook.since <= CHANGED <= hook.until
    (unaware,) = hooks(MOVED, received_at=slow, clock=ClockOffset(timedelta(), timedelta(milliseconds=500)))
    assert unaware.until < CHANGED


def test_without_an_offset_a_webhook_spans_more() -> None:
    (known,), (unknown,) = hooks(MOVED), hooks(MOVED, clock=None)
    assert unknown.arrived is None
    assert unknown.since < known.since
    assert known.until < unknown.until


def test_a_trigger_of_kommo_may_be_repeated_for_an_hour() -> None:
    (amo,), (kommo,) = hooks(MOVED), hooks(MOVED, kommo=True)
    assert amo.since > CHANGED - timedelta(minutes=2)
    assert kommo.since < CHANGED - timedelta(hours=1)


def test_an_update_of_a_contact_tells_of_changes_just_before_it_alone() -> None:
    """Its time may be that of an older change, and its body that of a repeat."""
    (hook,) = hooks(item("contacts", "update", {"id": "7", "updated_at": "1000000000"}))
    assert CHANGED - hook.since == timedelta(seconds=15)


@pytest.mark.parametrize(("minutes", "clock"), [(20, EXACT), (5, EXACT), (7, EXACT), (20, None)])
def test_an_update_that_amocrm_repeats_tells_of_no_change_just_before_it(
    minutes: int, clock: ClockOffset | None
) -> None:
    """The change would be taken as reported, by the state from before it; without the clock nothing shows a repeat."""
    came = CHANGED + timedelta(minutes=minutes, seconds=3)
    (hook,) = hooks(item("contacts", "update", {"id": "7", "updated_at": SECONDS}), received_at=came, clock=clock)
    is_repeat = minutes != 7 and clock is not None
    assert (hook.since <= came <= hook.until) is not is_repeat


# ---- the feed's pages


def test_what_is_not_an_event_is_left_out_of_a_page() -> None:
    whole = {"id": "a", "type": "lead_added", "entity_id": 7, "entity_type": "lead", "created_at": int(SECONDS)}
    page = {"_embedded": {"events": [{"id": "x"}, whole, None, {**whole, "created_at": "soon"}]}}
    assert [event.id for event in feed_events(page)] == ["a"]
    assert feed_events({}) == []
    assert not has_next({"_links": {"self": {"href": "x"}}})
    assert has_next({"_links": {"next": {"href": "x"}}})


@pytest.mark.parametrize(
    "values", [None, [], {}, "x", [None], [{}], [{"lead_status": None}], [{"lead_status": {"id": "142"}}]]
)
def test_a_value_of_another_shape_tells_of_nothing(values: Json) -> None:
    assert [*expected_webhooks(feed_event("lead_status_changed", "lead", 7, before=status(2, 11), after=values))] == []
    assert [*expected_webhooks(feed_event("entity_responsible_changed", "lead", 7, before=values, after=values))] == []
    assert [*expected_webhooks(feed_event("common_note_added", "lead", 7, after=values))] == []


def test_a_move_also_makes_an_update_of_the_lead() -> None:
    """In a channel of its own: one change, two webhooks."""
    (update,) = [expected for expected in expected_webhooks(MOVES) if expected.channel == "updates"]
    (hook,) = hooks(item("leads", "update", {"id": "7", **DATED}))
    assert (hook.channel, hook.key) == ("updates", update.key.text)


# ---- what the feed is asked for


def test_only_what_is_wanted_is_asked_for() -> None:
    (core,) = lanes({"leads.status"}, [])
    assert (core.name, core.types) == ("core", ("lead_status_changed",))
    names = {lane.name: lane for lane in lanes({"contacts.update", "message.add"}, [DpChannel("mail_in", STAGE)])}
    assert [*names] == ["core", "chat", "mail", "full"]
    assert names["mail"].types == ("incoming_mail",)
    assert names["chat"].params == {"filter[entity][]": "contact"}
    assert not names["full"].types


def test_a_type_is_looked_for_in_one_lane() -> None:
    every = {expected.key.webhook_type for _body, event, _action in CHANGES for expected in expected_webhooks(event)}
    found = lanes(every, [DpChannel(action, STAGE) for action in ("chat", "call_in", "mail_in", "site_visit", "add")])
    for _body, event, _action in CHANGES:
        assert len([lane for lane in found if lane.takes(event.type)]) == 1, event.type
