"""`relay.delivery.body`: format form is amoCRM's own encoding, so reading it again gives the same event."""

from pathlib import Path
from urllib.parse import parse_qsl

import orjson
import pytest

from relay.amocrm import events, form
from relay.delivery.body import body
from relay.model import Format
from tests.delivery.conftest import NOON, PAYLOAD

GOLDEN = sorted((Path(__file__).parent.parent / "amocrm" / "bodies").glob("*.json"))
SAME = ("account", "entity", "action", "data")


def as_form(event: dict[str, object]) -> str:
    content_type, content = body(orjson.dumps(event), Format.FORM)
    assert content_type == "application/x-www-form-urlencoded"
    return content.decode()


def test_a_lead_is_written_as_amocrm_writes_it() -> None:
    assert as_form(orjson.loads(PAYLOAD)) == (
        "account%5Bid%5D=30550077&account%5Bsubdomain%5D=northwind"
        "&leads%5Bstatus%5D%5B0%5D%5Bid%5D=510073&leads%5Bstatus%5D%5B0%5D%5Bstatus_id%5D=41000001"
        "&leads%5Bstatus%5D%5B0%5D%5Bpipeline_id%5D=4100"
        "&leads%5Bstatus%5D%5B0%5D%5Bname%5D=%D0%9E%D0%BA%D0%BD%D0%B0+%26+%D0%B4%D0%B2%D0%B5%D1%80%D0%B8"
    )


@pytest.mark.parametrize(
    ("type_", "data", "expected"),
    [
        ("companies.add", {"id": 7, "type": "company"}, "contacts[add][0][id]=7 contacts[add][0][type]=company"),
        ("leads.note", {"id": 9, "note_type": 4}, "leads[note][0][note][id]=9 leads[note][0][note][note_type]=4"),
        (
            "companies.note",
            {"id": 9, "type": "company"},
            "contacts[note][0][note][id]=9 contacts[note][0][type]=company",
        ),
        ("contacts.add", {"linked_leads_id": [5, 6]}, "{0}[linked_leads_id][5][ID]=5 {0}[linked_leads_id][6][ID]=6"),
        ("contacts.add", {"metadata": {"a": [1]}}, '{0}[metadata]={{"a":[1]}}'),
        (
            "contacts.add",
            {"custom_fields": [{"id": 3, "values": [{"value": "x"}]}]},
            "{0}[custom_fields][0][id]=3 {0}[custom_fields][0][values][0][value]=x",
        ),
        ("chat_template_review.add", {"reviews": [{"id": 2}]}, "add[0][reviews][0][id]=2"),
        ("leads.add", {"id": 7, "_conflicts": {"leads[add][0][id]": ["6"]}}, "leads[add][0][id]=7"),
    ],
)
def test_every_shape_is_amocrms_own(type_: str, data: dict[str, object], expected: str) -> None:
    entity, action = type_.split(".")
    written = as_form({"account": {"id": 1}, "entity": entity, "action": action, "data": data})
    pairs = [f"{key}={value}" for key, value in parse_qsl(written)]
    assert pairs == ["account[id]=1", *expected.format("contacts[add][0]").split(" ")]


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_an_event_read_again_from_its_form_is_the_same(file: Path) -> None:
    for event in orjson.loads(file.read_bytes()):
        tree = form.decode(as_form(event).encode(), "application/x-www-form-urlencoded")
        [again] = events.read(tree, source="crm", received_at=NOON, new_id=lambda: "e")
        dumped = orjson.loads(events.dump(again))
        event["data"].pop("_conflicts", None)
        assert {name: dumped[name] for name in SAME} == {name: event[name] for name in SAME}


def test_there_are_golden_events_to_read_again() -> None:
    assert len(GOLDEN) > 20
