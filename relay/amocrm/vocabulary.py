"""amoCRM's vocabulary: entities and their actions, field names, codes.

ACTIONS_OF is the only list of entities and actions: decoding, the labels of relay_events_total, `check`, `send`, the
schemas and the documentation use it, or a test holds them equal to it.
"""

from collections.abc import Mapping
from itertools import chain

STAGE_ACTIONS = frozenset({"call_in", "chat", "mail_in", "period", "site_visit", "status"})
"""Actions of a pipeline's stages."""

_CHANGES = frozenset({"add", "update", "delete"})
_CARD = frozenset({*_CHANGES, "restore", "responsible", "note"})

TRIGGERS = STAGE_ACTIONS - {"period"} | {"add"}
"""Actions that a trigger of the digital pipeline is for, and which amoCRM's API reports."""

UNKNOWN = "unknown"
"""Our entity of an event whose body names none."""

ACTIONS_OF: Mapping[str, frozenset[str]] = {
    "catalogs": _CHANGES,
    "chat_template_review": _CHANGES,
    "companies": _CARD,
    "contacts": _CARD,
    "customers": _CARD | STAGE_ACTIONS,
    "leads": _CARD | STAGE_ACTIONS,
    "message": _CHANGES,
    "outgoing_message": _CHANGES,
    "talk": _CHANGES,
    "task": _CHANGES | {"responsible"},
    "unsorted": _CHANGES,
}
"""Entity -> its actions (amoCRM and Kommo, "Webhooks" and "Digital pipeline", 2026), and the likely ones."""

ENTITIES = frozenset({*ACTIONS_OF, UNKNOWN})
"""amoCRM's words for what an event is about, and UNKNOWN."""

ACTIONS = frozenset(chain.from_iterable(ACTIONS_OF.values()))
"""amoCRM's words for what happened."""

STAGED = frozenset({UNKNOWN, *(entity for entity, actions in ACTIONS_OF.items() if actions >= STAGE_ACTIONS)})
"""Entities that move through the stages of a pipeline, or may."""

_HEALABLE_OF: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("companies", "contacts", "leads"), _CARD),
    "customers": _CARD - {"restore"} | {"status"},
    "message": frozenset({"add"}),
    "outgoing_message": frozenset({"add"}),
    "talk": frozenset({"add", "update"}),
    "task": ACTIONS_OF["task"],
    "unsorted": frozenset({"add", "delete"}),
}

HEALABLE = frozenset(
    {f"{entity}.{action}" for entity, actions in _HEALABLE_OF.items() for action in actions}
    | {f"leads.{action}" for action in TRIGGERS}
)
"""Types of events that amoCRM's API still reports when their webhook is lost."""

ELEMENT_TYPES: Mapping[str, str] = {"2": "leads", "12": "customers"}
"""`element_type` of a digital pipeline -> entity."""

WON_AND_LOST: Mapping[str, str] = {"won": "142", "lost": "143"}
"""The two closing statuses, the same in every pipeline (amoCRM, API v4, "Pipelines and statuses")."""

IDS = frozenset(
    {
        "account_id",
        "catalog_id",
        "contact_id",
        "created_by",
        "created_user_id",
        "element_id",
        "element_type",
        "entity_id",
        "group_id",
        "lead_id",
        "linked_leads_id",
        "main_user_id",
        "modified_by",
        "modified_user_id",
        "note_type",
        "old_period_id",
        "old_pipeline_id",
        "old_responsible_user_id",
        "old_status_id",
        "period_id",
        "pipeline_id",
        "responsible_user_id",
        "status_id",
        "talk_id",
        "updated_by",
    }
)
"""Fields of `data` that hold amoCRM ids, and so numbers; the ids of messages and chats are UUIDs."""

TIMES = frozenset({"complete_before", "created_at", "updated_at"})
"""Fields of `data` that hold Unix seconds in every event that has them."""

AMOUNTS = frozenset({"next_price", "price"})
"""Fields of `data` that hold sums of money, without a currency or blanks."""

NUMBERS = frozenset(
    {
        "ID",
        "complete_before",
        "created_by",
        "date",
        "date_create",
        "date_modify",
        "datetime",
        "element_type",
        "enum",
        "id",
        "last_modified",
        "main_user",
        "modified_by",
        "next_price",
        "note_type",
        "price",
        "rate",
        "task_type",
        "time",
        # accept_result[leads][0]=<id>
        "companies",
        "contacts",
        "customers",
        "leads",
    }
)
"""Fields that become integers where they hold decimal digits; names that end in `_id` or `_at` do, too."""

FIELDS = (
    IDS
    | TIMES
    | AMOUNTS
    | frozenset(
        {
            "ID",
            "accept_result",
            "account",
            "action",
            "action_close",
            "attachement",
            "attachment",
            "author",
            "category",
            "chat_id",
            "client_id",
            "color",
            "company_id",
            "complete_till",
            "content",
            "conversation",
            "custom_fields",
            "customer_id",
            "data",
            "date",
            "date_create",
            "date_modify",
            "decline_result",
            "deleted",
            "direction_of_movement",
            "duration",
            "entity",
            "entity_type",
            "expired_at",
            "external_id",
            "file_name",
            "file_size",
            "id",
            "is_editable",
            "is_in_work",
            "is_on_review",
            "is_read",
            "last_modified",
            "link",
            "loss_reason_id",
            "main_user",
            "markup",
            "media",
            "message_type",
            "metadata",
            "name",
            "next_date",
            "old_text",
            "origin",
            "rate",
            "recipient",
            "request_id",
            "result",
            "reviews",
            "settings",
            "source",
            "source_data",
            "source_id",
            "tags",
            "task_type",
            "text",
            "thumbnail",
            "time",
            "timestamp_x",
            "type",
            "type_code",
            "uid",
            "user",
            "waba_category",
            "waba_footer",
            "waba_language",
        }
    )
)
"""Fields of `data` that amoCRM sends (the same pages, and public captures). It adds others without notice."""

OF_FEW = {
    "email": frozenset({"message", "outgoing_message"}),
    "phone": frozenset({"message", "outgoing_message"}),
    "status": frozenset({"task"}),
    "tag": frozenset({"message"}),
}
"""Fields that only these entities have; on others the name is likely a mistake."""
