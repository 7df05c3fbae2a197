"""What webhooks take of the memory, and who finds some."""

import asyncio

import pytest

from relay.server.space import LARGE, Full, Space

SIZE = 10 * LARGE


def test_what_is_taken_is_given_back_when_the_block_ends() -> None:
    space = Space(SIZE)
    with space.place() as place:
        place.take(1000)
        place.take(500)
        assert space.taken == 1500
    with pytest.raises(ZeroDivisionError), space.place() as place:
        place.take(1000)
        raise ZeroDivisionError
    assert space.taken == 0


def test_large_ones_leave_half_of_it_to_the_small() -> None:
    space = Space(SIZE)
    with space.place() as large, space.place() as another, space.place() as small:
        large.take(SIZE // 2)
        with pytest.raises(Full):
            another.take(LARGE + 1)
        for _ in range(10):
            small.take(LARGE // 10)
        with pytest.raises(Full):
            small.take(LARGE)
    assert space.taken == 0


def test_when_all_is_taken_nobody_finds_any() -> None:
    space = Space(SIZE)
    with space.place() as large, space.place() as small:
        large.take(SIZE)
        with pytest.raises(Full):
            small.take(1)


async def test_what_waits_for_its_commit_takes_room_until_then() -> None:
    space = Space(SIZE)
    commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    with space.place() as place:
        place.take(1000)
        place.commit = commit
    assert space.taken == 1000
    commit.set_result(None)
    await asyncio.sleep(0)
    assert space.taken == 0
