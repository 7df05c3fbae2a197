"""FeedEvent -> which webhooks amoCRM should have sent for it: a channel, the webhook's event type, and a key of each.

The table of what can be healed, and how well; docs/amocrm.md has it for users.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from relay.account.heal import keys
from relay.account.heal.channels import ACCOUNT, UPDATES, DpChannel
from relay.account.heal.feed_events import ENTITIES, FeedEvent, stage, value_of
from relay.account.heal.keys import CARDS, Key, Rule
from relay.model.heal import Exactness

EXACT, STATE, APPROXIMATE = Exactness.EXACT, Exactness.STATE, Exactness.APPROXIMATE

NOTES = frozenset(
    {
        "common_note_added",
        "attachment_note_added",
        "service_note_added",
        "geo_note_added",
        "incoming_call",
        "outgoing_call",
        "incoming_sms",
        "outgoing_sms",
    }
)
"""Types of feed events that a `note` webhook reports; a letter makes none."""

_CHANGED_TASKS = frozenset(
    {"task_completed", "task_deadline_changed", "task_type_changed", "task_text_changed", "task_result_added"}
)
_CHANGED_CARDS = frozenset(
    {"sale_field_changed", "name_field_changed", "ltv_field_changed", "entity_tag_added", "entity_tag_deleted"}
    | {"entity_linked", "entity_unlinked", "entity_merged", "custom_field_value_changed"}
)
_CHANGED_TALKS = frozenset({"talk_closed", "conversation_answered"})
_ALSO_UPDATES = frozenset({"lead_status_changed", "customer_status_changed", "entity_responsible_changed"})
"""Of these amoCRM sends an `update` beside the other webhook (client, 2021)."""
_LIFE = {
    f"{one}_{past}": action
    for one in ("lead", "contact", "company", "customer")
    for past, action in (("added", "add"), ("deleted", "delete"), ("restored", "restore"))
    if (one, past) != ("customer", "restored")
}
_MESSAGES = {"incoming_chat_message": "message", "outgoing_chat_message": "outgoing_message"}

OF_TASKS = _CHANGED_TASKS | {"task_added", "task_deleted"}
"""Types of what the feed has of tasks."""

CORE = frozenset(_LIFE) | NOTES | OF_TASKS | _CHANGED_TALKS | _ALSO_UPDATES | {"talk_created"}
"""Types that the feed is asked for by name."""
CHAT = frozenset(_MESSAGES)
"""Types that the feed shows only if it is asked for contacts."""

MAIL = frozenset({"incoming_mail"})
"""Types that the feed may leave out unless they are asked for."""

TRIGGERED_BY: Mapping[str, str] = {
    "incoming_call": "call_in",
    "incoming_mail": "mail_in",
    "incoming_chat_message": "chat",
    "site_visit_note_added": "site_visit",
}
"""Feed events that fire a trigger of the stage that their lead is in -> its action."""


class ExpectedWebhook(NamedTuple):
    """A webhook that should have reported a feed event. `action` is its event's type, `leads.status`.

    `entity_id` is there if the feed's event is about another entity: a call is the contact's, its trigger the lead's.
    """

    channel: str
    action: str
    key: Key
    exactness: Exactness
    entity_id: str = ""


def expected_webhooks(event: FeedEvent, triggers: Iterable[DpChannel] = ()) -> Iterator[ExpectedWebhook]:
    """The account-level webhook of an event, if there is one, and those of `triggers` that its own values name.

    For triggers whose lead's stage only the account knows, see `expected_at_stage`.
    """
    if (found := _of_the_account(event)) is not None:
        action, key, exactness = found
        yield ExpectedWebhook(UPDATES if key.rule is Rule.LEVEL else ACCOUNT, action, key, exactness)
        if event.type in _ALSO_UPDATES and action != f"{event.entity}.update":
            also = keys.updated(event.entity, event.entity_id)
            yield ExpectedWebhook(UPDATES, also.webhook_type, also, APPROXIMATE)
    if event.type == "lead_status_changed":
        old, new = stage(event.before), stage(event.after)
        if old and new:
            for each in triggers:
                if each.action == "status" and each.stage == new:
                    key = keys.moved_by_trigger(event.entity_id, old, new)
                    yield ExpectedWebhook(each.name, "leads.status", key, EXACT)


def action_at_stage(event: FeedEvent) -> str | None:
    """The action of triggers for which one has to know which stage the event's lead was in."""
    return "add" if event.type == "lead_added" else TRIGGERED_BY.get(event.type)


def expected_at_stage(lead_id: int, action: str, trigger: DpChannel) -> ExpectedWebhook:
    """The webhook of a trigger, once it is known that its lead was in the trigger's stage."""
    key = keys.added("leads", lead_id) if action == "add" else keys.triggered(action, lead_id)
    exactness = STATE if action == "add" else APPROXIMATE
    return ExpectedWebhook(trigger.name, f"leads.{action}", key, exactness, str(lead_id))


def is_update(event_type: str) -> bool:
    """Whether an event of this type only changes fields of a card."""
    return event_type in _CHANGED_CARDS or event_type.endswith(("_linked", "_unlinked", "_value_changed"))


def webhook_types_of(event_type: str) -> frozenset[str]:
    """`lead_added` -> `leads.add`: the types of webhooks that report events of this type."""
    one, _, past = event_type.rpartition("_")
    match event_type:
        case "lead_status_changed":
            return frozenset({"leads.status", "leads.update"})
        case "entity_responsible_changed":
            entities = (*CARDS, "task")
            return frozenset(f"{entity}.{action}" for entity in entities for action in ("responsible", "update"))
        case "customer_status_changed":
            return frozenset({"customers.status", "customers.update"})
        case name if name in _LIFE:
            return frozenset({f"{ENTITIES[one]}.{_LIFE[name]}"})
        case name if name in NOTES:
            return frozenset(f"{entity}.note" for entity in CARDS)
        case name if name in _MESSAGES:
            return frozenset({f"{_MESSAGES[name]}.add"})
        case name if name in _CHANGED_TASKS:
            return frozenset({"task.update"})
        case "task_added" | "task_deleted":
            return frozenset({"task.add" if past == "added" else "task.delete"})
        case "talk_created":
            return frozenset({"talk.add"})
        case name if name in _CHANGED_TALKS:
            return frozenset({"talk.update"})
    return frozenset()


def _of_the_account(event: FeedEvent) -> tuple[str, Key, Exactness] | None:
    entity, id_ = event.entity, event.entity_id
    match event.type:
        case name if name in _LIFE and entity in CARDS:
            action = _LIFE[name]
            key = keys.added(entity, id_) if action == "add" else keys.gone(entity, action, id_)
            return f"{entity}.{action}", key, EXACT if action == "delete" else STATE
        case "lead_status_changed":
            old, new = stage(event.before), stage(event.after)
            if old and new:
                key = keys.moved(id_, old.status_id, new.status_id, new.pipeline_id)
                return "leads.status", key, EXACT
        case "customer_status_changed":
            old_status, status = (value_of(each, "customer_status", "id") for each in (event.before, event.after))
            if old_status and status:
                return "customers.status", keys.became(id_, old_status, status), EXACT
        case "entity_responsible_changed" if entity in CARDS:
            return _owner(event)
        case name if name in NOTES and entity in CARDS:
            note = value_of(event.after, "note", "id")
            return None if note is None else (f"{entity}.note", keys.noted(entity, note), STATE)
        case name if name in _MESSAGES:
            message = value_of(event.after, "message", "id")
            of = _MESSAGES[name]
            return None if message is None else (f"{of}.add", keys.added(of, message), APPROXIMATE)
        case "task_added":
            return "task.add", keys.added("task", id_), STATE
        case "task_deleted":
            return "task.delete", keys.gone("task", "delete", id_), EXACT
        case "talk_created":
            return "talk.add", keys.added("talk", id_), APPROXIMATE
        case name if name in _CHANGED_TASKS or (entity == "task" and name == "entity_responsible_changed"):
            return "task.update", keys.updated("task", id_), APPROXIMATE
        case name if name in _CHANGED_TALKS:
            return "talk.update", keys.updated("talk", id_), APPROXIMATE
        case name if is_update(name) and entity in CARDS:
            return f"{entity}.update", keys.updated(entity, id_), APPROXIMATE
    return None


def _owner(event: FeedEvent) -> tuple[str, Key, Exactness] | None:
    old, new = (value_of(values, "responsible_user", "id") for values in (event.before, event.after))
    if old is None or new is None:
        return None
    # of contacts and companies it comes as an update, and as nothing else
    action = "update" if event.entity in ("contacts", "companies") else "responsible"
    return f"{event.entity}.{action}", keys.owned(event.entity, event.entity_id, old, new), EXACT
