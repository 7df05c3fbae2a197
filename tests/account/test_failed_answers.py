"""Webhooks that were not answered with 2xx are counted, stored by minute, and looked after soon."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from relay.account.failed_answers import FailedAnswers
from relay.account.guard_times import LOOK_AFTER_FAILED_ANSWER, LOOK_EVERY, is_due
from relay.errors import StoreBusy
from relay.model.subscription import GuardRecord
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import Archive
from relay.store.guard_contract import GuardStore
from tests.store.conftest import MINUTE, NOON, kind, opener, signals, store

__all__ = ["kind", "opener", "signals", "store"]

SECOND = timedelta(seconds=1)
SEEN = GuardRecord(source="crm", checked_at=NOON)


class Clock:
    now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def rejected(reason: Rejection = Rejection.UNAVAILABLE, source: str = "crm") -> WebhookRejected:
    return WebhookRejected(source=source, reason=reason, detail="busy", remote="127.0.0.1", took=timedelta())


async def stored(guard: GuardStore, source: str = "crm") -> int:
    return await guard.failed_answers(source, since=NOON - MINUTE, until=NOON + 60 * MINUTE)


async def test_what_was_counted_is_stored_by_source(store: Archive, clock: Clock) -> None:
    failed_answers = FailedAnswers(clock)
    for _ in range(3):
        failed_answers.count(rejected())
    clock.now += MINUTE
    failed_answers.count(rejected())
    failed_answers.count(rejected(source="shop"))
    await failed_answers.flush(store.guard)
    await failed_answers.flush(store.guard)
    assert (await stored(store.guard), await stored(store.guard, "shop")) == (4, 1)
    failed_answers.count(rejected())
    await failed_answers.flush(store.guard)
    assert await stored(store.guard) == 5


@pytest.mark.parametrize("reason", Rejection)
async def test_only_what_amocrm_was_answered_counts(store: Archive, clock: Clock, reason: Rejection) -> None:
    failed_answers = FailedAnswers(clock)
    failed_answers.count(rejected(reason))
    await failed_answers.flush(store.guard)
    of_amocrm = reason in (Rejection.TOO_LARGE, Rejection.UNAVAILABLE, Rejection.INCOMPLETE)
    assert await stored(store.guard) == of_amocrm
    assert (failed_answers.last_at("crm") is not None) == of_amocrm


async def test_while_the_store_is_busy_nothing_is_lost(
    store: Archive, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_answers = FailedAnswers(clock)

    async def busy(_source: str, _counts: Mapping[datetime, int]) -> None:
        failed_answers.count(rejected())  # meanwhile
        raise StoreBusy("the disk is full")

    failed_answers.count(rejected())
    with monkeypatch.context() as patched:
        patched.setattr(store.guard, "record_failed_answers", busy)
        with pytest.raises(StoreBusy):
            await failed_answers.flush(store.guard)
    clock.now += 10 * MINUTE
    await failed_answers.flush(store.guard)
    assert await stored(store.guard) == 2


async def test_one_that_comes_while_the_store_writes_is_stored_next(
    store: Archive, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_answers = FailedAnswers(clock)
    write = store.guard.record_failed_answers

    async def slow(source: str, counts: Mapping[datetime, int]) -> None:
        await write(source, counts)
        failed_answers.count(rejected())

    failed_answers.count(rejected())
    with monkeypatch.context() as patched:
        patched.setattr(store.guard, "record_failed_answers", slow)
        await failed_answers.flush(store.guard)
    await failed_answers.flush(store.guard)
    assert await stored(store.guard) == 2


@pytest.mark.parametrize(
    "looked, failed_at, due",
    [
        (None, None, True),
        (NOON - LOOK_EVERY, None, True),
        (NOON - LOOK_EVERY + SECOND, None, False),
        (NOON + SECOND, None, True),
        (NOON - 3 * MINUTE, NOON - LOOK_AFTER_FAILED_ANSWER, True),
        (NOON - 3 * MINUTE, NOON - MINUTE, False),
        (NOON - 3 * MINUTE, NOON - 4 * MINUTE, False),
    ],
)
def test_a_look_is_due_every_five_minutes_and_two_minutes_after_a_failed_answer(
    looked: datetime | None, failed_at: datetime | None, *, due: bool
) -> None:
    assert is_due(NOON, looked, failed_at, replace(SEEN, checked_at=looked)) == due


@pytest.mark.parametrize(
    "record, due",
    [
        (SEEN, False),
        (replace(SEEN, checked_at=None), True),
        (replace(SEEN, checked_at=None, off=True), False),
        (replace(SEEN, resumed_at=NOON), True),
        (replace(SEEN, resumed_at=NOON - 2 * SECOND), False),
    ],
)
def test_a_look_is_due_at_once_when_an_operator_connects_or_resumes(record: GuardRecord, *, due: bool) -> None:
    assert is_due(NOON, NOON - SECOND, None, record) == due
