from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from relay.model import Event
from relay.routes.fields import is_status, values_of

MakeEvent = Callable[..., Event]


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("source", ("crm",)),
        ("entity", ("leads",)),
        ("action", ("status",)),
        ("account", ("5", "example")),
        ("id", ("7",)),
        ("name", ("Иван",)),
        ("empty", ("",)),
        ("nothing", ("",)),
        ("flag", ("true",)),
        ("absent", ()),
        ("type", ("leads.status",)),
        ("account.id", ("5",)),
        ("account.subdomain", ("example",)),
        ("account.absent", ()),
        ("data.id", ("7",)),
        ("data.name", ("Иван",)),
        ("data.absent", ()),
        ("data.settings.a.b", ("1",)),
        ("data.dotted.name", ("whole",)),
        ("tags", ("a", "1", "b", "2")),
        ("data.tags", ("a", "1", "b", "2")),
        ("data.tags.name", ("a", "b")),
        ("tags.name", ("a", "b")),
        ("tags.name.x", ()),
        ("linked", ("1", "2", "3")),
        ("settings.a.b", ("1",)),
        ("settings.a", ('{"b":1}',)),
        ("dotted.name", ("whole",)),
        ("custom_fields.11", ("x", "y", "101", "102")),
        ("data.custom_fields.11", ("x", "y", "101", "102")),
        ("custom_fields.Campaign", ("x", "y", "101", "102")),
        ("custom_fields.BILL.STATUS", ("paid",)),
        ("custom_fields.Статус. Счёт", ("paid",)),
        ("custom_fields.values.value", ("x", "y", "1500000000", "paid")),
        ("custom_fields.code", ("BILL.STATUS",)),
        ("custom_fields.origin", ("form",)),
        ("custom_fields.12", ("1500000000",)),
        ("custom_fields.13", ()),
        ("custom_fields.011", ()),
        ("custom_fields.99", ()),
        ("custom_fields.name", ("Campaign", "Date", "None", "Статус. Счёт")),
        ("no_list.11", ()),
    ],
)
def test_a_field_has_these_values(event: MakeEvent, field: str, values: tuple[str, ...]) -> None:
    lead = event(
        account={"subdomain": "example", "id": 5},
        id=7,
        name="Иван",
        empty="",
        nothing=None,
        flag=True,
        tags=[{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        linked=[1, [2, 3]],
        settings={"a": {"b": 1}},
        custom_fields=[
            {"id": 11, "name": "Campaign", "values": [{"value": "x", "enum": 101}, {"value": "y", "enum": 102}]},
            {"id": 12, "name": "Date", "values": [{"value": "1500000000"}]},
            {"id": 13, "name": "None", "origin": "form"},
            {"id": 14, "name": "Статус. Счёт", "code": "BILL.STATUS", "values": [{"value": "paid"}]},
        ],
        no_list="text",
        **{"dotted.name": "whole"},
    )
    assert values_of(lead, field) == values


def test_custom_fields_that_are_no_list_have_no_values(event: MakeEvent) -> None:
    assert values_of(event(custom_fields="odd"), "custom_fields.11") == ()


@pytest.mark.parametrize(
    ("data", "field", "values"),
    [
        ({"type": "company"}, "type", ("leads.status", "company")),
        ({"type": "company"}, "data.type", ("company",)),
        ({"tags": []}, "tags", ()),
        ({"tags": ["vip", {"name": "new"}, {"colour": "red"}]}, "tags", ("vip", "new", '{"colour":"red"}')),
        ({"data": {"leads": [{"name": "Замер"}]}}, "data.data.leads.name", ("Замер",)),
        ({"data": {"leads": [{"name": "Замер"}]}}, "data.leads.name", ("Замер",)),
        ({"data": {"id": 8}, "id": 7}, "data.id", ("7",)),
        ({"action": "accept"}, "data.action", ("accept",)),
        ({"action": "accept"}, "action", ("status",)),
    ],
)
def test_what_the_event_and_its_data_both_have_is_told_apart_by_the_path(
    event: MakeEvent, data: dict[str, Any], field: str, values: tuple[str, ...]
) -> None:
    made = event()
    assert values_of(replace(made, data=data), field) == values


@pytest.mark.parametrize(
    ("field", "answer"),
    [
        ("status_id", True),
        ("old_status_id", True),
        ("lead.status_id", True),
        ("status", False),
        ("mystatus_id", False),
        ("pipeline_id", False),
        ("data.status_id", True),
        ("custom_fields.status_id", False),
    ],
)
def test_won_and_lost_are_words_of_status_fields_only(field: str, answer: bool) -> None:
    assert is_status(field) is answer
