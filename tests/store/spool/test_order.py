"""Whatever fails, and whenever: each webhook that was answered is stored once, and all in the order of their calls."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relay.signals import TailKeptAgain
from relay.store.records import Duplicate
from relay.store.requests import KeepRequest, Windows
from relay.store.spool import forward
from relay.store.sqlite import spooled
from tests.store.conftest import MINUTE
from tests.store.spool.conftest import HEDGE, Relay, direct, request, until
from tests.store.spool.shared import FakeShared
from tests.store.test_duplicates import move

KEEP = st.tuples(st.just("keep"), st.integers(1, 5))
FAULT = st.sampled_from(["freeze", "thaw", "drop", "lose answer", "away", "back", "hedge"])
TURN = st.tuples(st.just("turn"), st.integers(1, 8))
FAIL_OVER = st.tuples(st.just("fail over"), st.integers(0, 30))
STEPS = st.lists(st.one_of(KEEP, KEEP, KEEP, FAULT, TURN, FAIL_OVER), max_size=40)
STEPS_WITHOUT_FAIL_OVER = st.lists(st.one_of(KEEP, KEEP, FAULT, TURN, st.just("restart")), max_size=40)


class Life:
    """A relay that takes webhooks while its shared store has the faults of a history."""

    def __init__(self, folder: Path) -> None:
        self.shared = FakeShared(folder)
        self.folder = folder
        self.number = 0
        self.claimed: set[str] = set()
        self.begin()

    def begin(self) -> None:
        self.relay = Relay(self.folder, self.shared, hedge=0.02)
        self.relay.begin()

    async def step(self, what) -> None:
        match what:
            case "keep", number:
                asked = [request(self.number + each, key=f"k{each % 2}") for each in range(1, number + 1)]
                self.number += number
                self.relay.keep(*asked)
            case "turn", number:
                for _ in range(number):
                    await asyncio.sleep(0.001)
            case "fail over", lost:
                await self.shared.fail_over(lost)
            case "freeze":
                self.shared.freeze()
            case "thaw":
                self.shared.thaw()
            case "drop":
                self.shared.drop()
            case "lose answer":
                self.shared.answers_to_lose = 1
            case "away":
                self.shared.away = True
                self.shared.drop()
            case "back":
                self.shared.away = False
            case "hedge":
                await asyncio.sleep(0.025)
            case "restart":
                await until(lambda: len(self.relay.replies) == self.number - self.before)
                await self.end()
                self.begin()

    before = 0

    async def end(self) -> None:
        """As a crash, once everything was answered."""
        await self.relay.stop()
        self.note()
        self.before = self.number

    def note(self) -> None:
        assert not [each for each in self.relay.replies.values() if isinstance(each, Exception)]
        assert len(self.relay.replies) == self.number - self.before
        given = [each for reply in self.relay.replies.values() for each in reply] + self.relay.late
        ids = [each.event_id for each in given]
        assert len(ids) == len(set(ids)), "claimed twice"
        self.claimed |= set(ids)

    async def heal(self) -> None:
        self.shared.away = False
        self.shared.answers_to_lose = 0
        self.shared.thaw()
        await until(lambda: len(self.relay.replies) == self.number - self.before)
        await direct(self.relay)
        assert self.relay.store.spool().webhooks == 0


async def lived(steps, folder: Path) -> tuple[Life, list[str], set[str]]:
    life = Life(folder)
    for each in steps:
        await life.step(each)
    await life.heal()
    life.note()
    stored, claimed = await life.shared.stored(), await life.shared.claimed()
    await life.relay.stop()
    await life.shared.close()
    return life, stored, claimed


@pytest.fixture(autouse=True, scope="module")
def _quick():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "AGAIN", 0.002)
        patch.setattr(forward, "IDLE", 0.01)
        yield


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_the_order_is_kept_and_nothing_is_lost_through_fail_overs(steps) -> None:
    with TemporaryDirectory() as folder:
        life, stored, _claimed = asyncio.run(lived(steps, Path(folder)))
    assert stored == [f"webhook-{number:04}" for number in range(1, life.number + 1)]


@settings(max_examples=40, deadline=None)
@given(steps=STEPS_WITHOUT_FAIL_OVER)
def test_the_order_is_kept_and_nothing_is_lost_through_restarts(steps) -> None:
    with TemporaryDirectory() as folder:
        life, stored, claimed = asyncio.run(lived(steps, Path(folder)))
    assert stored == [f"webhook-{number:04}" for number in range(1, life.number + 1)]
    if "restart" not in steps and "lose answer" not in steps and "drop" not in steps and "away" not in steps:
        assert claimed == life.claimed, "claimed, and in no lane"


async def test_webhooks_that_a_fail_over_has_lost_are_kept_again_before_anything_else(relay: Relay) -> None:
    for number in range(1, 11):
        await relay.keep(request(number))
    await relay.shared.fail_over(4)
    assert await relay.keep(request(11)) == [[]], "spooled: the new server has not got the others yet"
    await direct(relay)
    assert await relay.shared.stored() == [f"webhook-{number:04}" for number in range(1, 12)]
    assert [(each.webhooks, each.of) for each in relay.of(TailKeptAgain)] == [(4, 10)]
    claimed = {f"event-{number:04}" for number in range(1, 7)}
    assert await relay.shared.claimed() == claimed, "what is kept again is in no lane"


async def lose_and_keep_again(relay: Relay) -> None:
    await relay.shared.fail_over(1)
    await until(lambda: relay.of(TailKeptAgain))


async def spool_and_forward(relay: Relay) -> None:
    relay.lose_shared()
    one, events = move(1, "A", 600)
    await relay.keep(KeepRequest(one, events, None, Windows(dated=MINUTE)))
    relay.shared.away = False


@pytest.mark.parametrize("way", [lose_and_keep_again, spool_and_forward])
async def test_a_repeated_body_is_known_by_what_was_kept_again_or_forwarded(relay: Relay, way) -> None:
    for number, body, at in ((1, "A", 600), (2, "A", 600), (3, "B", 600), (4, "A", 600)):
        one, events = move(number, body, at)
        reply = await relay.keep(KeepRequest(one, events, None, Windows(dated=MINUTE)))
        assert reply == [Duplicate(webhook="webhook-0001", events=1)] if number == 2 else [[]]
        if number == 1:
            if way is spool_and_forward:
                await relay.shared.inner._writer.submit(lambda cursor: spooled.forget(cursor, [1]))
            await way(relay)
            await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0003", "webhook-0004"]


async def test_what_was_forwarded_is_in_the_tail_too(relay: Relay) -> None:
    relay.shared.freeze()
    relay.keep(request(1))
    await asyncio.sleep(2 * HEDGE)
    await relay.keep(request(2))
    relay.shared.drop()
    relay.shared.thaw()
    await direct(relay)
    await relay.shared.fail_over(2)
    await until(lambda: relay.of(TailKeptAgain))
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001", "webhook-0002"]


async def test_a_fail_over_is_noticed_while_nothing_arrives(relay: Relay) -> None:
    await relay.keep(request(1))
    await relay.shared.fail_over(1)
    await until(lambda: relay.of(TailKeptAgain))
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001"]


async def test_while_the_shared_store_is_away_the_tail_does_not_age(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay.store._forwarder._tail, "_steady", lambda: now)
    now = 0.0
    await relay.keep(request(1))
    relay.shared.away = True
    await relay.shared.fail_over(1)
    now = 3_600.0
    relay.shared.away = False
    await until(lambda: relay.of(TailKeptAgain))
    await direct(relay)
    assert await relay.shared.stored() == ["webhook-0001"]
