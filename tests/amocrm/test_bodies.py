"""Golden pairs: bodies/<name>.form is what arrives, bodies/<name>.json the events that are made of it."""

import json
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from relay.amocrm.form import decode, encode

BODIES = sorted((Path(__file__).parent / "bodies").glob("*.form"))
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
