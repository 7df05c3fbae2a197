"""Whatever the round trips are, the server's time is within what the clock says."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account.server_clock import KNOWN_FOR, ServerClock

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def header(at: datetime) -> str:
    return format_datetime(at.replace(microsecond=0), usegmt=True)


CALLS = st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3), st.floats(0, 60)), min_size=1, max_size=40)


@given(st.floats(-86_400, 86_400), CALLS)
def test_the_servers_time_is_within_what_is_said(ahead: float, calls: list[tuple[float, float, float]]) -> None:
    clock, steady = ServerClock(), 1000.0
    for there, back, rest in calls:
        served = START + timedelta(seconds=steady + there + ahead)
        clock.learn(header(served), sent_at=steady, answered_at=steady + there + back)
        steady += there + back + rest
    found = clock.at(steady)
    if found:
        truth = START + timedelta(seconds=steady + ahead)
        assert abs(found.at - truth) <= found.within + timedelta(milliseconds=1)
        assert timedelta(seconds=1) <= found.within <= timedelta(seconds=5)
    else:
        assert all(there + back > 9 for there, back, _rest in calls) or not calls or steady > KNOWN_FOR


def test_the_quickest_of_the_last_calls_counts() -> None:
    clock = ServerClock()
    clock.learn(header(START), sent_at=0.0, answered_at=8.0)
    assert clock.at(8.0) == (START + timedelta(seconds=4.5), timedelta(seconds=4.5))
    clock.learn(header(START + timedelta(seconds=10)), sent_at=10.0, answered_at=10.2)
    assert clock.at(11.0) == (START + timedelta(seconds=11.4), timedelta(seconds=1))
    clock.learn(header(START), sent_at=12.0, answered_at=20.0)
    assert clock.at(11.0) == (START + timedelta(seconds=11.4), timedelta(seconds=1))


def test_a_slow_call_or_an_old_one_tells_nothing() -> None:
    clock = ServerClock()
    clock.learn(header(START), sent_at=0.0, answered_at=9.5)
    assert clock.at(10.0) is None
    clock.learn(header(START), sent_at=0.0, answered_at=0.1)
    assert clock.at(KNOWN_FOR)
    assert clock.at(KNOWN_FOR + 1) is None


@pytest.mark.parametrize("date", [None, "", "yesterday", "Wed, 99 Oct 2026 07:28:00 GMT"])
def test_what_is_no_date_tells_nothing(date: str | None) -> None:
    clock = ServerClock()
    clock.learn(date, sent_at=0.0, answered_at=0.1)
    assert clock.at(1.0) is None
