"""Beats and shares: each relay works out for itself who is dead and which part is its own."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.relay_share import share_of
from relay.model import Target
from relay.store.postgres.beats import DEAD, EVERY, Beats
from relay.store.postgres.shares import BEATS, Shares


def watch(beats: Mapping[float, Mapping[int, int]]) -> dict[float, dict[int, int]]:
    """When which relays were dead, with their last beats; `beats` by the time of one's own beat."""
    watching = Beats()
    return {now: dead for now, seen in beats.items() if (dead := watching.silent(seen, now))}


def every(seconds: float, until: float) -> list[float]:
    return [step * seconds for step in range(int(until / seconds) + 1)]


def test_a_relay_whose_beat_stands_still_is_dead_after_a_while() -> None:
    dead = watch({now: {7: 3} for now in every(EVERY, 30)})
    assert min(dead) == pytest.approx(DEAD + 1, abs=1)
    assert dead[min(dead)] == {7: 3}


def test_a_relay_that_beats_once_in_a_while_is_not_dead() -> None:
    assert watch({now: {7: int(now // 12)} for now in every(EVERY, 100)}) == {}


@pytest.mark.parametrize("gap", [7.0, 3600.0])
def test_nobody_is_dead_for_whoever_did_not_beat_himself(gap: float) -> None:
    """He was frozen, or the database was away from all of them: he begins to watch anew."""
    before = {now: {7: 3} for now in every(EVERY, 14)}
    after = {14 + gap + now: {7: 3} for now in every(EVERY, 14)}
    assert watch(before | after) == {}
    later = watch(before | after | {14 + gap + now: {7: 3} for now in (16.0, 18.0)})
    assert list(later) == [14 + gap + 16, 14 + gap + 18]


def test_one_that_is_alone_has_all_at_once() -> None:
    shares = Shares("a")
    assert shares.part("bot") == (1, 1)
    shares.seen(["a"])
    assert shares.part("bot") == (1, 1)


def test_one_that_joins_others_begins_with_nothing() -> None:
    shares = Shares("b")
    shares.seen(["a", "b"])
    target = Target(name="bot", url="http://127.0.0.1/", concurrency=1000)
    for _ in range(BEATS):
        part, of = shares.part("bot")
        assert share_of(target, part, of).concurrency == 0
        shares.seen(["b", "a"])
    part, of = shares.part("bot")
    assert of == 2


def test_a_share_shrinks_at_once_and_grows_after_two_beats() -> None:
    shares = Shares("a")
    shares.seen(["a"])
    shares.seen(["a", "b"])
    assert shares.part("bot")[1] == 2
    for _ in range(BEATS):
        shares.seen(["a", "b"])
    shares.seen(["a"])
    assert shares.part("bot")[1] == 2
    shares.seen(["a"])
    assert shares.part("bot")[1] == 2
    shares.seen(["a"])
    assert shares.part("bot") == (1, 1)


def test_targets_have_their_first_relays_in_turn() -> None:
    """Or one relay would have all targets with a concurrency of 1."""
    shares = Shares("a")
    for _ in range(BEATS + 1):
        shares.seen(["a", "b"])
    assert {shares.part(f"target-{number}") for number in range(20)} == {(1, 2), (2, 2)}


@given(
    concurrency=st.integers(1, 9),
    changes=st.lists(st.tuples(st.sampled_from("abcd"), st.booleans(), st.integers(1, 4)), min_size=1, max_size=12),
)
def test_parts_never_add_up_to_more_than_the_whole_and_in_the_end_to_all_of_it_and_one_at_most_leads(
    concurrency: int, changes: list[tuple[str, bool, int]]
) -> None:
    """Relays start and die; each beats once a round, in some order, and works out its part from what it sees."""
    target = Target(name="bot", url="http://127.0.0.1/", concurrency=concurrency)
    relays: dict[str, Shares] = {}

    def taken() -> int:
        parts = (each.part("bot") for each in relays.values())
        return sum(share_of(target, part, of).concurrency for part, of in parts)

    def rounds(count: int) -> None:
        for _ in range(count):
            for each in list(relays.values()):
                each.seen(list(relays))
                assert taken() <= concurrency
                assert sum(each.leads() for each in relays.values()) <= 1

    for name, starts, count in changes:
        if starts and name not in relays:
            relays[name] = Shares(name)
            relays[name].seen(list(relays))  # it registers and beats at once
        elif not starts:
            relays.pop(name, None)
        if starts:
            rounds(count)
    rounds(3 * BEATS)
    if relays:
        assert taken() == concurrency
        assert [name for name, each in relays.items() if each.leads()] == [min(relays)]
        assert len({each.part("bot") for each in relays.values()}) == len(relays)
