"""`relay.delivery.rate_limiter`: slots come evenly, and late attempts are made up for, but not many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.rate_limiter import CATCH_UP, RateLimiter


def begins(rate: float, late: list[float], start: float = 100.0) -> list[float]:
    """When attempts begin that are always wanted, each of them so much later than its slot allows."""
    pace, now, begun = RateLimiter(), start, []
    for each in late:
        now += pace.wait(rate, now=now) + each
        pace.take(rate, now=now)
        begun.append(now)
    return begun


def test_without_a_rate_nothing_waits() -> None:
    pace = RateLimiter()
    for _ in range(3):
        assert pace.wait(None, now=1.0) == 0.0
        pace.take(None, now=1.0)


def test_slots_come_evenly_from_the_first_on() -> None:
    assert begins(4.0, [0.0] * 4) == pytest.approx([100.0, 100.2, 100.45, 100.7])


def test_a_slot_that_is_not_taken_is_still_there() -> None:
    pace = RateLimiter()
    pace.take(1.0, now=5.0)
    assert pace.wait(1.0, now=9.0) == pace.wait(1.0, now=9.0) == 0.0


@given(rate=st.floats(0.1, 500), late=st.lists(st.floats(0, 2), min_size=2, max_size=60))
def test_no_time_however_uneven_sees_more_than_its_rate_and_what_may_be_caught_up(
    rate: float, late: list[float]
) -> None:
    begun = begins(rate, late)
    for first, at in enumerate(begun):
        for last in range(first + 1, len(begun)):
            assert last - first <= (begun[last] - at + CATCH_UP) * rate + 1e-6
