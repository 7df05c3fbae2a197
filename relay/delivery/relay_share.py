"""A target's limits -> this relay's part of them, when several deliver to it. Pure."""

from dataclasses import dataclass

from relay.model import Target

QUEUED_PER_ATTEMPT = 4
SHORTEST_QUEUE = 16
"""Of relays that share a store: a longer queue would keep a backlog from those that idle, and repeat it after a kill"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """At most so many attempts at a time, and so many a second; with a concurrency of 0 the others deliver.

    `queue`: how many deliveries may be claimed ahead, None if nobody else would deliver them sooner.
    """

    concurrency: int
    rate: float | None
    queue: int | None = None


def share_of(target: Target, part: int, of: int) -> Share:
    """Part number `part`, from 1, of `of`: the parts' concurrencies and rates add up to the target's."""
    if of == 1:
        return Share(concurrency=target.concurrency, rate=target.rate)
    concurrency = (target.concurrency + of - part) // of
    queue = max(QUEUED_PER_ATTEMPT * concurrency, SHORTEST_QUEUE, target.batch.most if target.batch else 0)
    return Share(concurrency=concurrency, rate=target.rate / of if target.rate else None, queue=queue)
