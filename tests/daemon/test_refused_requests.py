"""Refused requests: those that were not answered with 2xx are counted, and found by operators."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.daemon.refused_requests import RefusedRequests
from relay.errors import StoreBusy
from relay.signals import Rejection, WebhookRejected
from relay.store.contract import Archive
from relay.store.question_records import RefusedMinute
from tests.store.conftest import open_sqlite

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def rejected(reason: Rejection, source: str = "-", detail: str = "") -> WebhookRejected:
    return WebhookRejected(source=source, reason=reason, detail=detail, remote="192.0.2.7", took=timedelta())


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def found(store: Archive) -> list[tuple[datetime, str, str, int, str]]:
    return [
        (each.minute, each.source, each.reason, each.count, each.detail)
        for each in await store.questions.refused(limit=99)
    ]


async def test_what_is_refused_is_counted_by_minute_source_and_reason(clock: Clock, tmp_path: Path) -> None:
    store, refused = open_sqlite(tmp_path, NOON), RefusedRequests(clock)
    for detail in ("first", "last"):
        refused.count(rejected(Rejection.TOO_LARGE, "crm", detail))
    refused.count(rejected(Rejection.UNAUTHORIZED))
    refused.count(rejected(Rejection.STRANGER))
    await refused.record(store.questions)
    clock.now = NOON + timedelta(seconds=59)
    refused.count(rejected(Rejection.TOO_LARGE, "crm", "again"))
    await refused.record(store.questions)
    clock.now = NOON + timedelta(minutes=5)
    refused.count(rejected(Rejection.TOO_LARGE, "crm", "x" * 1000))
    await refused.record(store.questions)
    await refused.record(store.questions)
    assert await found(store) == [
        (NOON + timedelta(minutes=5), "crm", "too_large", 1, "x" * 300),
        (NOON, "-", "unauthorized", 1, ""),
        (NOON, "crm", "too_large", 3, "again"),
    ]
    await store.close()


class Busy:
    """The store, away for the first call."""

    def __init__(self) -> None:
        self.calls: list[Sequence[RefusedMinute]] = []

    async def record_refused(self, refused: Sequence[RefusedMinute]) -> None:
        self.calls.append(refused)
        if len(self.calls) == 1:
            raise StoreBusy("away")


async def test_what_could_not_be_stored_is_stored_later_with_what_came_since(clock: Clock) -> None:
    store, refused = Busy(), RefusedRequests(clock)
    refused.count(rejected(Rejection.UNAVAILABLE, "crm"))
    with pytest.raises(StoreBusy):
        await refused.record(store)  # type: ignore[arg-type]
    clock.now = NOON + timedelta(minutes=7)
    refused.count(rejected(Rejection.UNAVAILABLE, "crm"))
    await refused.record(store)  # type: ignore[arg-type]
    await refused.record(store)  # type: ignore[arg-type]
    assert [sorted(each.minute for each in call) for call in store.calls] == [
        [NOON],
        [NOON, NOON + timedelta(minutes=7)],
    ]
