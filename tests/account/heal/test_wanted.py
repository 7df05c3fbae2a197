"""What is healed of a source: what its webhook is subscribed to, and what a person set up by hand."""

from dataclasses import replace

from relay.account.heal.wanted import AccountFacts, wanted
from relay.model.accounts import Heal, HealMode
from tests.account.heal.test_rounds import SOURCE

FACTS = AccountFacts(id=5, subdomain="example", url="https://example.amocrm.ru")


def subscribed(*actions: str, settings: tuple[str, ...]) -> frozenset[str]:
    heal = Heal(mode=HealMode.ON, actions=frozenset(actions) or None)
    return wanted(replace(SOURCE, heal=heal), FACTS, settings=settings, stages={}).subscribed


def test_what_the_webhook_is_subscribed_to_is_healed_unless_actions_leaves_it_out() -> None:
    settings = ("status_lead", "add_unsorted", "update_talk", "status_customer")
    every = {"leads.status", "unsorted.add", "talk.update", "customers.status"}
    assert subscribed(settings=settings) == every
    assert subscribed("leads.status", "leads.add", settings=settings) == {"leads.status"}


def test_what_no_setting_brings_is_healed_if_actions_names_it() -> None:
    """The account's list of webhooks may not show what a person ticked there."""
    assert subscribed("unsorted.add", "leads.add", settings=("status_lead",)) == {"unsorted.add"}
