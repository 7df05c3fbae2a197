"""Never more than seven requests arrive in a second, however long the way is; what a 429 does to the next ones."""

import heapq

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.account.pace import LONGEST_PAUSE, MOST_A_SECOND, Pace

DELAYS = st.sampled_from([0.0, 0.0, 0.25, 1.0]) | st.floats(0, 3)
WAYS = st.tuples(DELAYS, DELAYS)
"""Seconds to the server, and back."""


def arrivals(ways: list[tuple[float, float]], rests: list[float]) -> list[float]:
    """Send one request for each way, as early as may be, with a rest before some; when each arrives."""
    pace, now = Pace(), 0.0
    under_way: list[float] = []
    found = []
    for (there, back), rest in zip(ways, rests, strict=True):
        now += rest
        while (wait := pace.wait(now)) is None or wait > 0:
            now = under_way[0] if wait is None else min([now + wait, *under_way[:1]])
            while under_way and under_way[0] <= now:
                pace.answered(heapq.heappop(under_way))
        while under_way and under_way[0] <= now:
            pace.answered(heapq.heappop(under_way))
        pace.take(now)
        found.append(now + there)
        heapq.heappush(under_way, now + there + back)
    return sorted(found)


LATE = [((0.3, 0.0), 0.0)] * 2 + [((0.1, 0.0), 0.0)] + [((0.0, 0.0), 0.0)] * 9
"""The first ones are late, and arrive together with what was sent after them."""


@example(LATE)
@given(st.lists(st.tuples(WAYS, st.sampled_from([0.0, 0.0, 0.0, 0.3, 5.0])), min_size=8, max_size=40))
def test_no_second_has_more_than_seven_arrivals(plan: list[tuple[tuple[float, float], float]]) -> None:
    at = arrivals([way for way, _rest in plan], [rest for _way, rest in plan])
    most = max(sum(start <= other <= start + 1.0 for other in at) for start in at)
    assert most <= MOST_A_SECOND


def test_an_idle_account_gets_two_at_once_and_then_five_a_second() -> None:
    at = arrivals([(0.0, 0.0)] * 12, [0.0] * 12)
    assert at == pytest.approx([0.0] + [n / 5 for n in range(11)])


def test_a_slow_account_is_asked_less() -> None:
    at = arrivals([(1.0, 1.0)] * 70, [0.0] * 70)
    assert (at[-1] - at[0]) / len(at) > 1 / 5


def test_each_429_in_a_row_makes_a_longer_pause_until_an_answer() -> None:
    pace = Pace()
    pauses = [pace.limited(0.0, None) for _ in range(9)]
    assert pauses == [1, 2, 4, 8, 16, 32, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]
    assert pace.wait(1.0) == pytest.approx(59.0)
    pace.served()
    assert pace.limited(100.0, None) == 1


def test_an_answer_may_ask_for_a_pause_of_its_own() -> None:
    pace = Pace()
    assert pace.limited(0.0, 300.0) == 300.0
    assert pace.limited(1.0, None) == 2.0
    assert pace.wait(1.0) == pytest.approx(299.0)
