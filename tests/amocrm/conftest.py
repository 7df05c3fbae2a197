import json
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.resources import files
from itertools import count

import orjson
import pytest
from jsonschema import Draft202012Validator

from relay.amocrm import events, form
from relay.amocrm.form import Tree

ARRIVED = datetime(2026, 3, 4, 5, 6, 7, 89_000, tzinfo=UTC)
SCHEMA = json.loads(files("relay.amocrm").joinpath("event.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)


def read(tree: Tree) -> list[dict]:
    """The events of a tree as targets get them, ids e1, e2, …; every one has been held against the schema."""
    ids = (f"e{number}" for number in count(1))
    found = events.read(tree, source="crm", received_at=ARRIVED, new_id=lambda: next(ids))
    payloads = [events.dump(event) for event in found]
    assert [events.load(payload) for payload in payloads] == found
    sent = [json.loads(payload) for payload in payloads]
    for event in sent:
        VALIDATOR.validate(event)
    return sent


def leaves(node: object) -> Iterable[str]:
    """Every leaf as the text it arrived as; a text that says JSON stands for the leaves in it."""
    match node:
        case dict():
            for child in node.values():
                yield from leaves(child)
        case list():
            for child in node:
                yield from leaves(child)
        case str() if node[:1] in ("{", "["):
            try:
                inner = json.loads(node, parse_int=str, parse_float=str)
            except ValueError:
                inner = None
            yield from leaves(inner) if isinstance(inner, (dict, list)) else [node]
        case _:
            yield str(node)


@pytest.fixture(scope="session")
def schema() -> dict:
    return SCHEMA


@pytest.fixture(scope="session")
def events_of() -> Callable[..., list[dict]]:
    """A body, or the text of one with bare brackets -> its events."""

    def of(body: bytes | str, **how: str) -> list[dict]:
        return read(form.decode(body.encode() if isinstance(body, str) else body, **how))

    return of


@pytest.fixture(scope="session")
def events_in() -> Callable[[Tree], list[dict]]:
    return read


@pytest.fixture(scope="session")
def data_of(events_of) -> Callable[[str], dict]:
    """`tags[0][id]=7&name=x`, the fields of one item -> `data` of its event."""

    def of(fields: str, item: str = "leads[add][0]") -> dict:
        pairs = (field.partition("=") for field in fields.split("&"))
        names = ((name.partition("["), text) for name, _, text in pairs)
        body = "&".join(f"{item}[{head}]{bracket}{rest}={text}" for (head, bracket, rest), text in names)
        [event] = events_of(body)
        return event["data"]

    return of


@pytest.fixture(scope="session")
def leaf_texts() -> Callable[[object], list[str]]:
    return lambda node: sorted(leaves(node))


@pytest.fixture
def stopwatch() -> Callable[[Callable[[], object]], float]:
    """Seconds of processor time a call takes, the best of three."""

    def once(run: Callable[[], object]) -> float:
        before = time.process_time()
        run()
        return time.process_time() - before

    return lambda run: min(once(run) for _ in range(3))


@pytest.fixture
def json_size() -> Callable[[object], int]:
    return lambda node: len(orjson.dumps(node))
