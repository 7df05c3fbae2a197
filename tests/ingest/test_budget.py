"""The memory that webhooks take together is bounded, and small ones always find some."""

import pytest

from relay.ingest.budget import LARGE, Budget, BudgetExceeded

SIZE = 10 * LARGE


def test_a_reservation_is_freed_when_its_block_ends() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as reservation:
        reservation.grow(1000)
        reservation.grow(500)
        assert budget.used == 1500
    with pytest.raises(ZeroDivisionError), budget.reservation() as reservation:
        reservation.grow(1000)
        raise ZeroDivisionError
    assert budget.used == 0


def test_large_webhooks_leave_half_of_the_budget_to_small_ones() -> None:
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


def test_a_budget_that_is_used_up_grants_nothing() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as large, budget.reservation() as small:
        large.grow(SIZE)
        with pytest.raises(BudgetExceeded):
            small.grow(1)


def test_a_reservation_that_is_handed_over_outlives_its_block_and_is_freed_once() -> None:
    budget = Budget(SIZE)
    with budget.reservation() as reservation:
        reservation.grow(1000)
        reservation.hand_over()
    assert budget.used == 1000
    reservation.release()
    reservation.release()
    assert budget.used == 0
