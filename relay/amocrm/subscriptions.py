"""What a webhook of an account can be subscribed to: amoCRM's name of each setting -> the event that it brings.

amoCRM, "Webhooks API" (2026); digital-pipeline triggers, mail and incoming leads have no setting.
"""

from collections.abc import Mapping

_SINGULAR = {
    "companies": "company",
    "contacts": "contact",
    "customers": "customer",
    "leads": "lead",
    "task": "task",
}
_OF_ALL = ("add", "update", "delete", "responsible")
_MORE = {
    "restore": ("leads", "contacts", "companies"),
    "note": ("leads", "contacts", "companies", "customers"),
    "status": ("leads",),
}

SETTINGS: Mapping[str, tuple[str, str]] = {
    **{f"{action}_{word}": (entity, action) for action in _OF_ALL for entity, word in _SINGULAR.items()},
    **{f"{action}_{_SINGULAR[entity]}": (entity, action) for action, entities in _MORE.items() for entity in entities},
    "add_talk": ("talk", "add"),
    "update_talk": ("talk", "update"),
    "add_message": ("message", "add"),
    "add_outgoing_message": ("outgoing_message", "add"),
    "add_chat_template_review": ("chat_template_review", "add"),
}
"""Setting -> entity and action."""

BESIDE: Mapping[str, str] = {"status_lead": "update_lead"}
"""Setting -> another that is asked for with it: of some moves only the update came (#226 of amoCRM's PHP client)."""
