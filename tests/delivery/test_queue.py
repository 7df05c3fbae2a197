"""`relay.delivery.queue`: room that is reserved comes back."""

from relay.delivery.queue import MAX_BYTES, MAX_LENGTH, Queue
from tests.delivery.conftest import delivery


def test_room_that_another_queue_reserved_costs_this_one_none() -> None:
    queue = Queue()
    for size in (10, 20):
        queue.reserve(size)
    queue.unreserve([500])  # reserved before its target was removed and came back
    queue.unreserve([10, 20])
    assert (queue.room, queue.room_bytes) == (MAX_LENGTH, MAX_BYTES)
    queue.unreserve([500])
    assert (queue.room, queue.room_bytes) == (MAX_LENGTH, MAX_BYTES)


def test_a_shorter_queue_keeps_what_came_first_and_bounds_one_webhook_too() -> None:
    queue = Queue()
    queue.add([delivery(event_id=str(number)) for number in range(30)], expires_at=1.0)
    assert [each.event_id for each in queue.bound(20)] == [str(number) for number in range(20, 30)]
    assert (len(queue), queue.room, queue.reserve(1), queue.reserve(1, more=True)) == (20, 0, False, False)
    assert [queue.take(0.0).event_id for _ in range(12)] == [str(number) for number in range(12)]
    assert (queue.room, queue.low) == (12, True)
    assert queue.bound(None) == []
    assert queue.room == MAX_LENGTH - 8
    assert queue.bound(10 * MAX_LENGTH) == []
    assert queue.room == MAX_LENGTH - 8
