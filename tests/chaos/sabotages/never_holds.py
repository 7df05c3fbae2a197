"""`relay`, with two promises broken: a target that fails is never held, and more is sent at once than it may get."""

from relay.cli import main
from relay.delivery.breaker import Breaker
from relay.delivery.lane import Lane


def hire_for_all(lane: Lane) -> None:
    """One for each delivery that waits."""
    for _ in range(len(lane._queue)):
        lane._working += 1
        lane._spawn(work(lane))


async def work(lane: Lane) -> None:
    try:
        if delivery := await lane._turn():
            await lane._attempt(delivery)
    finally:
        lane._working -= 1


if __name__ == "__main__":
    Breaker.after = lambda breaker, *_outcome, **_more: breaker  # type: ignore[method-assign]
    Lane._hire = hire_for_all  # type: ignore[method-assign]
    main()
