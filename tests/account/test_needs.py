"""What routes need of a webhook's settings, and what none of these brings."""

import pytest

from relay.account.needs import beyond_subscription, needed_settings
from relay.amocrm.subscriptions import SETTINGS
from relay.amocrm.vocabulary import ACTIONS_OF
from relay.routes.config import Config, parse
from tests.fakeamo.subscriptions import SETTINGS as TAKEN

FILE = """\
version: 1
sources: {{crm: {{token: t-0123456789}}, shop: {{token: s-0123456789}}}}
targets: {{bot: {{url: "https://bot.example/in"}}}}
routes: [{routes}]
"""


def config(*routes: str) -> Config:
    text = ", ".join(f"{{name: r{number}, to: bot, {each}}}" for number, each in enumerate(routes))
    return parse(FILE.format(routes=text), file="routes.yaml", env={})


def test_the_settings_are_those_that_amocrm_takes() -> None:
    assert set(SETTINGS) == TAKEN


def test_each_setting_brings_an_event_that_the_vocabulary_knows() -> None:
    assert all(action in ACTIONS_OF[entity] for entity, action in SETTINGS.values())
    assert len({*SETTINGS.values()}) == len(SETTINGS)


@pytest.mark.parametrize(
    "routes, expected",
    [
        (["match: {entity: contacts, action: add}"], {"add_contact"}),
        (["match: {type: [contacts.add, companies.delete]}"], {"add_contact", "delete_company"}),
        (["match: {entity: leads, action: status}"], {"status_lead", "update_lead"}),
        (["match: {entity: leads, action: status, status_id: 142}"], {"status_lead", "update_lead"}),
        (["match: {entity: task}"], {"add_task", "update_task", "delete_task", "responsible_task"}),
        (["match: {action: note}"], {"note_lead", "note_contact", "note_company", "note_customer"}),
        (["match: {entity: {not: [leads, contacts, companies, customers, task, talk]}}"],
         {"add_message", "add_outgoing_message", "add_chat_template_review"}),
        (["match: {source: shop, entity: contacts, action: add}"], set()),
        (["match: {source: [shop, crm], entity: contacts, action: add}"], {"add_contact"}),
        (["match: {source: crm}, unparsed: true"], set()),
        (["match: {entity: unsorted, action: add}"], set()),
    ],
)  # fmt: skip
def test_what_routes_take_is_needed(routes: list[str], expected: set[str]) -> None:
    assert set(needed_settings(config(*routes), "crm")) == expected


@pytest.mark.parametrize("route", ["match: {status_id: 142}", "match: {type: form}"])
def test_a_condition_on_something_else_may_hold_for_every_event(route: str) -> None:
    assert set(needed_settings(config(route), "crm")) == set(SETTINGS)


def test_otherwise_takes_everything() -> None:
    needed = needed_settings(config("match: {entity: leads, action: add}", "otherwise: true"), "crm")
    assert set(needed) == set(SETTINGS)


def test_what_is_named_and_cannot_be_subscribed_is_told() -> None:
    routes = config("match: {entity: leads, action: [add, mail_in]}", "match: {type: unsorted.add}")
    assert beyond_subscription(routes, "crm") == ("leads.mail_in", "unsorted.add")
    assert beyond_subscription(config("match: {source: shop, type: unsorted.add}"), "crm") == ()


def test_a_route_that_takes_whatever_comes_names_nothing() -> None:
    assert beyond_subscription(config("match: {entity: leads}", "otherwise: true"), "crm") == ()
