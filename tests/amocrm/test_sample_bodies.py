import json

import pytest
from jsonschema import Draft202012Validator

from relay.amocrm import sample_bodies
from relay.amocrm.form import decode, encode


@pytest.mark.parametrize("event_type", sample_bodies.TYPES)
def test_a_sample_travels_as_a_form_and_is_one_event_of_its_type(event_type, events_of):
    body = encode(sample_bodies.body(event_type))
    assert decode(body) == sample_bodies.body(event_type)
    [event] = events_of(body)
    assert event["type"] == event_type
    assert event["account"]["id"] == int(sample_bodies.ACCOUNT_ID)


def test_the_digital_pipeline_sends_the_account_last_and_the_others_first():
    assert list(sample_bodies.body("leads.status")) == ["leads", "account"]
    assert list(sample_bodies.body("leads.update")) == ["account", "leads"]


def test_fields_are_set_by_dotted_path():
    changed = {"status_id": "142", "custom_fields.0.values.0.value": "x", "new.one": "y"}
    item = sample_bodies.body("leads.update", fields=changed)["leads"]["update"]["0"]
    assert (item["status_id"], item["new"]) == ("142", {"one": "y"})
    assert item["custom_fields"]["0"]["values"]["0"]["value"] == "x"


def test_a_sample_is_nobody_elses():
    sample_bodies.body("leads.update", fields={"tags.0.name": "changed"})
    assert sample_bodies.body("leads.update")["leads"]["update"]["0"]["tags"]["0"]["name"] != "changed"


def test_the_account_can_be_chosen():
    tree = sample_bodies.body("contacts.add", account_id="5", subdomain="acme")
    assert tree["account"] == {"subdomain": "acme", "id": "5", "_links": {"self": "https://acme.amocrm.ru"}}


def test_the_schema_is_one_and_its_examples_follow_it(schema):
    Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("timestamp", "2026-11-22T10:53:00Z"),
        ("data", {"custom_fields": {"0": {}}}),
        ("data", {"deep": [{"values": ["x"]}]}),
        ("data", {"price": 1.5}),
        ("data", {"id": 2**53}),
        ("data", {"_extra": {"chat": -(2**53)}}),
        ("data", {"metadata": {"a": 1.5}}),
        ("account", []),
        ("id", 5),
        ("surprise", "x"),
    ],
)
def test_the_schema_refuses_what_no_event_is(schema, name, wrong):
    event = json.loads(json.dumps(schema["examples"][0])) | {name: wrong}
    assert not Draft202012Validator(schema).is_valid(event)
