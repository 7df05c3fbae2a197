"""A filter -> SQL over `deliveries d` and `events e`, with its values."""

from typing import Any

from relay.store.postgres.text import clean, clean_or_none
from relay.store.records import Filter
from relay.store.times import to_ms

READ_SINCE = "exists (select 1 from webhooks w where w.seq = e.webhook and e.kind = 'unparsed' and w.unparsed is null)"
"""SQL for a raw delivery whose webhook was read after all: its events have taken its place."""

_FILTERS = {
    "event_ids": "e.id = any(%(event_ids)s::text[])",
    "states": "d.state = any(%(states)s::text[])",
    "target": "d.target = %(target)s",
    "route": "d.routes::jsonb ? %(route)s",
    "entity": "e.entity = %(entity)s",
    "action": "e.action = %(action)s",
    "entity_id": "left(e.entity_id, 64) = left(%(entity_id)s, 64) and e.entity_id = %(entity_id)s",  # by its index
    "pipeline_id": "e.pipeline_id = %(pipeline_id)s",
    "since": "e.received_at >= %(since)s",
    "until": "e.received_at < %(until)s",
    "dismissed": "d.dismissed_at is not null",
    "undismissed": "d.dismissed_at is null",
}


def filter_sql(wanted: Filter) -> tuple[str, dict[str, Any]]:
    """Return the condition and its values; text as it is stored."""
    given = {name: value for name, value in _values(wanted).items() if value is not None}
    return " and ".join(_FILTERS[name] for name in given) or "true", given


def _values(wanted: Filter) -> dict[str, Any]:
    return {
        "event_ids": [clean(each) for each in wanted.event_ids] or None,
        "states": [each.value for each in wanted.states] or None,
        "target": clean_or_none(wanted.target),
        "route": clean_or_none(wanted.route),
        "entity": clean_or_none(wanted.entity),
        "action": clean_or_none(wanted.action),
        "entity_id": clean_or_none(wanted.entity_id),
        "pipeline_id": clean_or_none(wanted.pipeline_id),
        "since": None if wanted.since is None else to_ms(wanted.since),
        "until": None if wanted.until is None else to_ms(wanted.until),
        "dismissed": wanted.dismissed or None,
        "undismissed": True if wanted.dismissed is False else None,
    }
