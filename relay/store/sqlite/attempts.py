"""Attempts by the time at which they began: what failed or was late by an index, the rest by the arrival of its event.

An attempt that delivers within seconds of the arrival is in no index: each would cost every settle a page of the log.
"""

from datetime import timedelta
from functools import partial
from typing import Any

import apsw

from relay.store import looks
from relay.store.looks import AttemptPlace, Step
from relay.store.question_records import LATE, AttemptFilter, MadeAttempt
from relay.store.records import Page
from relay.store.rows import attempt_of, delivery_of
from relay.store.sqlite.listings import ATTEMPT_COLUMNS
from relay.store.sqlite.reading import DELIVERY_COLUMNS
from relay.store.sqlite.sql import Row, Run, rows
from relay.store.times import MILLISECOND, microseconds, to_ms

_RANGE = (
    "started_at >= :least and started_at <= :at and (started_at, event, target, number) < (:at, :event, :target,"
    " :number)"
)
_KEY = "started_at desc, event desc, target desc, number desc"
FAILED_END = (
    "select started_at, event, target, number from attempts"
    f" where verdict <> 'delivered' and {_RANGE} order by {_KEY} limit 1 offset :step"
)
"""The last attempt of a step."""

_COLUMNS = f"a.started_at, a.event, a.target, a.number, {DELIVERY_COLUMNS}, {ATTEMPT_COLUMNS}"
_JOINED = "cross join deliveries d on d.event = a.event and d.target = a.target cross join events e on e.seq = a.event"
_SHOWN = "order by a.started_at desc, a.event desc, a.target desc, a.number desc limit :limit"
_WANTED = (
    "(:only is null or a.target = :only) and (:reason is null or a.reason = :reason)"
    " and (:slower is null or a.took_us > :slower)"
)
FAILED = (
    f"select {_COLUMNS} from attempts a {_JOINED} where a.verdict <> 'delivered'"
    " and a.started_at >= :end_at and a.started_at <= :at"
    " and (a.started_at, a.event, a.target, a.number) < (:at, :event, :target, :number)"
    " and (a.started_at, a.event, a.target, a.number) >= (:end_at, :end_event, :end_target, :end_number)"
    f" and {_WANTED} {_SHOWN}"
)
ARRIVED_BEFORE = (
    "select received_at from webhooks where received_at < :at order by received_at desc limit 1 offset :step"
)
ALL = (
    f"select {_COLUMNS} from ("
    f" select * from attempts where verdict <> 'delivered' and {_RANGE}"
    f" union all select * from attempts where verdict = 'delivered' and late is not 0 and {_RANGE}"
    " union all select a.* from webhooks w cross join events e on e.webhook = w.seq"
    " cross join attempts a on a.event = e.seq"
    " where w.received_at >= :least - :late and w.received_at <= :at and a.verdict = 'delivered' and a.late = 0"
    " and a.started_at >= :least and (a.started_at, a.event, a.target, a.number) < (:at, :event, :target, :number)"
    f") a {_JOINED} where {_WANTED} {_SHOWN}"
)
ALL_STEP = 500  # webhooks: beside them the seconds of `LATE` before are looked at


async def attempts(
    read: Run, wanted: AttemptFilter, limit: int, before: str | None, budget: timedelta | None
) -> Page[MadeAttempt]:
    """See `question_contract.QuestionStore.attempts`."""
    place = looks.attempt_place(before) if before else looks.newest_attempt(wanted.until)
    least = 0 if wanted.since is None else to_ms(wanted.since)
    values = {"only": wanted.target, "reason": wanted.reason, "slower": microseconds(wanted.slower)}
    run = partial(_failed if wanted.failed else _all, least=least, values=values)
    seen = await looks.look(lambda at, left: read(partial(run, place=at, limit=left)), place, limit, budget)
    return await read(lambda _cursor: looks.page_of("attempts", seen, limit, _place_of, _record))


def _failed(
    cursor: apsw.Cursor, least: int, values: dict[str, Any], place: AttemptPlace, limit: int
) -> Step[AttemptPlace]:
    at = place._asdict()
    found = rows(cursor, FAILED_END, {**at, "least": least, "step": looks.STEP - 1})
    end = AttemptPlace(*found[0]) if found else looks.before_attempts(least)
    bounds = {f"end_{name}": value for name, value in end._asdict().items()}
    return Step(rows(cursor, FAILED, {**values, **at, **bounds, "limit": limit}), end if found else None)


def _all(
    cursor: apsw.Cursor, least: int, values: dict[str, Any], place: AttemptPlace, limit: int
) -> Step[AttemptPlace]:
    found = rows(cursor, ARRIVED_BEFORE, {"at": place.at, "step": ALL_STEP})
    start = max(least, min(found[0][0], place.at - 1)) if found else least
    bound = {**values, **place._asdict(), "least": start, "late": LATE // MILLISECOND, "limit": limit}
    return Step(rows(cursor, ALL, bound), looks.before_attempts(start) if start > least else None)


def _place_of(row: Row) -> AttemptPlace:
    return AttemptPlace(*row[:4])


def _record(row: Row) -> MadeAttempt:
    return MadeAttempt(attempt=attempt_of(row[-7:]), delivery=delivery_of(row[4:-7]))
