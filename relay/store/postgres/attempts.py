"""Attempts by the time at which they began: what failed or was late by an index, the rest by the arrival of its event.

An attempt that delivers within seconds of the arrival is in no index: each would cost every settle.
"""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from relay.store import looks
from relay.store.looks import AttemptPlace, Step
from relay.store.postgres.connection import Connection, Row
from relay.store.postgres.listings import ATTEMPT_COLUMNS
from relay.store.postgres.reading import DELIVERY_COLUMNS
from relay.store.postgres.text import clean_or_none
from relay.store.question_records import LATE, AttemptFilter, MadeAttempt
from relay.store.records import Page
from relay.store.rows import attempt_of, delivery_of
from relay.store.times import MILLISECOND, microseconds, to_ms

_BEHIND = "started_at <= %(at)s and (started_at, event, target, number) < (%(at)s, %(event)s, %(target)s, %(number)s)"
_KEY = "started_at desc, event desc, target desc, number desc"
FAILED_END = (
    "select started_at, event, target, number from attempts"
    f" where verdict <> 'delivered' and started_at >= %(least)s and {_BEHIND} order by {_KEY} limit 1 offset %(step)s"
)
"""The last attempt of a step."""

_COLUMNS = f"a.started_at, a.event, a.target, a.number, {DELIVERY_COLUMNS}, {ATTEMPT_COLUMNS}"
# offset 0: joined row by row in this order
_JOINED = (
    "cross join lateral (select * from deliveries where event = a.event and target = a.target offset 0) d"
    " cross join lateral (select * from events where seq = a.event offset 0) e"
)
_SHOWN = "order by a.started_at desc, a.event desc, a.target desc, a.number desc limit %(limit)s"
_WANTED = (
    "(%(only)s::text is null or a.target = %(only)s::text)"
    " and (%(reason)s::text is null or a.reason = %(reason)s::text)"
    " and (%(slower)s::bigint is null or a.took_us > %(slower)s::bigint)"
)
FAILED = f"""
select {_COLUMNS} from (
  select * from attempts where verdict <> 'delivered' and started_at >= %(end_at)s and {_BEHIND}
    and (started_at, event, target, number) >= (%(end_at)s, %(end_event)s, %(end_target)s, %(end_number)s)
  order by {_KEY} limit %(step)s
) a {_JOINED} where {_WANTED} {_SHOWN}
"""
ARRIVED_BEFORE = (
    "select received_at from webhooks where received_at < %(at)s order by received_at desc limit 1 offset %(step)s"
)
ALL = f"""
select {_COLUMNS} from (
  (select * from attempts where verdict <> 'delivered' and started_at >= %(least)s and {_BEHIND} order by {_KEY})
  union all
  (select * from attempts where verdict = 'delivered' and late is distinct from 0 and started_at >= %(least)s
   and {_BEHIND} order by {_KEY})
  union all
  (select a.* from (select seq from webhooks where received_at >= %(least)s - %(late)s and received_at <= %(at)s
                    order by received_at, seq offset 0) w
   cross join lateral (select seq from events where webhook = w.seq offset 0) e
   cross join lateral (select * from attempts where event = e.seq and verdict = 'delivered' and late = 0 offset 0) a
   where a.started_at >= %(least)s
   and (a.started_at, a.event, a.target, a.number) < (%(at)s, %(event)s, %(target)s, %(number)s))
) a {_JOINED} where {_WANTED} {_SHOWN}
"""
ALL_STEP = 500  # webhooks: beside them the seconds of `LATE` before are looked at


async def attempts(
    look: Connection, wanted: AttemptFilter, limit: int, before: str | None, budget: timedelta | None
) -> Page[MadeAttempt]:
    """See `question_contract.QuestionStore.attempts`."""
    place = looks.attempt_place(before) if before else looks.newest_attempt(wanted.until)
    least = 0 if wanted.since is None else to_ms(wanted.since)
    values = {
        "only": clean_or_none(wanted.target),
        "reason": clean_or_none(wanted.reason),
        "slower": microseconds(wanted.slower),
    }
    run = partial(_failed if wanted.failed else _all, look, least, values)
    seen = await looks.look(run, place, limit, budget)
    return looks.page_of("attempts", seen, limit, lambda row: AttemptPlace(*row[:4]), _record)


async def _failed(
    look: Connection, least: int, values: Mapping[str, Any], place: AttemptPlace, limit: int
) -> Step[AttemptPlace]:
    at = place._asdict()
    [ends] = await look.run([(FAILED_END, {**at, "least": least, "step": looks.STEP - 1})])
    end = AttemptPlace(*ends[0]) if ends else looks.before_attempts(least)
    bounds = {f"end_{name}": value for name, value in end._asdict().items()}
    [found] = await look.run([(FAILED, {**values, **at, **bounds, "step": looks.STEP, "limit": limit})])
    return Step(found, end if ends else None)


async def _all(
    look: Connection, least: int, values: Mapping[str, Any], place: AttemptPlace, limit: int
) -> Step[AttemptPlace]:
    [arrived] = await look.run([(ARRIVED_BEFORE, {"at": place.at, "step": ALL_STEP})])
    start = max(least, min(arrived[0][0], place.at - 1)) if arrived else least
    bound = {**values, **place._asdict(), "least": start, "late": LATE // MILLISECOND, "limit": limit}
    [found] = await look.run([(ALL, bound)])
    return Step(found, looks.before_attempts(start) if start > least else None)


def _record(row: Row) -> MadeAttempt:
    return MadeAttempt(attempt=attempt_of(row[-7:]), delivery=delivery_of(row[4:-7]))
