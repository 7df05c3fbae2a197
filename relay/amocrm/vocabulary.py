"""The words of amoCRM: what an event can be about, and what can have happened to it."""

from collections.abc import Mapping

STAGE_ACTIONS = frozenset({"call_in", "chat", "mail_in", "period", "site_visit", "status"})
"""What happens in a pipeline: to leads and customers alone."""

STAGED = frozenset({"customers", "leads", "unknown"})

_CHANGES = frozenset({"add", "update", "delete"})
_CARD = frozenset({*_CHANGES, "restore", "responsible", "note"})

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

ENTITIES = frozenset({*ACTIONS_OF, "unknown"})
"""amoCRM's words for what an event is about, and ours for what has none."""

ACTIONS = frozenset().union(*ACTIONS_OF.values())
"""amoCRM's words for what happened."""

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
"""Fields of `data` that are ids of amoCRM's, and so numbers; those of messages and chats are UUIDs."""

TIMES = frozenset({"complete_before", "created_at", "updated_at"})
"""Fields of `data` that are Unix seconds in every event that has them."""

AMOUNTS = frozenset({"next_price", "price"})
"""Fields of `data` that are sums of money, without a currency or blanks in them."""

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
"""Fields of `data` that arrive (the same pages, and public captures). amoCRM adds others without a word."""

OF_FEW = {
    "email": frozenset({"message", "outgoing_message"}),
    "phone": frozenset({"message", "outgoing_message"}),
    "status": frozenset({"task"}),
    "tag": frozenset({"message"}),
}
"""Fields whose names suggest another, with the entities that do have them."""
