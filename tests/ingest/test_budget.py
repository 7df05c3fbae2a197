"""The memory that webhooks take together is bounded, and small ones always find some."""

import pytest

from relay.ingest.budget import LARGE, Budget, BudgetExceeded

SIZE = 10 * LARGE


def test_what_is_taken_is_given_back_when_the_block_ends() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as reservation:
        reservation.grow(1000)
        reservation.grow(500)
        assert budget.used == 1500
    with pytest.raises(ZeroDivisionError), budget.reservation() as reservation:
        reservation.grow(1000)
        raise ZeroDivisionError
    assert budget.used == 0


def test_large_ones_leave_half_of_it_to_the_small() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as large, budget.reservation() as another, budget.reservation() as small:
        large.grow(SIZE // 2)
        with pytest.raises(BudgetExceeded):
            another.grow(LARGE + 1)
        for _ in range(10):
            small.grow(LARGE // 10)
        with pytest.raises(BudgetExceeded):
            small.grow(LARGE)
    assert budget.used == 0


def test_when_all_is_taken_nobody_finds_any() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as large, budget.reservation() as small:
        large.grow(SIZE)
        with pytest.raises(BudgetExceeded):
            small.grow(1)


def test_what_is_held_takes_room_until_the_last_one_lets_go() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as reservation:
        reservation.grow(1000)
        reservation.acquire()
    assert budget.used == 1000
    reservation.release()
    assert budget.used == 0
