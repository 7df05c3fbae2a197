"""The words of amoCRM: what an event can be about, and what can have happened."""

ENTITIES = frozenset(
    {
        "catalogs",
        "chat_template_review",
        "companies",
        "contacts",
        "customers",
        "leads",
        "message",
        "outgoing_message",
        "talk",
        "task",
        "unknown",
        "unsorted",
    }
)
"""amoCRM's words for what an event is about (amoCRM and Kommo, "Webhooks", 2026), and ours for what has none."""

ACTIONS = frozenset(
    {
        "add",
        "call_in",
        "chat",
        "delete",
        "mail_in",
        "note",
        "period",
        "responsible",
        "restore",
        "site_visit",
        "status",
        "update",
    }
)
"""amoCRM's words for what happened (the same pages, and those of the digital pipeline)."""

STAGE_ACTIONS = frozenset({"call_in", "chat", "mail_in", "period", "site_visit", "status"})
"""What happens in a pipeline: to leads and customers alone."""

STAGED = frozenset({"customers", "leads", "unknown"})

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

FIELDS = (
    IDS
    | TIMES
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
            "next_price",
            "old_text",
            "origin",
            "price",
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
