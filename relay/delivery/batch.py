"""Queued deliveries -> the batch that goes in one request; a batch that an answer rejects -> its halves. Pure.

The request of a batch is that of one delivery that stands for all of them: its payload is the JSON list of theirs.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from uuid import UUID, uuid5

from relay.model import Delivery, Outcome, Reason, Target

MAX_BYTES = 1024 * 1024
"""Of the payloads in one request, as nginx accepts it unless told otherwise; a larger event goes alone."""

NAMESPACE = UUID("9cae9077-98a6-4fe7-b6c0-aa95f697e755")
"""Of the UUIDv5 that is a batch's `webhook-id`; its name is the ids of the events, joined by commas."""


def fits(delivery: Delivery) -> bool:
    """Whether it can go with others: a raw delivery is another body, a corrupt one is not sent."""
    return not delivery.corrupt and not delivery.raw


def compose(queued: Iterable[Delivery], most: int) -> int:
    """Return how many of the first go in the next request: at least one if there is one, at most `most`.

    One that does not fit goes alone; together they have `MAX_BYTES` at most, unless it is one alone.
    """
    count = size = 0
    for delivery in queued:
        size += len(delivery.payload)
        if count and (size > MAX_BYTES or not fits(delivery)):
            break
        count += 1
        if count == most or not fits(delivery):
            break
    return count


def as_one(batch: Sequence[Delivery]) -> Delivery:
    """Return the delivery that stands for a batch, also for one of a single delivery, in a request and its answer.

    It has the highest attempt number, is a replay if one of them is, and healed if all are.
    """
    return replace(
        batch[0],
        event_id=batch_id([each.event_id for each in batch]),
        attempt=max(each.attempt for each in batch),
        replay=any(each.replay for each in batch),
        healed=all(each.healed for each in batch),
        payload=b"[%s]" % b",".join([each.payload for each in batch]),
    )


def batch_id(event_ids: Iterable[str]) -> str:
    """Return the `webhook-id` of a batch of these events, in this order."""
    return str(uuid5(NAMESPACE, ",".join(event_ids)))


def divides(outcome: Outcome, target: Target) -> bool:
    """Whether an answer to several deliveries may be due to one of them: `dead_on`, or 413 as they are too large.

    So may be that they cannot be rendered.
    """
    if outcome.reason is Reason.TEMPLATE:
        return True
    if outcome.reason is Reason.OK or outcome.status in target.ok_on:
        return False
    return outcome.status in target.dead_on or outcome.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def halves(batch: Sequence[Delivery]) -> tuple[Sequence[Delivery], Sequence[Delivery]]:
    """Return both halves of a batch of two or more, in order."""
    middle = len(batch) // 2
    return batch[:middle], batch[middle:]


def requests_to_find_one(most: int) -> int:
    """Return how many requests a batch takes at most if one of its deliveries is rejected."""
    return 1 + 2 * (most - 1).bit_length()
