"""A filter -> SQL over `deliveries d` and `events e`, with its values."""

import re
from datetime import datetime
from typing import Any

import orjson

from relay.store.postgres.text import clean, clean_or_none
from relay.store.records import Filter
from relay.store.times import to_ms

READ_SINCE = "exists (select 1 from webhooks w where w.seq = e.webhook and e.kind = 'unparsed' and w.unparsed is null)"
"""SQL for a raw delivery whose webhook was read after all: its events have taken its place."""

ABOUT = "left(e.entity_id, 64) = left(%(entity_id)s, 64) and e.entity_id = %(entity_id)s"
"""SQL for an event that is about `entity_id`, by its index."""

_FILTERS = {
    "event_ids": "e.id = any(%(event_ids)s::text[])",
    "target": "d.target = %(target)s",
    "route": "d.routes::jsonb ? %(route)s",
    "entity": "e.entity = %(entity)s",
    "action": "e.action = %(action)s",
    "entity_id": ABOUT,
    "pipeline_id": "e.pipeline_id = %(pipeline_id)s",
    "source": "(select w.source from webhooks w where w.seq = e.webhook) = %(source)s",
    # no JSON functions: they fail for a payload that is none; the first such key is the event's own
    "account": "split_part(split_part(encode(e.payload, 'escape'), '\"account\":', 2), ',\"entity\":', 1)"
    " like any(%(account)s::text[])",
    "reason": "(select reason from attempts where event = d.event and target = d.target"
    " order by number desc limit 1) = %(reason)s",
    "since": "e.received_at >= %(since)s",
    "until": "e.received_at < %(until)s",
    "settled_since": "d.settled_at >= %(settled_since)s",
    "settled_until": "d.settled_at < %(settled_until)s",
    "dismissed": "d.dismissed_at is not null",
    "undismissed": "d.dismissed_at is null",
    "dismissed_at": "d.dismissed_at = %(dismissed_at)s",
    "replayed_since": "d.replays > 0 and d.pending_since >= %(replayed_since)s",
    "replayed_until": "d.replays > 0 and d.pending_since < %(replayed_until)s",
}


def filter_sql(wanted: Filter) -> tuple[str, dict[str, Any]]:
    """Return the condition and its values; text as it is stored.

    States are constants in it: for one that is given the planner can use no partial index.
    """
    given = {name: value for name, value in _values(wanted).items() if value is not None}
    constants = ", ".join(f"'{each.value}'" for each in wanted.states)
    states = [f"d.state in ({constants})"] if constants else []
    return " and ".join([*states, *(_FILTERS[name] for name in given)]) or "true", given


def _values(wanted: Filter) -> dict[str, Any]:
    return {
        "event_ids": [clean(each) for each in wanted.event_ids] or None,
        "target": clean_or_none(wanted.target),
        "route": clean_or_none(wanted.route),
        "entity": clean_or_none(wanted.entity),
        "action": clean_or_none(wanted.action),
        "entity_id": clean_or_none(wanted.entity_id),
        "pipeline_id": clean_or_none(wanted.pipeline_id),
        "source": clean_or_none(wanted.source),
        "account": None if wanted.account is None else _account(wanted.account),
        "reason": clean_or_none(wanted.reason),
        "since": _ms(wanted.since),
        "until": _ms(wanted.until),
        "settled_since": _ms(wanted.settled_since),
        "settled_until": _ms(wanted.settled_until),
        "dismissed": wanted.dismissed or None,
        "undismissed": True if wanted.dismissed is False else None,
        "dismissed_at": _ms(wanted.dismissed_at),
        "replayed_since": _ms(wanted.replayed_since),
        "replayed_until": _ms(wanted.replayed_until),
    }


def _account(account: str) -> list[str]:
    """Return the patterns of an account block, as JSON, that has this id or this subdomain."""
    text = re.sub(r"([\\\\%_])", r"\\\1", orjson.dumps(clean(account)).decode())
    return [f'%"{name}":{text}%' for name in ("id", "subdomain")]


def _ms(at: datetime | None) -> int | None:
    return None if at is None else to_ms(at)
