"""Golden pairs: what arrives, and what is made of it.

bodies/<name>.form and json_bodies/<name>.body become the events in <name>.json beside them; foreign/<name>.body, which
others send or amoCRM sends by other protocols, becomes none, for the reason in <name>.reason.
"""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from relay.amocrm.form import decode, encode, flatten
from relay.errors import UnreadableError

HERE = Path(__file__).parent
BODIES = sorted((HERE / "bodies").glob("*.form"))
JSON_BODIES = sorted((HERE / "json_bodies").glob("*.body"))
FOREIGN_BODIES = sorted((HERE / "foreign").glob("*.body"))
WITHOUT_CONFLICTS = [path for path in BODIES if "_conflicts" not in path.with_suffix(".json").read_text()]


def golden(path):
    return path.read_bytes(), json.loads(path.with_suffix(".json").read_text())


@pytest.fixture(params=BODIES, ids=lambda path: path.stem)
def pair(request):
    return golden(request.param)


@pytest.fixture(params=WITHOUT_CONFLICTS, ids=lambda path: path.stem)
def peaceful_pair(request):
    return golden(request.param)


def test_there_are_bodies_of_every_shape():
    assert len(BODIES) >= 50
    assert len(JSON_BODIES) >= 4
    assert len(FOREIGN_BODIES) >= 15


def test_a_body_becomes_its_events(pair, events_of):
    body, expected = pair
    found = events_of(body)
    assert found == expected
    assert json.dumps(found) == json.dumps(expected), "the order of the fields"


def test_nothing_that_arrived_is_lost_or_doubled(pair, events_of, leaf_texts):
    body, _ = pair
    found = events_of(body)
    account = found[0]["account"]
    assert leaf_texts([account, *(event["data"] for event in found)]) == leaf_texts(decode(body))


def test_bare_brackets_and_percent_twenty_say_the_same(pair, events_of):
    body, expected = pair
    assert events_of(body.replace(b"%5B", b"[").replace(b"%5D", b"]").replace(b"+", b"%20")) == expected


def test_the_same_as_json_gives_the_same_events(peaceful_pair, events_of):
    body, expected = peaceful_pair
    assert events_of(json.dumps(decode(body)), content_type="application/json") == expected
    assert events_of(json.dumps(decode(body))) == expected


def test_a_json_object_with_the_bracket_keys_of_the_form_gives_the_same_events(peaceful_pair, events_of):
    body, expected = peaceful_pair
    assert events_of(json.dumps(dict(flatten(decode(body)))), content_type="application/json") == expected


@pytest.mark.parametrize("path", JSON_BODIES, ids=lambda path: path.stem)
def test_a_json_body_becomes_its_events(path, events_of):
    body, expected = golden(path)
    for content_type in ("application/json", "", "application/x-www-form-urlencoded"):
        found = events_of(body, content_type=content_type)
        assert found == expected
        assert json.dumps(found) == json.dumps(expected), "the order of the fields"


@pytest.mark.parametrize("path", FOREIGN_BODIES, ids=lambda path: path.stem)
def test_a_foreign_body_becomes_no_event_at_all(path, events_of):
    with pytest.raises(UnreadableError) as error:
        events_of(path.read_bytes())
    assert f"{error.value}\n" == path.with_suffix(".reason").read_text()


@pytest.mark.parametrize("path", FOREIGN_BODIES, ids=lambda path: path.stem)
def test_what_is_foreign_beside_an_event_goes_with_it_as_extra(path, events_of, leaf_texts):
    tree = {"leads": {"status": {"0": {"id": "41001"}}}, "talk": {"add": {"0": {"talk_id": "5"}}}}
    foreign = {name: node for name, node in decode(path.read_bytes()).items() if name not in {*tree, "account"}}
    first, second = events_of(json.dumps(tree | foreign))
    assert (first["type"], second["type"]) == ("leads.status", "talk.add")
    assert leaf_texts(first["data"].get("_extra", {})) == leaf_texts(foreign)


def test_the_order_of_keys_changes_the_order_of_events_at_most(peaceful_pair, events_of):
    body, expected = peaceful_pair
    pairs = body.split(b"&")
    Random(7).shuffle(pairs)
    assert without_ids(events_of(b"&".join(pairs))) == without_ids(expected)


def test_a_body_is_encoded_as_it_came(peaceful_pair):
    body, _ = peaceful_pair
    assert encode(decode(body)) == body


def without_ids(events):
    return Counter(json.dumps({**event, "id": ""}, sort_keys=True) for event in events)
