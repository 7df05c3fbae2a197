"""`enrich` of a target: what it means, what is refused, and which deliveries wait for it."""

from datetime import UTC, datetime

import pytest

from relay.errors import RoutesInvalid
from relay.model import Event, Target
from relay.model.enrich import HOLD, Enrich, Part
from relay.routes.config import Config, parse
from relay.routes.lint import warnings
from relay.routes.plan import plan

FILE = """\
version: 1
accounts: {main: {host: example.amocrm.ru, token: a-token-of-amocrm}}
sources: {crm: {token: 0123456789abcdef0123, account: main}, form: {token: 0123456789abcdef4567}}
targets: {bot: {url: "https://bot.example/in", ENRICH}, plain: {url: "https://plain.example/in"}}
routes: [{name: all, match: {entity: [leads, catalogs]}, to: [bot, plain]}]
"""


def config(enrich: str) -> Config:
    return parse(FILE.replace("ENRICH", enrich), file="routes.yaml", env={})


def target(enrich: str) -> Target:
    return config(enrich).targets["bot"]


def event(source: str = "crm", entity: str = "leads") -> Event:
    return Event(
        id="e",
        source=source,
        received_at=datetime(2026, 11, 22, tzinfo=UTC),
        account={},
        entity=entity,
        action="add",
        data={"id": 7},
    )


def test_a_list_names_parts_and_a_mapping_their_fields() -> None:
    assert target("enrich: [lead, contacts]").enrich == Enrich({Part.LEAD: (), Part.CONTACTS: ()})
    assert target("enrich: {contacts: [name, PHONE]}").enrich == Enrich({Part.CONTACTS: ("name", "PHONE")})


@pytest.mark.parametrize(
    ("enrich", "said"),
    [
        ("enrich: []", "targets.bot.enrich"),
        ("enrich: [leads]", "targets.bot.enrich"),
        ("enrich: lead", "must be a list of lead, contacts and company"),
        ("enrich: {contact: [PHONE]}", "targets.bot.enrich"),
        ("enrich: {contacts: []}", "targets.bot.enrich.contacts"),
        ("enrich: {contacts: PHONE}", "targets.bot.enrich.contacts"),
        ("enrich: [lead], format: form", "cannot stand beside format: form"),
    ],
)
def test_anything_else_is_refused(enrich: str, said: str) -> None:
    with pytest.raises(RoutesInvalid, match=said):
        config(enrich)


def test_a_body_of_one_s_own_may_stand_beside_it() -> None:
    assert target("enrich: [lead], body: {lead: '{{ enriched.lead.name }}'}").enrich


def test_a_delivery_waits_only_where_something_can_be_fetched() -> None:
    enriching = config("enrich: [lead]")

    def holds(made: Event) -> list[object]:
        return [each.hold for each in plan(made, enriching).planned]

    assert holds(event()) == [HOLD, None]
    assert holds(event("form")) == [None, None]
    assert holds(event(entity="catalogs")) == [None, None]


def test_without_an_account_of_any_source_it_is_warned_of() -> None:
    text = FILE.replace("ENRICH", "enrich: [lead]").replace(", account: main", "")
    found = [each.message for each in warnings(parse(text, file="routes.yaml", env={}))]
    assert "is fetched from amoCRM, and no source has an account: always null" in found
