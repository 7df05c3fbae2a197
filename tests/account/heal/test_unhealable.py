"""What can be healed, and what cannot: each of amoCRM's types is one or the other, and no page says it otherwise."""

from datetime import UTC, datetime, timedelta

import pytest

from relay.account.heal.channels import DpChannel, Stage
from relay.account.heal.expected import TRIGGERED_BY, expected_at_stage, expected_webhooks
from relay.account.heal.keys import CAME, LEFT
from relay.account.heal.lanes import LISTS
from relay.account.heal.unhealable import LEFT_OUT, NO_TRIGGER, NOT_SENT, NOT_SHOWN, not_healed, why_not
from relay.amocrm.vocabulary import ACTIONS_OF, HEALABLE, TRIGGERS
from relay.model.accounts import DpTrigger, Heal, HealMode
from tests.account.heal.amo import feed_event
from tests.fakeamo import types

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ANYTHING = [
    {
        "note": {"id": 1},
        "message": {"id": "u"},
        "lead_status": {"id": 1, "pipeline_id": 2},
        "customer_status": {"id": 3},
        "responsible_user": {"id": 4},
    }
]
EVERY = {f"{entity}.{action}" for entity, actions in ACTIONS_OF.items() for action in actions}
ENTITIES = ("lead", "contact", "company", "customer", "task", "talk")


def made() -> set[str]:
    """The types that scans make of anything that the feed may have, or that its events stand for; and of lists."""
    found = {name for names in LISTS.values() for name in names}
    for type_ in types.known(kommo=False, fields={"leads": [{"id": 7}]}, without=frozenset()):
        for entity in [types.ENTITY_OF[type_]] if types.ENTITY_OF.get(type_) else ENTITIES:
            for each in expected_webhooks(feed_event(type_, entity, 7, before=ANYTHING, after=ANYTHING)):
                found |= {each.action, each.key.webhook_type}
    at_stage = {expected_at_stage(7, each, DpChannel(each, Stage(1, 2))).action for each in TRIGGERED_BY.values()}
    return found | at_stage


def test_what_is_said_to_be_healable_is_what_scans_make() -> None:
    assert made() == HEALABLE


def test_every_type_of_amocrm_is_healable_or_has_a_reason_why_not() -> None:
    assert {each for each in EVERY if why_not(each) is None} == HEALABLE
    assert HEALABLE < EVERY
    assert {f"leads.{each}" for each in TRIGGERS} < HEALABLE
    assert why_not("nonsense.add") is None


@pytest.mark.parametrize("wanted", [{}, {"wanted leads.add": NOW, "run": NOW}])
def test_what_cannot_be_healed_is_named_with_its_reason(wanted: dict[str, datetime]) -> None:
    found = not_healed(["leads.add", "catalogs.add", "catalogs.delete"], Heal(mode=HealMode.ON), wanted)
    assert found == {"amoCRM's history has no elements of catalogs": ["catalogs.add", "catalogs.delete"]}


def test_what_a_source_leaves_out_or_is_not_sent_is_named_too() -> None:
    heal = Heal(mode=HealMode.ON, dp=(DpTrigger(stage="1/2", on=("mail_in",)),))
    marks = {"run": NOW, "wanted leads.add": NOW, "wanted leads.note": NOW - timedelta(minutes=1)}
    marks["wanted dp:status:1/2:"] = NOW
    taken = ["leads.add", "leads.note", "leads.call_in", "leads.mail_in", "leads.status", CAME, LEFT]
    assert not_healed(taken, heal, marks) == {
        NO_TRIGGER: ["leads.call_in"],
        NOT_SENT: ["leads.note"],
        NOT_SHOWN: [CAME, LEFT],
    }
    some = Heal(mode=HealMode.REPORT, actions=frozenset({"leads.add"}))
    assert not_healed(["leads.add", "leads.call_in"], some, marks) == {LEFT_OUT: ["leads.call_in"]}


def test_a_report_counts_for_the_triggers_that_it_sees() -> None:
    assert not_healed(["leads.call_in"], Heal(mode=HealMode.REPORT), {}) == {}
