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
