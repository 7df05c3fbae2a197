"""The state of targets and relays -> a Status; counted within partial indexes, never over the history."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import orjson

from relay.model import Health
from relay.store import guard_rows, records
from relay.store.postgres import guards
from relay.store.postgres.clock import NOW
from relay.store.postgres.conditions import ACTIVITY
from relay.store.postgres.connection import Row, Statement
from relay.store.records import AckGap, Deaths, HealthReport, Pause, RelayStanding, Report, Status, TargetStatus, worst
from relay.store.times import from_ms

# the pending ones are in two partial indexes: asked as state = 'pending' alone, the whole table is read
PENDING = """
select target, sum(n)::bigint, (select received_at from events where seq = min(oldest)) from (
  select target, count(*) as n, min(event) as oldest from deliveries
  where state = 'pending' and claim is null group by target
  union all
  select target, count(*) as n, min(event) as oldest from deliveries
  where state = 'pending' and claim is not null group by target
) both_parts group by target
"""
_COUNTED = "state = 'dead' and why <> 'reparsed' and dismissed_at is null"
_OF_DEAD = f"select settled_at, why from deliveries where target = dead.target and {_COUNTED} order by settled_at"
DEAD = f"""
select dead.target, n, first.settled_at, last.settled_at, last.why
from (select target, count(*) as n from deliveries where {_COUNTED} group by target) dead
cross join lateral ({_OF_DEAD} limit 1) first
cross join lateral ({_OF_DEAD} desc limit 1) last
"""
PAUSES = "select target, paused_at, who, reason from pauses"
LIVING = "array(select name from relays where gone_at is null)"
# a relay that is gone reports nothing anew: it counts only where none lives, as what was seen last
_OF_THE_LIVING = f"(relay = any({LIVING}) or cardinality({LIVING}) = 0)"
CONDITIONS = (
    "select relay, target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate"
    " from conditions"
    f" where {_OF_THE_LIVING} order by target, relay"
)
# the last one of a name stays: of a relay that lives, and the newest of those. A report is published when it changes,
# so the newest is the latest news; to add up what a relay said is not the store's, which does not know what it means
_REPORTS = (
    f"select name, relay, as_of, value from reports where name <> '{ACTIVITY}'"
    f" order by relay = any({LIVING}), as_of, relay"
)
_LAST = "select received_at from webhooks order by seq desc limit 1"
_UNPARSED = "select (select count(*) from webhooks where unparsed is not null) - (select count(*) from dismissed)"
UNROUTED = """
select count(*) from (
  select 1 from events where unrouted = 1 and erased_at is null and (
    select c.reltuples < 100000 or exists (
      select from pg_index i where i.indexrelid = to_regclass('events_unrouted') and i.indisvalid)
    from pg_class c where c.oid = to_regclass('events'))
  order by seq limit %s) counted
"""
"""Counts nothing in a large table while its index is being built after an upgrade: a scrape must not scan it."""
UNKNOWN_FOR = 30 * 86_400_000  # milliseconds that a relay is listed which is gone and did not report its spool
_RELAYS = (
    "select name, host, pid, version, started_at, seen_at, config, gone_at, nullif(spooled, -1), spooled_at from relays"
    f" where gone_at is null or spooled > 0 or spooled < 0 and gone_at > {NOW} - {UNKNOWN_FOR}"
    " order by gone_at is not null, incarnation"
)
LOSSES = "select relay, count, after, noticed_at from losses where accepted_at is null order by noticed_at, relay"
SIZE = """
select coalesce(sum(pg_total_relation_size(oid)), 0)::bigint from pg_class
where oid in (select to_regclass(name) from unnest(array['webhooks', 'events', 'deliveries', 'attempts']) name)
"""
"""The bytes of what grows, with its indexes."""


def statements() -> Sequence[Statement]:
    """Return what `status` takes the rows of."""
    whole = (PENDING, DEAD, PAUSES, CONDITIONS, _REPORTS, _LAST, _UNPARSED, _RELAYS, LOSSES, guards.RECORDS)
    return [*((sql, ()) for sql in whole), (UNROUTED, (records.COUNTED + 1,))]


def status(found: Sequence[Sequence[Row]]) -> Status:
    """Return the status of the rows of `statements`."""
    pending, dead, paused, seen, reported, last, unparsed, relays, missing, guarded, unrouted = found
    return Status(
        targets=_targets(pending, dead, paused, seen),
        last_at=from_ms(last[0][0]) if last else None,
        unparsed=unparsed[0][0],
        unrouted=unrouted[0][0],
        relays=tuple(map(_relay, relays)),
        losses=losses(missing),
        reports={
            name: Report(as_of=from_ms(as_of), value=orjson.loads(value), relay=relay)
            for name, relay, as_of, value in reported
        },
        guards=guard_rows.read(guarded),
    )


def losses(found: Sequence[Row]) -> tuple[AckGap, ...]:
    """Return the gaps of the rows of `LOSSES`."""
    return tuple(
        AckGap(count=count, after=None if after is None else from_ms(after), noticed_at=from_ms(at), relay=relay)
        for relay, count, after, at in found
    )


def _deaths(first: int | None, last: int | None, why: str) -> Deaths | None:
    """None where a row does not say when it died."""
    return None if first is None or last is None else Deaths(first_at=from_ms(first), last_at=from_ms(last), why=why)


def _targets(
    pending: Sequence[Row], dead: Sequence[Row], paused: Sequence[Row], seen: Sequence[Row]
) -> dict[str, TargetStatus]:
    known: dict[str, TargetStatus] = {
        target: TargetStatus(dead=number, deaths=_deaths(*when)) for target, number, *when in dead
    }
    for target, number, oldest in pending:
        oldest_at = None if oldest is None else from_ms(oldest)
        known[target] = replace(known.get(target, TargetStatus()), pending=number, oldest_at=oldest_at)
    for target, at, who, reason in paused:
        pause = Pause(at=from_ms(at), who=who, reason=reason)
        known[target] = replace(known.get(target, TargetStatus()), pause=pause)
    for target, conditions in _conditions(seen).items():
        condition = _as_one(conditions)
        known[target] = replace(known.get(target, TargetStatus()), condition=condition, conditions=conditions)
    return dict(sorted(known.items()))


def health(seen: Sequence[Row]) -> dict[str, HealthReport]:
    """Return, of the rows of `CONDITIONS`, the worst by target."""
    found = {target: _as_one(conditions) for target, conditions in _conditions(seen).items()}
    return {target: each for target, each in found.items() if each}


def _conditions(seen: Sequence[Row]) -> dict[str, dict[str, HealthReport]]:
    """Return them by target, then by relay."""
    known: dict[str, dict[str, HealthReport]] = {}
    for relay, target, health, since, as_of, error, in_flight, slow, probe_at, delivered_at, rate in seen:
        known.setdefault(target, {})[relay] = HealthReport(
            health=Health(health),
            since=from_ms(since),
            as_of=from_ms(as_of),
            error=error,
            in_flight=in_flight,
            slow=frozenset(orjson.loads(slow)),
            probe_at=None if probe_at is None else from_ms(probe_at),
            delivered_at=None if delivered_at is None else from_ms(delivered_at),
            rate=rate,
        )
    return known


def _as_one(conditions: Mapping[str, HealthReport]) -> HealthReport | None:
    """Return the worst, with the attempts of all: a delivery is made whichever relay makes it."""
    one = worst(conditions.values())
    return one and replace(
        one,
        in_flight=sum(each.in_flight for each in conditions.values()),
        slow=frozenset().union(*(each.slow for each in conditions.values())),
        delivered_at=max((each.delivered_at for each in conditions.values() if each.delivered_at), default=None),
        rate=sum(each.rate for each in conditions.values()),
    )


def _relay(row: Row) -> RelayStanding:
    name, host, pid, version, since, seen_at, config, gone_at, spooled, spooled_at = row
    return RelayStanding(
        name=name,
        host=host,
        pid=pid,
        version=version,
        since=from_ms(since),
        seen_at=from_ms(seen_at),
        config=config,
        gone_at=None if gone_at is None else from_ms(gone_at),
        spooled=spooled,
        spooled_at=None if spooled_at is None else from_ms(spooled_at),
    )
