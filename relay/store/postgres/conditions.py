"""Health of targets as this relay sees it, its reports, and the probes that it has met -> statements."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import orjson

from relay.model import Json
from relay.store.postgres.connection import Statement
from relay.store.postgres.text import clean
from relay.store.records import HealthReport
from relay.store.times import to_ms

_OTHERS = "delete from conditions where relay = %(relay)s and target <> all(%(targets)s::text[])"
_CONDITIONS = """
insert into conditions as o (relay, target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate)
select %(relay)s, c.target, c.health, c.since, c.as_of, c.error, c.in_flight, c.slow, c.probe_at, c.delivered_at, c.rate
from unnest(%(targets)s::text[], %(health)s::text[], %(since)s::bigint[], %(as_of)s::bigint[], %(errors)s::text[],
  %(in_flight)s::int[], %(slow)s::text[], %(probe_at)s::bigint[], %(delivered_at)s::bigint[], %(rate)s::float8[])
  as c(target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate)
on conflict (relay, target) do update set health = excluded.health, since = excluded.since, as_of = excluded.as_of,
  error = excluded.error, in_flight = excluded.in_flight, slow = excluded.slow, probe_at = excluded.probe_at,
  delivered_at = coalesce(excluded.delivered_at, o.delivered_at), rate = excluded.rate
"""
_REPORT = """
insert into reports (relay, name, as_of, value) values (%(relay)s, %(name)s, %(as_of)s, %(value)s)
on conflict (relay, name) do update set as_of = excluded.as_of, value = excluded.value
"""
_OLD_PROBES = "delete from probes where at < %(before)s"
ACTIVITY = "activity"
"""The report that is no part of the status, which is read at every scrape: it may be large."""
PROBES_KEPT = timedelta(minutes=1)  # by then every relay that lives has polled


class ProbeRequests:
    """The requests for a probe that this relay has met: their rows stay, for each relay has circuits of its own."""

    def __init__(self) -> None:
        self._met: dict[str, datetime] = {}

    def unmet(self, requests: Mapping[str, datetime]) -> dict[str, datetime]:
        """Return those that this relay has not met."""
        return {target: at for target, at in requests.items() if self._met.get(target) != at}

    def meet(self, requests: Mapping[str, datetime], now: datetime) -> Statement:
        """Remember these; the statement deletes the rows that are old."""
        self._met.update(requests)
        return _OLD_PROBES, {"before": to_ms(now - PROBES_KEPT)}


def publish_health(relay: str, conditions: Mapping[str, HealthReport]) -> list[Statement]:
    """Replace all conditions of this relay; when a target was delivered to last stays known."""
    reports = list(conditions.values())
    columns = {
        "relay": relay,
        "targets": [clean(each) for each in conditions],
        "health": [each.health.value for each in reports],
        "since": [to_ms(each.since) for each in reports],
        "as_of": [to_ms(each.as_of) for each in reports],
        "errors": [clean(each.error) for each in reports],
        "in_flight": [each.in_flight for each in reports],
        "slow": [orjson.dumps(sorted(each.slow)).decode() for each in reports],
        "probe_at": [each.probe_at and to_ms(each.probe_at) for each in reports],
        "delivered_at": [each.delivered_at and to_ms(each.delivered_at) for each in reports],
        "rate": [each.rate for each in reports],
    }
    return [(_OTHERS, {"relay": relay, "targets": columns["targets"]}), (_CONDITIONS, columns)]


def publish(relay: str, name: str, value: Json, now: datetime) -> Statement:
    """Replace this relay's report of this name."""
    return _REPORT, {"relay": relay, "name": clean(name), "as_of": to_ms(now), "value": orjson.dumps(value).decode()}
