"""Which bodies carry the time of what they tell, so that an equal one is the same news again."""

from datetime import UTC, datetime

import pytest

from relay.amocrm import events, form, sample_bodies
from relay.amocrm.change_times import all_dated

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def is_dated(body: str) -> bool:
    return all_dated(events.read(form.decode(body.encode()), source="crm", received_at=NOON, new_id=lambda: "1"))


def is_dated_sample(type_: str) -> bool:
    tree = form.decode(form.encode(sample_bodies.body(type_)))
    return all_dated(events.read(tree, source="crm", received_at=NOON, new_id=lambda: "1"))


@pytest.mark.parametrize(
    "body",
    [
        "leads[update][0][id]=7&leads[update][0][last_modified]=1764000600",
        "leads[status][0][id]=7&leads[status][0][updated_at]=1764000600",
        "task[update][0][id]=7&task[update][0][last_modified]=2026-11-22 12:00:00",
        "contacts[note][0][note][id]=7&contacts[note][0][note][updated_at]=1764000600",
        "message[add][0][id]=a1&message[add][0][created_at]=1764000600",
        "task[add][0][id]=7&task[add][0][date_create]=2026-11-22 12:00:00",
        "leads[update][0][updated_at]=1&leads[update][1][updated_at]=2",
    ],
)
def test_an_item_that_says_when_it_was_changed_or_added_is_dated(body: str) -> None:
    assert is_dated(body)


@pytest.mark.parametrize(
    "body",
    [
        "leads[status][0][id]=7&leads[status][0][old_pipeline_id]=3",
        "leads[delete][0][id]=7",
        "leads[add][0][id]=7&leads[add][0][status_id]=3",
        "leads[update][0][updated_at]=",
        "leads[update][0][last_modified]=0",
        "contacts[update][0][id]=7&contacts[update][0][created_at]=1764000600",
        "leads[update][0][updated_at]=1&leads[update][1][id]=2",
        "event[type_code]=lead_status_changed&event[data][id]=7&event[data][element_type]=2&event[time]=1764000600",
    ],
)
def test_an_item_without_the_time_of_its_change_is_not(body: str) -> None:
    assert not is_dated(body)


@pytest.mark.parametrize(
    "type_", ["leads.call_in", "leads.mail_in", "leads.chat", "leads.site_visit", "customers.period"]
)
def test_what_the_digital_pipeline_sends_is_not_dated(type_: str) -> None:
    assert not is_dated_sample(type_)


@pytest.mark.parametrize("type_", ["leads.update", "contacts.add", "companies.add"])
def test_what_an_account_sends_of_a_change_is_dated(type_: str) -> None:
    assert is_dated_sample(type_)


def test_nothing_is_not_dated() -> None:
    assert not all_dated([])
