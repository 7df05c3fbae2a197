"""`relay`, with one promise broken: a batch counts as delivered before it is sent, and lives in memory only."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from unittest.mock import patch

from relay.cli import main
from relay.delivery.batch_attempt import BatchAttempts
from relay.model import Delivered, Delivery, Outcome, Reason

LATE = 0.2  # seconds between the settlement and the request

attempt = BatchAttempts.attempt


async def settle_then_send(attempts: BatchAttempts, batch: Sequence[Delivery], *, expires_at: float) -> None:
    """What fails after that is not retried: the delivery is settled."""
    now, store = attempts._clock(), attempts._store
    sent = Outcome(reason=Reason.OK, started_at=now, took=timedelta(), status=200)
    await asyncio.gather(*(store.settle(each, sent, Delivered(), now=now) for each in batch))
    await asyncio.sleep(LATE)
    await attempt(attempts, batch, expires_at=expires_at)


if __name__ == "__main__":
    patch.object(BatchAttempts, "attempt", settle_then_send).start()
    main()
