"""`relay`, with two promises broken: a target that fails is never held, and more is sent at once than it may get."""

from unittest.mock import patch

from relay.cli import main
from relay.delivery.breaker import Breaker
from relay.delivery.lane import Lane


def no_bound(lane: Lane) -> int:
    """As many at a time as are queued."""
    return 0 if lane._states.stopping else 1_000


if __name__ == "__main__":
    patch.object(Breaker, "after", lambda breaker, *_outcome, **_more: breaker).start()
    patch.object(Lane, "_most", no_bound).start()
    main()
