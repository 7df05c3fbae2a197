"""Timeout, share and the longest queue -> how long deliveries are claimed. Pure."""

from datetime import timedelta

from relay.delivery.queue import LONGEST
from relay.delivery.relay_share import Share

MARGIN = timedelta(minutes=1)
"""By how much a lease is longer than the worst case, for a slow disk or processor."""


def lease_for(timeout: timedelta, share: Share) -> timedelta:
    """Long enough for the last delivery of the longest queue if every attempt before it takes the whole `timeout`."""
    worst = timeout * (LONGEST // max(share.concurrency, 1) + 2)
    at_rate = timedelta(seconds=LONGEST / share.rate) if share.rate else timedelta()
    return worst + at_rate + MARGIN
