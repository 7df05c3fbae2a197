"""Looks through history in steps, within a budget: what no index answers must not hold up the reading connection.

A step is a window of so many webhooks by the time of their arrival. Order and bounds are those of
`webhooks_received_at`, so that times need no look: an event has the arrival of its webhook, whenever it was stored.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, NamedTuple, TypeVar

from relay.store import cursors
from relay.store.records import Page
from relay.store.times import LAST, from_ms, to_ms

T = TypeVar("T")
P = TypeVar("P", bound=tuple[Any, ...])

STEP = 1_000
"""Webhooks of one step: some ms."""

FEW = 2_000
"""Deliveries, or events about one entity id, up to which all that an index leads to are looked at: 20 ms or so."""

Row = tuple[Any, ...]


class Step(NamedTuple, Generic[P]):
    """The rows that a step found, in order, and the place where the next one begins; None if nothing is left."""

    rows: Sequence[Row]
    then: P | None


class Look(NamedTuple, Generic[P]):
    """The rows of all steps, at most one more than asked for; `ended_at`: the budget was spent there."""

    rows: Sequence[Row]
    ended_at: P | None


async def look(
    step: Callable[[P, int], Awaitable[Step[P]]],
    place: P,
    limit: int,
    budget: timedelta | None,
    *,
    steady: Callable[[], float] = time.monotonic,
) -> Look[P]:
    """Take steps from `place` on, until more than `limit` rows are found, nothing is left, or the budget is spent.

    It is spent once another step as long as the longest so far would exceed it. `step` is called with a place and how
    many rows are still wanted.
    """
    begun = now = steady()
    longest = 0.0
    found: list[Row] = []
    while True:
        rows, then = await step(place, limit + 1 - len(found))
        found += rows
        if then is None or len(found) > limit:
            return Look(found, None)
        place = then
        before, now = now, steady()
        longest = max(longest, now - before)
        if budget is not None and now + longest - begun >= budget.total_seconds():
            return Look(found, place)


def page_of(
    listing: str,
    seen: Look[P],
    limit: int,
    place_of: Callable[[Row], P],
    record: Callable[[Row], T],
) -> Page[T]:
    """Return the page of what a look has found; the first value of a place is its time in milliseconds."""
    shown = seen.rows[:limit]
    if len(seen.rows) > limit:
        return Page(map(record, shown), next_=cursors.cursor(listing, place_of(shown[-1])))
    if seen.ended_at is None:
        return Page(map(record, shown))
    next_ = cursors.cursor(listing, seen.ended_at)
    return Page(map(record, shown), next_=next_, searched_to=from_ms(seen.ended_at[0]))


# ---- places in the order of arrival


class Place(NamedTuple):
    """A row of a listing: arrival and seq of the webhook, seq of the event, the target.

    The fields are parameters of the listings' SQL, beside those of their filters, `event` and `target`.
    """

    at: int
    webhook: int
    past_event: int
    past_target: str


def newest(until: datetime | None) -> Place:
    """Return the place before what arrived last, before `until`."""
    return of_webhook(LAST if until is None else to_ms(until) - 1, cursors.LARGEST)


def of_webhook(at: int, webhook: int) -> Place:
    """Return the place before all rows of a webhook, newest first."""
    return Place(at, webhook, cursors.LARGEST, "")


def place(listing: str, cursor: str) -> Place:
    """Decode a cursor."""
    at, webhook, event, target = cursors.key(listing, cursor, int, int, int, str)
    return Place(int(at), int(webhook), int(event), str(target))


class AttemptPlace(NamedTuple):
    """An attempt in the order of time, newest first; all of `at` stand behind (at + 1, 0, "", 0)."""

    at: int
    event: int
    target: str
    number: int


def newest_attempt(until: datetime | None) -> AttemptPlace:
    """Return the place before the attempt that began last, before `until`."""
    return before_attempts(LAST if until is None else to_ms(until))


def before_attempts(at: int) -> AttemptPlace:
    """Return the place before the attempts that began before `at`."""
    return AttemptPlace(at, 0, "", 0)


def attempt_place(cursor: str) -> AttemptPlace:
    """Decode a cursor of attempts."""
    at, event, target, number = cursors.key("attempts", cursor, int, int, str, int)
    return AttemptPlace(int(at), int(event), str(target), int(number))
