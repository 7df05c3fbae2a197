"""`relay.delivery.queue`: room that is reserved comes back."""

from relay.delivery.queue import MAX_BYTES, MAX_LENGTH, Queue


def test_room_that_another_queue_reserved_costs_this_one_none() -> None:
    queue = Queue()
    for size in (10, 20):
        queue.reserve(size)
    queue.unreserve([500])  # reserved before its target was removed and came back
    queue.unreserve([10, 20])
    assert (queue.room, queue.room_bytes) == (MAX_LENGTH, MAX_BYTES)
    queue.unreserve([500])
    assert (queue.room, queue.room_bytes) == (MAX_LENGTH, MAX_BYTES)
