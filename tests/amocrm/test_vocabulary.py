"""Every known (entity, action) pair: decoded, matched, counted, linted, described and documented from one table."""

import json
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from relay.amocrm import events, form, sample_bodies
from relay.amocrm.fields import fields
from relay.amocrm.vocabulary import (
    ACTIONS,
    ACTIONS_OF,
    AMOUNTS,
    ELEMENT_TYPES,
    ENTITIES,
    FIELDS,
    IDS,
    NUMBERS,
    STAGE_ACTIONS,
    STAGED,
    TIMES,
    UNKNOWN,
)
from relay.model import Event, Webhook
from relay.observe import LogWriter, Observer, configure_logging
from relay.routes import lint
from relay.routes.config import Config, parse
from relay.routes.plan import plan
from relay.signals import WebhookStored
from tests.amocrm.conftest import ARRIVED, VALIDATOR

PAIRS = [(entity, action) for entity in sorted(ACTIONS_OF) for action in sorted(ACTIONS_OF[entity])]
DOCS = Path(__file__).resolve().parents[2] / "docs" / "amocrm.md"
each_pair = pytest.mark.parametrize(("entity", "action"), PAIRS, ids=[f"{e}.{a}" for e, a in PAIRS])


def body(entity: str, action: str) -> bytes:
    """As amoCRM sends it: a company arrives under `contacts`, and a note in a `note` of its own."""
    item = {"id": "7", "type": "company"} if entity == "companies" else {"id": "7"}
    arrives_as = "contacts" if entity == "companies" else entity
    return form.encode({arrives_as: {action: {"0": item}}, "account": {"id": "5", "subdomain": "example"}})


def decoded(body: bytes) -> Event:
    [event] = events.read(form.decode(body), source="crm", received_at=ARRIVED, new_id=lambda: "e-1")
    return event


def routes(entity: str, action: str) -> Config:
    """A route that names the pair, and nothing beside it."""
    return parse(
        f"""
version: 1
sources: {{crm: {{token: "0123456789abcdef0123"}}}}
targets: {{bot: {{url: "http://127.0.0.1:9/"}}}}
routes:
  - {{name: named, match: {{entity: {entity}, action: {action}}}, to: bot}}
  - {{name: typed, match: {{type: {entity}.{action}}}, to: bot}}
  - {{name: rest, otherwise: true, to: bot}}
""",
        file="routes.yaml",
        env={},
    )


@each_pair
def test_a_known_pair_decodes_to_an_event_of_its_type(entity: str, action: str) -> None:
    event = decoded(body(entity, action))
    assert (event.entity, event.action, event.type) == (entity, action, f"{entity}.{action}")
    VALIDATOR.validate(json.loads(events.dump(event)))


@each_pair
def test_a_known_pair_matches_the_routes_that_name_it(entity: str, action: str) -> None:
    config = routes(entity, action)
    assert config.matcher.match(decoded(body(entity, action))).routes == ("named", "typed")


@each_pair
def test_check_does_not_warn_of_a_known_pair(entity: str, action: str) -> None:
    said = [problem.message for problem in lint.warnings(routes(entity, action))]
    assert not [message for message in said if "not known to send" in message]


@each_pair
def test_a_known_pair_is_counted_under_its_own_labels(entity: str, action: str, tmp_path: Path) -> None:
    registry = CollectorRegistry()
    with (tmp_path / "log").open("w") as log:
        observer = Observer(registry, configure_logging(LogWriter(log), format="json", level="error"))
        event = decoded(body(entity, action))
        webhook = Webhook(id="w-1", source="crm", received_at=ARRIVED, body=b"a=1")
        planned = plan(event, routes(entity, action))
        observer(WebhookStored(webhook=webhook, routed=[planned], deliveries=1, took=timedelta()))
    labels = {"source": "crm", "entity": entity, "action": action, "routed": "yes"}
    assert registry.get_sample_value("relay_events_total", labels) == 1


@pytest.mark.parametrize("file", ["relay.amocrm/event.schema.json", "relay.routes/routes.schema.json"])
def test_a_schema_names_the_words_of_the_table_and_no_others(file: str) -> None:
    package, name = file.split("/")
    schema = json.loads(files(package).joinpath(name).read_text())
    properties = schema["properties"] if "entity" in schema["properties"] else schema["$defs"]["route"]["properties"]
    properties = properties.get("match", schema)["properties"]
    assert set(properties["entity"]["examples"]) == ENTITIES
    assert set(properties["action"]["examples"]) == ACTIONS


def test_the_documentation_has_the_table() -> None:
    section = DOCS.read_text().partition("## Entities and actions")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{entity}` | {', '.join(f'`{action}`' for action in sorted(ACTIONS_OF[entity]))} |"
        for entity in sorted(ACTIONS_OF)
    ]


def test_every_sample_body_is_of_a_known_pair() -> None:
    assert {tuple(each.split(".")) for each in sample_bodies.TYPES} <= set(PAIRS)


def test_what_follows_from_the_table() -> None:
    assert {UNKNOWN, *ACTIONS_OF} == ENTITIES
    assert {UNKNOWN, "leads", "customers"} == STAGED
    assert STAGE_ACTIONS < ACTIONS
    assert set(ELEMENT_TYPES.values()) < ENTITIES


OTHERWISE = {"updated_by": "7"}
"""An id that events have had as text from the start."""


@pytest.mark.parametrize("name", sorted(IDS | TIMES | AMOUNTS | NUMBERS))
def test_a_field_of_numbers_is_decoded_as_a_number(name: str) -> None:
    assert name in FIELDS | NUMBERS
    assert fields({name: "7"}) == {name: OTHERWISE.get(name, 7)}
