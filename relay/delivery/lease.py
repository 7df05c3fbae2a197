"""Timeout, share, batch and the longest queue -> how long deliveries are claimed. Pure."""

from datetime import timedelta

from relay.delivery.batch import requests_to_find_one
from relay.delivery.queue import LONGEST
from relay.delivery.relay_share import Share
from relay.model import Batch

MARGIN = timedelta(minutes=1)
"""By how much a lease is longer than the worst case, for a slow disk or processor."""


def lease_for(timeout: timedelta, share: Share, batch: Batch | None = None) -> timedelta:
    """Long enough for the last delivery of the longest queue if every request before it takes the whole `timeout`.

    With a `batch` also for the wait until it is complete, and to find a delivery that the target rejects.
    """
    more = requests_to_find_one(batch.most) if batch else 0
    queued = LONGEST + 2 * batch.most if batch else LONGEST
    worst = timeout * (queued // max(share.concurrency, 1) + 2 + more)
    at_rate = timedelta(seconds=(queued + more) / share.rate) if share.rate else timedelta()
    return worst + at_rate + MARGIN + (batch.within if batch else timedelta())
