"""Samples -> ratios, verdicts and a table; calls -> microseconds; stacks -> shares."""

from dataclasses import replace

import pytest

from tests.bench import matching
from tests.bench.profiles import shares
from tests.bench.rounds import Others
from tests.bench.table import Goal, Row, figure, table

ROW = Row(
    bench="acks",
    what="64",
    unit="/s",
    ours=[50, 10, 90],
    beside="bare",
    theirs=[100, 10, 100],
    goal=Goal(at_least=0.95),
)


def test_a_row_of_a_taken_machine_tells_how_much_others_had_in_place_of_its_figures() -> None:
    row = replace(ROW, others=Others(limit=0.1, shares=[0.05, 0.34, 0.2]))
    told = table([row]).splitlines()[-1]
    assert told.endswith("others had 34%       3  ≥ 0.95  NO FIGURE")
    assert "0.9 " not in told
    assert row.document()["ratio"] is row.document()["met"] is None


def test_a_ratio_is_the_median_of_the_rounds_own_ratios() -> None:
    assert ROW.ratios == [0.5, 1.0, 0.9]
    assert ROW.judged == 0.9
    assert ROW.spread == (0.5, 1.0)


def test_a_goal_that_is_not_reached_says_so() -> None:
    assert table([ROW]).splitlines()[-1].endswith("≥ 0.95  MISSED")
    assert table([replace(ROW, goal=Goal(at_least=0.9))]).endswith("≥ 0.9  reached")
    assert ROW.document()["met"] is False


def test_an_aim_is_more_than_must_be_reached() -> None:
    higher, lower = Goal(at_least=0.8, aim=0.9), Goal(at_most=1.8, aim=1.5)
    assert table([replace(ROW, goal=higher)]).endswith("≥ 0.8, aim 0.9  AIM REACHED")
    assert [higher.verdict(value) for value in (0.79, 0.8, 0.9)] == ["MISSED", "reached", "AIM REACHED"]
    assert [lower.verdict(value) for value in (1.81, 1.8, 1.5)] == ["MISSED", "reached", "AIM REACHED"]
    assert replace(ROW, goal=higher).document()["aim met"] is True


def test_without_anything_beside_it_the_figure_itself_is_judged() -> None:
    alone = Row(bench="footprint", what="memory", unit="MB", ours=[79, 81, 82], goal=Goal(at_most=80))
    assert alone.document() | {"samples": None} == {
        "bench": "footprint",
        "what": "memory",
        "unit": "MB",
        "relay": 81,
        "beside": None,
        "other": None,
        "ratio": None,
        "goal": "≤ 80",
        "met": False,
        "aim met": None,
        "others": {"limit": 1.0, "shares": [], "aside": [], "taken": None},
        "samples": None,
    }


def test_rounds_of_unequal_number_are_not_compared() -> None:
    with pytest.raises(ValueError, match="zip"):
        _ = replace(ROW, theirs=[100, 10]).judged


@pytest.mark.parametrize(
    ("value", "told"), [(12345.6, "12,346"), (12.34, "12.3"), (1.234, "1.23"), (0.01234, "0.0123")]
)
def test_a_figure_has_three_digits_that_count(value: float, told: str) -> None:
    assert figure(value) == told


def test_a_call_that_costs_twice_as_much_measures_about_twice() -> None:
    def spin(times: int) -> None:
        for _ in range(times):
            pass

    ratio = matching.microseconds(lambda: spin(40_000)) / matching.microseconds(lambda: spin(10_000))
    assert 2 < ratio < 8


def test_a_profile_tells_a_functions_own_time_from_what_it_calls() -> None:
    told = shares("thread;outer (a.py:1);inner (b.py:7) 3\nthread;outer (a.py:2) 1\n").splitlines()
    assert "  75.0%    75.0%  inner (b.py)" in told
    assert "  25.0%   100.0%  outer (a.py)" in told
