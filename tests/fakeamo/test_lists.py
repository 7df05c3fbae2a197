"""Lists of the double: cards, notes, tasks, incoming leads, talks, and the account's structure."""

from collections.abc import Callable

import pytest

from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.conftest import items


def test_a_lead_is_as_api_v4_has_it(amo: FakeAmo) -> None:
    contact = amo.add_contact()
    lead = amo.add_lead("Сделка", price=500, contacts=[contact.id])
    amo.update(lead, tag="важно", fields={amo.structure.fields["leads"][1]["id"]: "Омск"})
    found = amo.request("GET", f"/api/v4/leads/{lead.id}?with=contacts").json()
    assert (found["name"], found["price"]) == ("Сделка", 500)
    assert found["_embedded"]["contacts"] == [{"id": contact.id, "is_main": True}]
    assert found["_embedded"]["tags"][0]["name"] == "важно"
    (field,) = found["custom_fields_values"]
    assert (field["field_name"], field["values"]) == ("Город", [{"value": "Омск"}])
    assert "contacts" not in amo.request("GET", f"/api/v4/leads/{lead.id}").json()["_embedded"]


def test_who_creates_a_lead_may_claim_another_time(amo: FakeAmo) -> None:
    lead = amo.add_lead(created_at=1_000_000_000)
    assert items(amo, "leads")[0]["created_at"] == 1_000_000_000
    assert amo.feed[0].created_at > 1_000_000_000 < lead.fields["updated_at"]


def test_an_empty_list_an_unknown_id_and_a_page_past_the_end_are_204(amo: FakeAmo) -> None:
    assert amo.request("GET", "/api/v4/leads").status == 204
    amo.add_lead()
    for path in ("leads/999999", "leads?page=2", "contacts", "leads/notes", "leads/unsorted", "tasks", "talks"):
        answer = amo.request("GET", f"/api/v4/{path}")
        assert (answer.status, answer.body) == (204, b"")
        amo.clock.advance(1)


def test_a_list_has_a_next_page_and_no_totals(amo: FakeAmo) -> None:
    for _ in range(3):
        amo.add_lead()
    found = amo.request("GET", "/api/v4/leads?limit=2").json()
    assert "page=2" in found["_links"]["next"]["href"]
    assert "_total_items" not in found


def test_more_than_250_on_a_page_is_refused(amo: FakeAmo) -> None:
    answer = amo.request("GET", "/api/v4/leads?limit=251")
    assert (answer.status, answer.json()["detail"]) == (422, "Limit of 250 per page")


# ---- filters of alpha


@pytest.mark.parametrize(
    ("quirks", "filtered"),
    [({"alpha": True}, True), ({"alpha": False}, False), ({"alpha": False, "kommo": True}, True)],
    ids=["alpha", "without", "kommo"],
)
def test_filters_without_the_flag_are_ignored_without_a_word(
    new_amo: Callable[..., FakeAmo], clock: VirtualClock, quirks: dict[str, bool], filtered: bool
) -> None:
    amo = new_amo(**quirks)
    leads = []
    for _ in range(3):
        leads.append(amo.add_lead())
        clock.advance(10)
    at = leads[1].fields["updated_at"]
    for query in (
        f"filter[id][]={leads[1].id}",
        f"filter[updated_at][from]={at}&filter[updated_at][to]={at}",
        f"filter%5Bid%5D%5B0%5D={leads[1].id}",
    ):
        assert len(items(amo, f"leads?{query}")) == (1 if filtered else 3)


def test_the_flag_is_told_by_the_account_only_if_it_is_asked(new_amo: Callable[..., FakeAmo]) -> None:
    for alpha in (True, False):
        amo = new_amo(alpha=alpha)
        assert amo.request("GET", "/api/v4/account?with=is_api_filter_enabled").json()["is_api_filter_enabled"] is alpha
        assert "is_api_filter_enabled" not in amo.request("GET", "/api/v4/account").json()


def test_one_number_for_a_time_finds_nothing(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    assert items(amo, f"leads?filter[updated_at]={lead.fields['updated_at']}") == []


def test_statuses_filter_together_with_their_pipeline(amo: FakeAmo) -> None:
    offer = amo.structure.stage("Оффер")
    amo.add_lead()
    lead = amo.add_lead(stage=offer)
    pipeline = amo.structure.pipelines[0].id
    query = f"filter[statuses][0][pipeline_id]={pipeline}&filter[statuses][0][status_id]={offer.id}"
    assert [each["id"] for each in items(amo, f"leads?{query}")] == [lead.id]


def test_the_order_by_updates_is_kept_also_without_alpha(new_amo: Callable[..., FakeAmo], clock: VirtualClock) -> None:
    amo = new_amo(alpha=False)
    first, second = amo.add_contact(), amo.add_contact()
    clock.advance(5)
    amo.update(first, name="Новее")
    assert [each["id"] for each in items(amo, "contacts?order[updated_at]=desc")] == [first.id, second.id]
    assert [each["id"] for each in items(amo, "contacts?order[updated_at]=asc")] == [second.id, first.id]


# ---- the bin


def test_what_is_deleted_lies_in_the_bin_until_it_is_purged(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    amo.delete(lead)
    assert amo.request("GET", f"/api/v4/leads/{lead.id}").status == 204
    (found,) = items(amo, "leads?with=only_deleted")
    assert {*found} == {"id", "updated_at", "updated_by", "is_deleted", "_links"}
    amo.purge(lead)
    assert items(amo, "leads?with=only_deleted") == []


def test_what_is_restored_is_listed_again(amo: FakeAmo) -> None:
    lead = amo.add_lead()
    amo.delete(lead)
    amo.restore(lead)
    assert [each["id"] for each in items(amo, "leads")] == [lead.id]
    with pytest.raises(LookupError):
        amo.restore(lead)


def test_a_merged_card_is_gone(amo: FakeAmo) -> None:
    kept, lost = amo.add_contact(), amo.add_contact()
    amo.merge(kept, lost)
    assert [each["id"] for each in items(amo, "contacts")] == [kept.id]
    assert amo.feed[-1].type == "entity_merged"


# ---- notes and tasks: for every account


def test_notes_filter_by_their_ids_and_kinds_and_ignore_when_they_were_made(new_amo: Callable[..., FakeAmo]) -> None:
    amo = new_amo(alpha=False)
    lead, other = amo.add_lead(), amo.add_lead()
    note = amo.note(lead, "раз")
    amo.call(other)
    assert [each["id"] for each in items(amo, f"leads/notes?filter[id][]={note['id']}")] == [note["id"]]
    assert [each["note_type"] for each in items(amo, "leads/notes?filter[note_type][]=call_in")] == ["call_in"]
    assert len(items(amo, "leads/notes?filter[created_at][from]=4000000000")) == 2
    assert len(items(amo, f"leads/{lead.id}/notes")) == 1
    assert amo.request("GET", f"/api/v4/leads/{lead.id}/notes/{note['id']}").json()["params"] == {"text": "раз"}
    assert items(amo, "contacts/notes") == []


def test_tasks_filter_by_their_updates_and_the_deleted_ones_are_gone(amo: FakeAmo, clock: VirtualClock) -> None:
    lead = amo.add_lead()
    old, gone, done = (amo.add_task(lead, text) for text in "абв")
    clock.advance(60)
    amo.complete(done, result="готово")
    amo.delete_task(gone)
    assert [each["id"] for each in items(amo, "tasks")] == [old.id, done.id]
    now = int(clock())
    (found,) = items(amo, f"tasks?filter[updated_at][from]={now}&filter[updated_at][to]={now}")
    assert (found["id"], found["is_completed"], found["result"]) == (done.id, True, {"text": "готово"})
    assert [each["id"] for each in items(amo, "tasks?filter[is_completed]=1")] == [done.id]
    assert amo.request("GET", f"/api/v4/tasks/{gone.id}").status == 204


# ---- incoming leads and talks


@pytest.mark.parametrize("at", ["arrival", "acceptance"])
def test_an_incoming_lead_leaves_its_list_and_when_it_is_added_is_a_quirk(
    new_amo: Callable[..., FakeAmo], at: str
) -> None:
    amo = new_amo(lead_added_at=at)
    kept, lost = amo.unsorted(), amo.unsorted(category="chats")
    assert [each.type for each in amo.feed] == (["lead_added"] * 2 if at == "arrival" else [])
    assert [each["category"] for each in items(amo, "leads/unsorted?filter[category][]=chats")] == ["chats"]
    found = items(amo, f"leads/unsorted?filter[uid][]={lost.uid}")[0]
    assert found["metadata"]["last_message_text"] == "Здравствуйте"
    assert len(items(amo, "leads/unsorted?filter[created_at][from]=4000000000")) == 2
    amo.accept(kept)
    amo.decline(lost)
    assert items(amo, "leads/unsorted") == []
    assert amo.request("GET", f"/api/v4/leads/unsorted/{kept.uid}").status == 204
    (lead,) = (card for card in amo.cards["leads"].values() if card.state == "live")
    assert (lead.id, lead.fields["status_id"]) == (kept.lead.id, amo.structure.stage("Первичный контакт").id)
    assert [each.type for each in amo.feed] == (
        ["lead_added", "lead_added", "lead_status_changed", "lead_deleted"] if at == "arrival" else ["lead_added"]
    )


def test_an_incoming_lead_that_is_linked_is_gone(amo: FakeAmo) -> None:
    item = amo.unsorted()
    mutation = amo.link_incoming(item, amo.add_lead())
    assert (mutation.kind, mutation.entity_id) == ("link", item.uid)
    assert items(amo, "leads/unsorted") == []
    assert len(items(amo, "leads")) == 1


def test_talks_are_listed_by_contact_and_by_lead(amo: FakeAmo) -> None:
    lead, contact, other = amo.add_lead(), amo.add_contact(), amo.add_contact()
    amo.message(contact, lead=lead)
    amo.message(other)
    (talk,) = items(amo, f"talks?filter[contact_id]={contact.id}")
    assert (talk["entity_id"], talk["status"], talk["is_read"]) == (lead.id, "in_work", False)
    amo.close(amo.talks[talk["talk_id"]])
    assert amo.request("GET", f"/api/v4/talks/{talk['talk_id']}").json()["status"] == "closed"
    assert len(items(amo, "talks?filter[only_in_work]=1")) == 1
    assert amo.feed[-1].type == "talk_closed"


@pytest.mark.parametrize(("kommo", "status"), [(False, 404), (True, 403)])
def test_messages_have_no_list_of_ours(new_amo: Callable[..., FakeAmo], kommo: bool, status: int) -> None:
    amo = new_amo(kommo=kommo)
    amo.message(amo.add_contact())
    answer = amo.request("GET", f"/api/v4/talks/{next(iter(amo.talks))}/messages")
    assert answer.status == status


# ---- structure


def test_pipelines_come_on_one_page_with_their_stages_and_won_and_lost_in_each(amo: FakeAmo) -> None:
    found = amo.request("GET", "/api/v4/leads/pipelines").json()
    assert found["_total_items"] == 2
    for pipeline in found["_embedded"]["pipelines"]:
        statuses = pipeline["_embedded"]["statuses"]
        assert [status["id"] for status in statuses[-2:]] == [142, 143]
        assert [status["type"] for status in statuses].count(1) == 1
        assert {status["pipeline_id"] for status in statuses} == {pipeline["id"]}
    one = found["_embedded"]["pipelines"][0]
    assert amo.request("GET", f"/api/v4/leads/pipelines/{one['id']}").json()["name"] == "Продажи"
    assert amo.request("GET", f"/api/v4/leads/pipelines/{one['id']}/statuses").json()["_total_items"] == 6
    assert amo.request("GET", "/api/v4/leads/pipelines/7").status == 204


def test_a_lead_that_is_won_stays_in_its_pipeline(amo: FakeAmo) -> None:
    lead = amo.add_lead(stage=amo.structure.stage("Новая", "Повторные"))
    amo.move(lead, 142)
    assert lead.fields["pipeline_id"] == amo.structure.pipelines[1].id
    assert lead.fields["closed_at"]


def test_users_and_fields_have_pages_and_totals(amo: FakeAmo) -> None:
    amo.structure.add_user("Иван Петров")
    assert [each["name"] for each in items(amo, "users")].count("Иван Петров") == 2
    first = amo.request("GET", "/api/v4/contacts/custom_fields?limit=1").json()
    assert (first["_total_items"], first["_page_count"]) == (2, 2)
    assert first["_embedded"]["custom_fields"][0]["code"] == "PHONE"
    assert "page=2" in first["_links"]["next"]["href"]


def test_only_administrators_see_users(amo: FakeAmo) -> None:
    token = amo.tokens.long_lived(user=amo.structure.users[1]["id"])
    answer = amo.request("GET", "/api/v4/users", {"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.headers["Content-Type"]) == (403, "application/problem+json")


def test_kommo_has_no_customers(new_amo: Callable[..., FakeAmo]) -> None:
    assert new_amo().request("GET", "/api/v4/customers").status == 204
    kommo = new_amo(kommo=True)
    assert kommo.request("GET", "/api/v4/customers").status == 404
    with pytest.raises(LookupError):
        kommo.add_customer()


def test_an_unknown_path_is_404_and_another_method_405(amo: FakeAmo) -> None:
    answer = amo.request("GET", "/api/v4/nothing")
    assert (answer.status, answer.json()["detail"]) == (404, "Cannot GET https://example.amocrm.ru/api/v4/nothing")
    assert amo.request("PUT", "/api/v4/account").status == 405
    assert amo.request("PUT", "/elsewhere").headers["Content-Type"].startswith("text/html")
