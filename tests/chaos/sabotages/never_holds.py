"""`relay`, with two promises broken: a target that fails is never held, and more is sent at once than it may get."""

from unittest.mock import patch

from relay.cli import main
from relay.delivery.breaker import Breaker
from relay.delivery.worker_pool import WorkerPool

limit = WorkerPool.limit


def no_bound(workers: WorkerPool, most: int) -> None:
    """As many at a time as are queued."""
    limit(workers, most and 1_000)


if __name__ == "__main__":
    patch.object(Breaker, "after", lambda breaker, *_outcome, **_more: breaker).start()
    patch.object(WorkerPool, "limit", no_bound).start()
    main()
