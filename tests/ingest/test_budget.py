"""What webhooks take of the memory, and who finds some."""

import pytest

from relay.ingest.budget import LARGE, Budget, Full

SIZE = 10 * LARGE


def test_what_is_taken_is_given_back_when_the_block_ends() -> None:
    memory = Budget(SIZE)
    with memory.place() as place:
        place.take(1000)
        place.take(500)
        assert memory.taken == 1500
    with pytest.raises(ZeroDivisionError), memory.place() as place:
        place.take(1000)
        raise ZeroDivisionError
    assert memory.taken == 0


def test_large_ones_leave_half_of_it_to_the_small() -> None:
    memory = Budget(SIZE)
    with memory.place() as large, memory.place() as another, memory.place() as small:
        large.take(SIZE // 2)
        with pytest.raises(Full):
            another.take(LARGE + 1)
        for _ in range(10):
            small.take(LARGE // 10)
        with pytest.raises(Full):
            small.take(LARGE)
    assert memory.taken == 0


def test_when_all_is_taken_nobody_finds_any() -> None:
    memory = Budget(SIZE)
    with memory.place() as large, memory.place() as small:
        large.take(SIZE)
        with pytest.raises(Full):
            small.take(1)


def test_what_is_held_takes_room_until_the_last_one_lets_go() -> None:
    memory = Budget(SIZE)
    with memory.place() as place:
        place.take(1000)
        place.hold()
    assert memory.taken == 1000
    place.let_go()
    assert memory.taken == 0
