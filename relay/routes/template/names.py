"""The names that a template may use, by where it stands."""

EVENT_NAMES = frozenset(
    {
        "account", "action", "data", "enriched", "entity", "event", "heal", "id", "names", "query", "source",
        "timestamp", "type",
    }
)  # fmt: skip
BATCH_NAMES = frozenset({"enriched", "events", "names"})
NOTIFICATION_NAMES = frozenset({"at", "kinds", "lines", "link", "name", "relay", "text", "title"})
ANSWER_NAMES = frozenset({"answer", "headers", "status"})
