"""/leads/{id} and other objects: events by time against the targets; and the search box that leads there."""

import pytest

from relay.admin.console.pages.search import Meant, meant
from relay.amocrm import form, sample_bodies
from relay.store.contract import Archive
from tests.admin.console.conftest import VIEWER, Client, see
from tests.cli.conftest import CONTACT, OFFER, event_of, keep


async def test_the_story_of_a_lead_has_a_column_for_each_target_and_what_became_of_each(browser: Client) -> None:
    seen = await see(browser, "/leads/4831596")
    assert "Lead 4831596" in seen.text
    assert {"/targets/sales-bot", "/targets/warehouse", f"/events/{event_of(OFFER)}"} <= set(seen.links)
    assert "dead 400 is in dead_on" in seen.text
    assert "delivered" in seen.text


async def test_what_is_dead_can_be_replayed_by_an_operator_alone(browser: Client, guarded: Client) -> None:
    address = f"/events/{event_of(OFFER)}/replay"
    assert (await see(browser, "/leads/4831596")).form(address)["target"] == "warehouse"
    seen = await see(guarded, "/leads/4831596", headers=VIEWER)
    assert address not in [each["action"] for each in seen.forms]


async def test_of_an_object_without_events_it_says_so(browser: Client) -> None:
    assert "No event about this is stored." in (await see(browser, "/contacts/1")).text


async def test_the_next_page_is_a_link(browser: Client, store: Archive) -> None:
    await keep(store, "019ab000-0009-7000-8000-000000000000", form.encode(sample_bodies.body("leads.status")))
    first = await see(browser, "/leads/4831596?limit=1")
    [older] = [each for each in first.links if "before=" in each]
    last = await see(browser, older)
    shown = [[each for each in page.links if each.startswith("/events/")] for page in (first, last)]
    assert shown[1] == [f"/events/{event_of(OFFER)}"] != shown[0]
    renewed = [each for each in last.links if "before=" in each]
    assert "/leads/4831596" in last.links
    assert renewed == [older]


async def test_a_viewer_sees_the_story_without_names_and_answers(guarded: Client) -> None:
    seen = await see(guarded, "/leads/4831596", headers=VIEWER)
    assert "dead" in seen.text and "bad price" not in seen.text


# ---- the search box


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("4831596", Meant(number="4831596", id="4831596")),
        ("contacts 77", Meant(entity="contacts", number="77")),
        ("leads/77", Meant(entity="leads", number="77")),
        ("beads 77", Meant()),
        ("lead 77", Meant(entity="leads", number="77")),
        ("Company #77", Meant(entity="companies", number="77")),
        ("Сделка 77", Meant(entity="leads", number="77")),
        ("сделка №77", Meant(entity="leads", number="77")),
        ("покупатель 77", Meant(entity="customers", number="77")),
        ("https://x.amocrm.ru/leads/detail/77", Meant(entity="leads", number="77")),
        ("https://x.kommo.com/contacts/detail/77?tab=1#note", Meant(entity="contacts", number="77")),
        ("x.amocrm.ru/companies/detail/77/", Meant(entity="companies", number="77")),
        ("https://x.amocrm.ru/customers/detail/77", Meant(entity="customers", number="77")),
        ("https://x.amocrm.ru/leads/pipeline/77", Meant()),
        ("019AB000-0001", Meant(id="019ab000-0001")),
        ("abc", Meant()),
        ("state:dead target:dwh", Meant(filters=(("state", "dead"), ("target", "dwh")))),
        ("stat:dead", Meant()),
        ("", Meant()),
        ("Анна", Meant()),
        ("9" * 21, Meant(id="9" * 21)),
    ],
)
def test_a_text_is_read_as_a_number_an_id_or_filters(text: str, found: Meant) -> None:
    assert meant(text) == found


@pytest.mark.parametrize(
    ("text", "leads_to"),
    [
        ("4831596", "/leads/4831596"),
        ("contacts 77", "/contacts/77"),
        (event_of(OFFER), f"/events/{event_of(OFFER)}"),
        ("state:dead target:warehouse", "/deliveries?state=dead&target=warehouse"),
        (CONTACT.upper(), f"/webhooks/{CONTACT}"),
    ],
)
async def test_one_place_is_gone_to_at_once(browser: Client, text: str, leads_to: str) -> None:
    answer = await browser.get("/search", params={"q": text}, allow_redirects=False)
    assert (answer.status, answer.headers.get("Location")) == (303, leads_to)


async def test_what_leads_nowhere_is_explained(browser: Client) -> None:
    for text, said in (
        ("1234567", "has the number or id 1234567"),
        ("<b>Ann</b>", "is nothing that can be looked for"),
    ):
        seen = await see(browser, "/search", params={"q": text})
        assert said in seen.text and "state:dead target:warehouse" in seen.text
        assert "<b>Ann" not in seen.source


async def test_every_page_has_the_box_and_its_form_needs_no_script(browser: Client) -> None:
    seen = await see(browser, "/deliveries")
    [form] = [each for each in seen.forms if each["action"] == "/search"]
    assert (form["method"], list(form["fields"])) == ("get", ["q"])
