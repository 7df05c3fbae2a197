"""Pairs of events and hooks, against a maximum matching found by trying all."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from relay.account.heal.matching import Times, pair

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def at(second: int) -> datetime:
    return NOON + timedelta(seconds=second)


def spans(*pairs: tuple[int, int]) -> list[Times]:
    return [Times(at(since), at(until)) for since, until in pairs]


def most(events: list[datetime], hooks: list[Times]) -> int:
    """The size of a maximum matching: the first event is left over, or has any of its hooks."""
    if not events:
        return 0
    first, *rest = events
    left_over = most(rest, hooks)
    with_one = [1 + most(rest, hooks[:n] + hooks[n + 1 :]) for n, hook in enumerate(hooks) if hook.contains(first)]
    return max([left_over, *with_one])


times = st.lists(st.integers(0, 12).map(at), max_size=5)
wide = st.lists(
    st.tuples(st.integers(-3, 12), st.integers(0, 6)).map(lambda t: Times(at(t[0]), at(t[0] + t[1]))), max_size=5
)


@given(times, wide)
def test_as_many_are_paired_as_can_be_each_once_and_within_its_times(
    events: list[datetime], hooks: list[Times]
) -> None:
    pairs = pair(events, hooks)
    assert len(pairs) == most(events, hooks)
    assert len({*pairs.values()}) == len(pairs)
    assert all(hooks[hook].contains(events[event]) for event, hook in pairs.items())


@given(times, times, wide)
def test_events_found_later_are_covered_as_if_they_had_been_there_and_pairs_stay(
    first: list[datetime], later: list[datetime], hooks: list[Times]
) -> None:
    before = pair(first, hooks)
    after = pair([*first, *later], hooks, spent=before)
    assert before.items() <= after.items()
    assert len({*after.values()}) == len(after)
    assert len(after) == most([*first, *later], hooks)


@settings(max_examples=200)
@given(st.lists(times, min_size=2, max_size=3), wide)
def test_pairs_by_name_alone_do_not_cover_one_event_too_many(rounds: list[list[datetime]], hooks: list[Times]) -> None:
    events: list[datetime] = []
    pairs: dict[int, int] = {}
    for each in rounds:
        events += each
        pairs = pair(events, hooks, spent=pairs)
    assert len(pairs) == most(events, hooks)


@given(st.lists(st.integers(0, 40), max_size=7), st.lists(st.integers(0, 50), max_size=7), st.integers(0, 40))
def test_what_is_settled_first_is_paired_as_it_is_with_all(starts: list[int], arrivals: list[int], until: int) -> None:
    """Spans of one length, as those of one key in one channel: a scan need not wait for events that are younger."""
    hooks = [Times(at(second - 10), at(second + 2)) for second in sorted(arrivals)]
    events = sorted(map(at, starts))
    settled = [event for event in events if event <= at(until)]
    alone, together = pair(settled, hooks), pair(events, hooks)
    assert {*alone} == {number for number in together if number < len(settled)}


def test_a_move_there_and_back_and_there_is_told_apart_by_its_seconds() -> None:
    """The second of three equal moves was lost: each hook covers its own second only."""
    moves = [at(0), at(60), at(120)]
    assert pair(moves, spans((-5, 5), (115, 125))) == {0: 0, 2: 1}


def test_a_pair_gives_way_by_name_for_an_event_found_late() -> None:
    """The hook at 1 told of the event at 0, found late; its pair could have had the other."""
    hooks = spans((-9, 3), (1, 13))
    assert pair([at(2)], hooks) == {0: 0}
    assert pair([at(2), at(0)], hooks, spent={0: 0}) == {0: 0, 1: 1}


def test_the_order_of_pairs_is_that_of_their_times() -> None:
    pairs = pair([at(second) for second in (3, 1, 2)], spans((0, 9), (0, 9), (0, 9)))
    assert [event for event, _ in sorted(pairs.items(), key=lambda p: p[1])] == [1, 2, 0]
    assert all(one < two for one, two in pairwise(sorted(pairs.values())))


def test_a_pair_of_wider_times_stays_and_its_webhook_tells_of_nothing_else() -> None:
    """What is allowed for is learned anew after a restart."""
    assert pair([at(0), at(9)], spans((8, 10)), spent={0: 0}) == {0: 0}
