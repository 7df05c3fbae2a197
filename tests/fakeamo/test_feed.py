"""GET /api/v4/events of the double."""

from collections.abc import Callable
from itertools import pairwise

import pytest

from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.conftest import LATER, events, items, types_of
from tests.fakeamo.ulid import ALPHABET


def moved(amo: FakeAmo, times: int) -> None:
    """A lead that goes to and fro, once a second, long enough ago to be readable."""
    lead = amo.add_lead()
    stages = [amo.structure.stage(name) for name in ("Переговоры", "Оффер")]
    for at in range(times):
        amo.clock.advance(1)
        amo.move(lead, stages[at % 2])
    amo.clock.advance(LATER)


def test_an_account_without_history_answers_204_without_a_body(amo: FakeAmo) -> None:
    answer = amo.request("GET", "/api/v4/events")
    assert (answer.status, answer.body) == (204, b"")


@pytest.mark.parametrize("order", ["", "order[created_at]=asc", "order[created_at]=desc"])
def test_the_feed_is_newest_first_whatever_is_asked(amo: FakeAmo, order: str) -> None:
    moved(amo, 5)
    found = events(amo, order)
    assert len(found) == 6
    assert [each["id"] for each in found] == sorted((each["id"] for each in found), reverse=True)
    assert all(a["created_at"] >= b["created_at"] for a, b in pairwise(found))


def test_ids_are_26_characters_of_base_32_and_those_of_one_request_grow(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    fields = {each["id"]: "x" for each in amo.structure.fields["leads"]}
    found = [each.id for each in amo.update(lead, name="a", price=5, tag="t", fields=fields).events]
    assert {len(each) for each in found} == {26}
    assert set("".join(found)) <= set(ALPHABET)
    assert len({each[:10] for each in found}) == 1
    assert found == sorted(set(found))
    assert len(found) == 5


def test_a_page_has_a_next_one_only_if_there_is_one_and_no_totals(amo: FakeAmo) -> None:
    moved(amo, 5)
    first = amo.request("GET", "/api/v4/events?limit=4&page=1").json()
    last = amo.request("GET", "/api/v4/events?limit=4&page=2").json()
    assert first["_links"]["next"]["href"].endswith("limit=4&page=2")
    assert "next" not in last["_links"]
    assert not {"_total_items", "_page_count"} & {*first, *last}
    assert amo.request("GET", "/api/v4/events?limit=4&page=3").status == 204


def test_pages_drift_when_events_enter_while_they_are_read(amo: FakeAmo) -> None:
    moved(amo, 5)
    first = events(amo, "limit=3&page=1")
    moved(amo, 1)
    second = events(amo, "limit=3&page=2")
    assert {each["id"] for each in first} & {each["id"] for each in second}


def test_from_and_to_are_inclusive(amo: FakeAmo) -> None:
    moved(amo, 5)
    times = [each["created_at"] for each in reversed(events(amo))]
    found = events(amo, f"filter[created_at][from]={times[1]}&filter[created_at][to]={times[3]}")
    assert [each["created_at"] for each in found] == times[3:0:-1]


def test_one_number_begins_and_two_make_a_span(amo: FakeAmo) -> None:
    moved(amo, 5)
    times = [each["created_at"] for each in reversed(events(amo))]
    assert len(events(amo, f"filter[created_at]={times[4]}")) == 2
    assert len(events(amo, f"filter[created_at]={times[1]},{times[2]}")) == 2


def test_an_event_is_readable_within_12_seconds_and_not_at_once(clock: VirtualClock) -> None:
    amo = FakeAmo(1, clock=clock)
    for _ in range(50):
        amo.add_lead()
    assert len(events(amo)) < 50
    clock.advance(12.001)
    assert len(events(amo)) == 50


def test_stragglers_are_readable_up_to_a_day_later(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> None:
    amo = new_amo(stragglers=0.5)
    for _ in range(50):
        amo.add_lead()
    clock.advance(13)
    at_first = len(events(amo))
    clock.advance(86_400)
    assert 10 < at_first < 40
    assert len(events(amo)) == 50


# ---- filters


def test_types_filter_in_each_of_their_spellings(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    amo.update(lead, price=5)
    amo.give(lead, 3)
    amo.clock.advance(LATER)
    wanted = ["entity_responsible_changed", "sale_field_changed"]
    assert (
        types_of(events(amo, "filter[type][]=sale_field_changed&filter[type][]=entity_responsible_changed")) == wanted
    )
    assert types_of(events(amo, "filter%5Btype%5D=sale_field_changed,entity_responsible_changed")) == wanted
    assert (
        types_of(events(amo, "filter[type][0]=sale_field_changed&filter[type][1]=entity_responsible_changed")) == wanted
    )


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ("filter[type][]=lead_added&filter[type][]=internal_chat_message", "Invalid params passed to filter"),
        (
            "filter[type][]=lead_added&filter[type][]=custom_field_10014_value_changed",
            "Invalid params passed to filter",
        ),
        ("filter[type][]=custom_field_7_value_changed", "Invalid params passed to filter"),
        ("filter[entity][]=leads", "Invalid params passed to filter"),
        ("filter[entity][]=contact&filter[type][]=lead_added", "Given filter conflict with other params"),
        ("filter[entity][]=lead&filter[type][]=incoming_chat_message", "Given filter conflict with other params"),
        ("filter[entity_id][]=1", "Invalid params passed to filter"),
        ("filter[entity][]=lead&filter[entity][]=contact&filter[entity_id][]=1", "Invalid params passed to filter"),
        ("filter[entity][]=lead&" + "&".join(f"filter[entity_id][]={n}" for n in range(11)), "Invalid params"),
        ("&".join(f"filter[created_by][]={n}" for n in range(11)), "Invalid params passed to filter"),
    ],
)
def test_what_the_feed_refuses_is_refused_as_a_whole(amo: FakeAmo, query: str, detail: str) -> None:
    moved(amo, 1)
    answer = amo.request("GET", f"/api/v4/events?{query}")
    assert (answer.status, answer.headers["Content-Type"]) == (400, "application/problem+json")
    assert answer.json()["detail"].startswith(detail)


def test_ten_entities_of_one_kind_filter(amo: FakeAmo) -> None:
    leads = [amo.add_lead() for _ in range(11)]
    amo.clock.advance(LATER)
    ids = "&".join(f"filter[entity_id][]={lead.id}" for lead in leads[:10])
    assert len(events(amo, f"filter[entity][]=lead&{ids}")) == 10


def test_a_type_of_a_custom_field_filters_alone_and_there_is_an_item_for_the_value(amo: FakeAmo) -> None:
    field = amo.structure.fields["leads"][1]["id"]
    amo.update(amo.add_lead(), fields={field: "Омск"})
    amo.clock.advance(LATER)
    (found,) = events(amo, f"filter[type][]=custom_field_{field}_value_changed")
    assert found["value_after"][0]["custom_field_value"]["text"] == "Омск"
    assert found["value_before"] == []


def test_robots_are_user_0_and_filter_by_it(amo: FakeAmo) -> None:
    amo.add_lead(by=0)
    amo.add_lead(by=10_010)
    amo.clock.advance(LATER)
    assert [each["created_by"] for each in events(amo, "filter[created_by][]=0")] == [0]


def test_the_state_after_filters(amo: FakeAmo) -> None:
    moved(amo, 4)
    offer = amo.structure.stage("Оффер").id
    query = "filter[type][]=lead_status_changed&filter[value_after][leads_statuses][0][status_id]="
    assert len(events(amo, f"{query}{offer}")) == 2
    assert len(events(amo, f"{query}143")) == 0


@pytest.mark.parametrize(("over", "status"), [("refuse", 422), ("clamp", 200)])
def test_more_than_100_on_a_page_is_refused_or_clamped(new_amo: Callable[..., FakeAmo], over: str, status: int) -> None:
    amo = new_amo(events_over_limit=over)
    moved(amo, 120)
    answer = amo.request("GET", "/api/v4/events?limit=250")
    assert answer.status == status
    assert status == 422 or len(answer.json()["_embedded"]["events"]) == 100


def test_letters_are_in_the_feed_only_if_their_type_is_asked_for(amo: FakeAmo) -> None:
    amo.mail([amo.add_lead()])
    amo.clock.advance(LATER)
    assert types_of(events(amo)) == ["lead_added"]
    assert types_of(events(amo, "filter[type][]=incoming_mail&filter[type][]=outgoing_mail")) == ["incoming_mail"]


def test_a_message_stands_under_its_lead_and_filters_as_its_contact_without_its_text(amo: FakeAmo) -> None:
    lead, contact = amo.add_lead(), amo.add_contact()
    uuid = amo.message(contact, "Секрет", lead=lead)
    amo.clock.advance(LATER)
    (found,) = events(amo, "filter[entity][]=contact&filter[type][]=incoming_chat_message")
    assert (found["entity_type"], found["entity_id"]) == ("lead", lead.id)
    assert found["linked_talk_contact_id"] == contact.id
    assert found["value_after"][0]["message"]["id"] == uuid
    assert "Секрет" not in str(items(amo, "events"))
    assert "incoming_chat_message" not in types_of(events(amo, "filter[entity][]=lead"))


def test_a_message_stands_under_its_contact_once_the_lead_is_deleted(amo: FakeAmo) -> None:
    lead, contact = amo.add_lead(), amo.add_contact()
    amo.message(contact, lead=lead)
    amo.delete(lead)
    amo.message(contact)
    amo.clock.advance(LATER)
    found = events(amo, "filter[entity][]=contact&filter[type][]=incoming_chat_message")
    assert [each["entity_type"] for each in found] == ["contact", "lead"]


def test_one_event_is_found_by_its_id_and_an_unknown_one_is_204(amo: FakeAmo) -> None:
    moved(amo, 1)
    (found,) = [each for each in events(amo) if each["type"] == "lead_status_changed"]
    assert amo.request("GET", f"/api/v4/events/{found['id']}").json() == found
    assert amo.request("GET", "/api/v4/events/01kx88gvkr0000000000000000").status == 204


def test_types_are_listed_with_their_numbers_and_those_of_custom_fields(amo: FakeAmo) -> None:
    found = {each["key"]: each["type"] for each in items(amo, "events/types?language_code=ru")}
    assert found["lead_status_changed"] == 14
    assert found["incoming_mail"] == 16
    assert found[f"custom_field_{amo.structure.fields['leads'][0]['id']}_value_changed"] == 24
    assert not [key for key in found if "unsorted" in key]


# ---- Kommo


@pytest.mark.parametrize(
    "query",
    [
        "filter[created_at][to]=1783762000",
        "filter[entity][]=customer",
        "filter[entity][]=lead&filter[entity][]=contact",
        "filter[type][]=customer_added",
    ],
)
def test_kommo_refuses_more(new_amo: Callable[..., FakeAmo], query: str) -> None:
    amo, kommo = new_amo(), new_amo(kommo=True)
    assert amo.request("GET", f"/api/v4/events?{query}").status == 204
    assert kommo.request("GET", f"/api/v4/events?{query}").status == 400


def test_kommo_gives_250_on_a_page(new_amo: Callable[..., FakeAmo]) -> None:
    kommo = new_amo(kommo=True)
    moved(kommo, 260)
    assert len(events(kommo, "limit=250")) == 250


# ---- shapes


def test_a_move_tells_the_stages_before_and_after(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    first, offer = (amo.structure.stage(name) for name in ("Первичный контакт", "Оффер"))
    amo.move(lead, offer)
    amo.clock.advance(LATER)
    (found,) = events(amo, "filter[type][]=lead_status_changed")
    pipeline = amo.structure.pipelines[0].id
    assert found["value_after"] == [{"lead_status": {"id": offer.id, "pipeline_id": pipeline}}]
    assert found["value_before"] == [{"lead_status": {"id": first.id, "pipeline_id": pipeline}}]
    assert found["_embedded"]["entity"]["id"] == found["entity_id"] == lead.id


def test_every_verb_writes_the_events_that_are_known_of_it(amo: FakeAmo) -> None:
    lead, contact = amo.add_lead(), amo.add_contact()
    task = amo.add_task(lead)
    before = len(amo.feed)
    amo.delete(lead)
    amo.restore(lead)
    note = amo.note(contact)
    amo.delete_note(note)
    amo.call(contact)
    amo.call(contact, incoming=False)
    amo.visit(lead)
    amo.link(lead, contact)
    amo.give(contact, 3)
    amo.complete(task, result="да")
    amo.postpone(task, 5)
    amo.retext(task, "б")
    amo.delete_task(task)
    amo.give_task(amo.add_task(lead), 3)
    amo.unsorted()
    assert [each.type for each in amo.feed[before:]] == [
        *(
            "lead_deleted",
            "lead_restored",
            "common_note_added",
            "common_note_deleted",
            "incoming_call",
            "outgoing_call",
        ),
        *("site_visit_note_added", "entity_linked", "entity_linked", "entity_responsible_changed", "task_completed"),
        *("task_result_added", "task_deadline_changed", "task_text_changed", "task_deleted", "task_added"),
    ]


def test_the_id_in_the_event_of_a_note_is_that_of_the_note_and_of_its_webhook(amo: FakeAmo) -> None:
    amo.subscribe("http://127.0.0.1/h", ["note_lead"])
    lead = amo.add_lead()
    note = amo.note(lead, "текст")
    amo.clock.advance(LATER)
    (found,) = events(amo, "filter[type][]=common_note_added")
    assert found["value_after"] == [{"note": {"id": note["id"]}}]
    assert items(amo, f"leads/notes?filter[id][]={note['id']}")[0]["params"] == {"text": "текст"}
    (post,) = amo.due()
    assert f"%5Bid%5D={note['id']}&" in post.body.decode()
