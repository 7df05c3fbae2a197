"""Types of events that a source's routes take -> those of which nothing is healed, each with the reason."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime

from relay.account.heal.channels import parse
from relay.account.heal.scanner import wanted_now
from relay.account.heal.wanted import BY_HAND
from relay.amocrm.vocabulary import HEALABLE
from relay.model.accounts import Heal, HealMode

LEFT_OUT = "heal.actions leaves it out"
NO_TRIGGER = "heal.dp names no stage for it"
NOT_SENT = "amoCRM's list of webhooks has none for it that comes to this source"
NOT_SHOWN = "amoCRM's list of webhooks does not show it: name it in heal.actions if amoCRM sends it"

_OF_ENTITY = {
    "catalogs": "amoCRM's history has no elements of catalogs",
    "chat_template_review": "amoCRM's history has no reviews of templates",
    "customers": "triggers are healed of leads, not of customers",
    "message": "amoCRM's history does not say that a message was changed or deleted",
    "outgoing_message": "amoCRM's history does not say that a message was changed or deleted",
    "talk": "amoCRM's history does not say that a talk was deleted",
    "unsorted": "amoCRM's list of incoming leads does not say what changed in one",
}
_OF_ACTION = {
    "customers.restore": "amoCRM's history does not say that a customer was restored",
    "customers.period": "amoCRM's history has no periods of customers",
    "leads.period": "amoCRM's history has no periods",
}
_BY_TRIGGER = frozenset({"leads.call_in", "leads.chat", "leads.mail_in", "leads.site_visit"})


def why_not(event_type: str) -> str | None:
    """Why nothing of a type can be healed; None if it can be, or if amoCRM has no such type."""
    if event_type in HEALABLE:
        return None
    return _OF_ACTION.get(event_type) or _OF_ENTITY.get(event_type.partition(".")[0])


def not_healed(taken: Collection[str], heal: Heal, marks: Mapping[str, datetime]) -> Mapping[str, list[str]]:
    """Reason -> the types of `taken` that are not healed for it. `marks`: of the source, as its scans left them."""
    wanted = wanted_now(marks)
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in sorted(taken):
        if reason := why_not(each) or _why_not_here(each, heal, wanted):
            found[reason].append(each)
    return dict(found)


def _why_not_here(event_type: str, heal: Heal, wanted: Collection[str]) -> str | None:
    """Why a source does not heal what could be; what is subscribed to is known once it was scanned."""
    if heal.actions is not None and event_type not in heal.actions:
        return LEFT_OUT
    if event_type in _BY_TRIGGER:
        named = any(event_type == f"leads.{action}" for each in heal.dp for action in each.on)
        return None if named or heal.mode is HealMode.REPORT else NO_TRIGGER
    by_triggers = {f"leads.{trigger.action}" for each in wanted if (trigger := parse(each))}
    if not wanted or event_type in wanted or event_type in by_triggers:
        return None
    return NOT_SHOWN if event_type in BY_HAND else NOT_SENT
