"""`relay.clock`: whether the clock was set is seen at the first look."""

from datetime import timedelta

from relay.clock import Clock
from tests.delivery.conftest import NOON, SECOND


class Machine:
    """Its two clocks, and by how much the wall clock was said to be set."""

    def __init__(self) -> None:
        self.wall, self.steady = NOON, 1000.0
        self.told: list[timedelta] = []
        self.clock = Clock(wall=lambda: self.wall.timestamp(), steady=lambda: self.steady, was_set=self.hear)

    def hear(self, by: timedelta, now: object) -> None:
        assert now == self.wall
        self.told.append(by)

    def go(self, seconds: float, *, set_by: timedelta = timedelta()) -> None:
        self.steady += seconds
        self.wall += timedelta(seconds=seconds) + set_by


def test_time_that_goes_on_is_not_set() -> None:
    machine = Machine()
    for seconds in (0.0, 0.001, 60.0, 86_400.0):
        machine.go(seconds)
        assert machine.clock() == machine.wall
    assert machine.told == []


def test_by_how_much_it_was_set_is_told_once_and_to_the_millisecond() -> None:
    machine = Machine()
    for by in (-timedelta(hours=1), timedelta(days=1), timedelta(days=-20_000), 2 * SECOND):
        machine.go(5.0, set_by=by)
        machine.clock()
        machine.clock()
        machine.go(3600.0)
        machine.clock()
        assert abs(machine.told.pop() - by) < timedelta(milliseconds=1)
        assert machine.told == []


def test_small_steps_are_told_once_they_come_to_more_than_a_second() -> None:
    machine = Machine()
    for _ in range(12):
        machine.go(10.0, set_by=-0.1 * SECOND)
        machine.clock()
    assert [round(by.total_seconds(), 3) for by in machine.told] == [-1.1]
