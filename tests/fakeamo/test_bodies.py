"""Bodies of the double, read by the relay's own decoder: each tells of the row that it was posted for."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count
from urllib.parse import parse_qsl, urlsplit

import pytest

from relay.amocrm import shapes
from relay.model import Event
from tests.fakeamo import SETTINGS, FakeAmo, Post
from tests.fakeamo.traffic import Traffic

HERE = "http://127.0.0.1:8080/hooks/crm/token"
UNSORTED = ["add_unsorted", "delete_unsorted"]


def read(post: Post) -> list[Event]:
    numbers = count()
    return shapes.BodyReader().read(
        post.body,
        post.headers["Content-Type"],
        source="crm",
        received_at=datetime.fromtimestamp(post.at, UTC),
        new_id=lambda: str(next(numbers)),
        query=urlsplit(post.destination).query,
    )


def told_of(amo: FakeAmo) -> list[Event]:
    """Events of all webhooks that are due, in the order of the changes."""
    amo.clock.advance(5)
    return [event for post in sorted(amo.due(), key=lambda post: post.number) for event in read(post)]


def subscribed(amo: FakeAmo, *settings: str) -> FakeAmo:
    amo.subscribe(HERE, [*settings])
    return amo


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kommo", [False, True], ids=["amo", "kommo"])
def test_every_webhook_of_a_busy_day_is_read_as_the_row_says(
    new_amo: Callable[..., FakeAmo], kommo: bool, seed: int
) -> None:
    amo = subscribed(new_amo(kommo=kommo), *SETTINGS, *UNSORTED)
    for pipeline in amo.structure.pipelines:
        for at, stage in enumerate(pipeline.stages[1:]):
            on = ("status", "add", "call_in", "mail_in", "chat", "site_visit")
            amo.add_trigger(stage.id, f"{HERE}?try={at}", *on, pipeline=pipeline.id)
    traffic = Traffic(amo, seed)
    seen: set[tuple[str, str]] = set()
    for _ in range(400):
        traffic.change()
        amo.clock.advance(1)
        for post in amo.due():
            (event,), (row,) = read(post), post.rows
            assert (event.entity, event.action) == (row.entity, row.action)
            found = event.data.get(
                "talk_id" if event.entity == "talk" else "uid" if event.entity == "unsorted" else "id"
            )
            assert (event.data["element_id"] if event.action == "note" else found) == row.entity_id
            assert row.action != "note" or (found,) == row.new
            seen.add((row.channel.split(":")[0], f"{row.entity}.{row.action}"))
    assert {each for channel, each in seen if channel == "dp"} >= {
        "leads.status",
        "leads.add",
        "leads.call_in",
        "leads.chat",
    }
    assert {each for channel, each in seen if channel == "account"} >= {
        *(
            "leads.add",
            "leads.status",
            "leads.update",
            "leads.delete",
            "leads.restore",
            "leads.responsible",
            "leads.note",
        ),
        *("contacts.add", "contacts.update", "contacts.note", "companies.add", "companies.update", "task.add"),
        *("task.update", "message.add", "outgoing_message.add", "talk.add", "unsorted.add"),
    }


def test_a_move_is_told_by_three_webhooks(amo: FakeAmo) -> None:
    subscribed(amo, "status_lead", "update_lead")
    first, offer = amo.structure.stage("Первичный контакт"), amo.structure.stage("Оффер")
    amo.add_trigger(offer.id, f"{HERE}?try=1")
    lead = amo.add_lead("Сделка №1", price=500)
    mutation = amo.move(lead, offer, by=3)
    status, update, trigger = told_of(amo)
    assert (status.type, update.type, trigger.type) == ("leads.status", "leads.update", "leads.status")
    assert status.data["name"] == "Сделка №1"
    assert status.data["old_status_id"] == update.data["old_status_id"] == first.id
    assert status.data["last_modified"] == mutation.events[0].created_at
    assert status.data["modified_user_id"] == 3
    assert "old_pipeline_id" not in status.data
    pipeline = amo.structure.pipelines[0].id
    assert trigger.data == {
        "id": lead.id,
        "status_id": offer.id,
        "pipeline_id": pipeline,
        "old_status_id": first.id,
        "old_pipeline_id": pipeline,
    }
    assert trigger.query == {"try": "1"}
    assert [row.channel for row in mutation.rows] == ["account", "account", f"dp:status:{offer.id}:try=1"]


def test_the_account_block_is_first_and_that_of_a_trigger_last(amo: FakeAmo) -> None:
    subscribed(amo, "add_lead")
    amo.add_trigger(amo.structure.stage("Первичный контакт").id, HERE)
    amo.add_lead()
    amo.clock.advance(1)
    names = {type(post.sender).__name__: [name for name, _ in parse_qsl(post.body.decode())] for post in amo.due()}
    assert names["Subscription"][:3] == ["account[subdomain]", "account[id]", "account[_links][self]"]
    assert names["Trigger"][-2:] == ["account[id]", "account[subdomain]"]


def test_two_equal_moves_by_a_trigger_have_the_same_body(amo: FakeAmo) -> None:
    first, offer = amo.structure.stage("Первичный контакт"), amo.structure.stage("Оффер")
    amo.add_trigger(offer.id, HERE, "status")
    lead = amo.add_lead()
    for stage in (offer, first, offer):
        amo.clock.advance(1)
        amo.move(lead, stage)
    amo.clock.advance(1)
    one, other = amo.due()
    assert one.body == other.body


def test_deletions_are_little_more_than_the_id(amo: FakeAmo) -> None:
    subscribed(amo, "delete_lead", "delete_contact", "delete_company", "delete_task")
    lead, contact, company = amo.add_lead(), amo.add_contact(), amo.add_company()
    task = amo.add_task(lead)
    for card in (lead, contact, company):
        amo.delete(card)
    amo.delete_task(task)
    found = {event.type: event.data for event in told_of(amo)}
    assert set(found["leads.delete"]) == {"id", "status_id", "pipeline_id"}
    assert found["contacts.delete"] == {"id": contact.id, "type": "contact"}
    assert found["companies.delete"] == {"id": company.id, "type": "company"}
    assert found["task.delete"] == {"id": task.id}


def test_a_new_owner_is_told_by_an_update_of_contacts_and_companies(amo: FakeAmo) -> None:
    subscribed(amo, "responsible_lead", "responsible_contact", "responsible_company", "update_contact")
    cards = [amo.add_lead(), amo.add_contact(), amo.add_company()]
    old = cards[0].fields["responsible_user_id"]
    for card in cards:
        amo.give(card, 3)
    found = told_of(amo)
    assert [event.type for event in found] == ["leads.responsible", "contacts.update", "companies.update"]
    assert [(e.data["old_responsible_user_id"], e.data["responsible_user_id"]) for e in found] == [(old, 3)] * 3


def test_a_letter_is_told_by_its_trigger_alone(amo: FakeAmo) -> None:
    subscribed(amo, *SETTINGS)
    leads = [amo.add_lead(), amo.add_lead()]
    amo.add_trigger(leads[0].fields["status_id"], HERE, "mail_in")
    told_of(amo)
    amo.mail(leads)
    assert [event.type for event in told_of(amo)] == ["leads.mail_in", "leads.mail_in"]
    assert len([each for each in amo.feed if each.type == "incoming_mail"]) == 2


def test_a_call_by_a_client_may_leave_triggers_alone(amo: FakeAmo) -> None:
    contact, lead = amo.add_contact(), amo.add_lead()
    amo.add_trigger(lead.fields["status_id"], HERE, "call_in")
    amo.call(contact, lead=lead, triggers=False)
    assert told_of(amo) == []
    amo.call(contact, lead=lead)
    assert [event.data["id"] for event in told_of(amo)] == [lead.id]
    assert [each.type for each in amo.feed if each.entity_type == "contact"][1:] == ["incoming_call", "incoming_call"]


def test_a_message_brings_its_text_by_webhook_alone(amo: FakeAmo) -> None:
    subscribed(amo, "add_message", "add_outgoing_message", "add_talk")
    lead, contact = amo.add_lead(), amo.add_contact()
    uuid = amo.message(contact, "Привет & пока = 100 %", lead=lead)
    amo.message(contact, "Ответ", incoming=False)
    talk, incoming, outgoing = told_of(amo)
    assert (talk.type, incoming.type, outgoing.type) == ("talk.add", "message.add", "outgoing_message.add")
    assert (incoming.data["id"], incoming.data["text"]) == (uuid, "Привет & пока = 100 %")
    assert "id" not in talk.data


def test_a_chat_may_fire_its_trigger_once_a_talk(new_amo: Callable[..., FakeAmo]) -> None:
    for quirk, times in (("each", 3), ("first", 1)):
        amo = new_amo(chat_trigger=quirk)
        lead, contact = amo.add_lead(), amo.add_contact()
        amo.add_trigger(lead.fields["status_id"], HERE, "chat")
        for _ in range(3):
            amo.message(contact, lead=lead)
        assert len(told_of(amo)) == times


def test_an_incoming_lead_is_told_as_added_and_as_deleted_whatever_becomes_of_it(amo: FakeAmo) -> None:
    subscribed(amo, *UNSORTED)
    kept, lost = amo.unsorted(), amo.unsorted(category="mail")
    amo.accept(kept)
    amo.decline(lost)
    found = told_of(amo)
    assert [event.type for event in found] == ["unsorted.add", "unsorted.add", "unsorted.delete", "unsorted.delete"]
    assert [event.data.get("action") for event in found[2:]] == ["accept", "decline"]
    assert found[2].data["accept_result"] == {"leads": [kept.lead.id]}


def test_changes_made_together_come_in_one_body(amo: FakeAmo) -> None:
    subscribed(amo, "add_lead", "add_contact")
    with amo.together():
        leads = [amo.add_lead(), amo.add_lead()]
        contact = amo.add_contact()
    amo.clock.advance(1)
    (post,) = amo.due()
    assert [event.data["id"] for event in read(post)] == [*(lead.id for lead in leads), contact.id]
    assert [row.entity_id for row in post.rows] == [*(lead.id for lead in leads), contact.id]


def test_times_of_contacts_may_stand_still(new_amo: Callable[..., FakeAmo]) -> None:
    amo = subscribed(new_amo(still_times=True), "update_contact", "update_lead")
    contact, lead = amo.add_contact(), amo.add_lead()
    created = contact.fields["created_at"]
    amo.clock.advance(100)
    amo.update(contact, name="Другой")
    amo.update(lead, price=5)
    by_contact, by_lead = told_of(amo)
    assert by_contact.data["last_modified"] == by_contact.data["updated_at"] == created
    assert by_lead.data["last_modified"] == created + 100
    assert contact.revision == 1


def test_the_time_of_a_lead_may_differ_a_little_from_that_of_its_event(new_amo: Callable[..., FakeAmo]) -> None:
    amo = subscribed(new_amo(time_jitter=3), "status_lead")
    lead = amo.add_lead()
    stages = [amo.structure.stage(name) for name in ("Переговоры", "Оффер")]
    differences = set()
    for at in range(40):
        amo.clock.advance(10)
        mutation = amo.move(lead, stages[at % 2])
        (event,) = told_of(amo)
        differences.add(event.data["last_modified"] - mutation.events[0].created_at)
    assert differences <= set(range(-3, 4))
    assert len(differences) > 3


def test_won_is_a_stage_of_its_own_in_each_pipeline(amo: FakeAmo) -> None:
    one, other = amo.structure.pipelines
    amo.add_trigger(142, HERE, pipeline=other.id)
    leads = [amo.add_lead(stage=pipeline.stages[1]) for pipeline in (one, other)]
    for lead in leads:
        amo.move(lead, 142)
    (event,) = told_of(amo)
    assert (event.data["id"], event.data["pipeline_id"]) == (leads[1].id, other.id)


def test_parameters_of_a_channel_have_one_order(amo: FakeAmo) -> None:
    triggers = [amo.add_trigger(10_005, f"{HERE}?{query}") for query in ("b=2&a=1", "a=1&b=2", "a=1&b=%32")]
    assert {trigger.channel("status") for trigger in triggers} == {"dp:status:10005:a=1&b=2"}


def test_a_delayed_trigger_comes_later_and_a_condition_may_keep_it_away(amo: FakeAmo) -> None:
    stage = amo.structure.stage("Первичный контакт").id
    amo.add_trigger(stage, HERE, "add", delay=3_600.0, condition=lambda lead: lead.fields["price"] > 100)
    amo.add_lead(price=5)
    amo.add_lead(price=500)
    assert told_of(amo) == []
    amo.clock.advance(3_600)
    assert len(told_of(amo)) == 1


def test_the_row_says_when_nobody_was_subscribed(amo: FakeAmo) -> None:
    assert amo.move(amo.add_lead(), amo.structure.stage("Оффер")).rows == ()
    subscribed(amo, "delete_lead")
    assert amo.move(amo.add_lead(), amo.structure.stage("Оффер")).rows == ()


def test_the_same_seed_gives_the_same_account(new_amo: Callable[..., FakeAmo]) -> None:
    bodies = []
    for _ in range(2):
        amo = subscribed(new_amo(), *SETTINGS)
        traffic = Traffic(amo, 3)
        bodies.append([traffic.change() for _ in range(100)] + [post.body for post in amo.posts.all])
    assert bodies[0][:100] == bodies[1][:100]
    assert len(bodies[0]) > 150
