"""What a busy machine excuses: a call or a repeat while this process or a relay was held up, and nothing else."""

import pytest

from tests.chaos.seen import STALL, blocked, instant, is_during, repeated
from tests.e2e.targets import Request

LINE = {"time": "2026-11-30T08:00:10.000Z", "message": "event loop blocked", "ms": 4000}


def taken(marker: str, at: float, *, accepted: bool = True) -> Request:
    return Request(
        target="plain", marker=marker, event_id=marker, attempt=1, body=b"", accepted=accepted, at=at, headers={}
    )


def test_what_a_target_took_twice_is_repeated_from_the_first_to_the_last_time() -> None:
    received = [
        taken("m1", 1.0),
        taken("m2", 2.0),
        taken("m3", 3.0, accepted=False),
        taken("m3", 4.0),
        taken("m1", 6.0),
    ]
    assert repeated(received) == [(("plain", "m1"), 1.0, 6.0)]


@pytest.mark.parametrize(
    ("began", "ended", "excused"),
    [(1.0, 5.9 - STALL, False), (1.0, 6.1, True), (8.0, 8.1, True), (9.9, 12.0, True), (10.1 + STALL, 12.0, False)],
)
def test_what_was_under_way_while_a_loop_stood_still_is_excused(began: float, ended: float, excused: bool) -> None:
    ahead = instant(LINE) - 10.0
    assert blocked([LINE], ahead) == [(pytest.approx(6.0), pytest.approx(10.0))]
    assert is_during(began, ended, blocked([LINE], ahead)) is excused


def test_a_loop_that_stood_still_for_a_moment_excuses_nothing() -> None:
    assert blocked([LINE | {"ms": STALL * 1000}], 0.0) == []
