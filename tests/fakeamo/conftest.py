"""An account that only the test moves in time."""

from collections.abc import Callable

import pytest

from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.values import Json

LATER = 20
"""Seconds after which every event is readable, if it is no straggler."""


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def amo(clock: VirtualClock) -> FakeAmo:
    return FakeAmo(7, clock=clock)


@pytest.fixture
def new_amo(clock: VirtualClock) -> Callable[..., FakeAmo]:
    return lambda **quirks: FakeAmo(7, clock=clock, **quirks)


def items(amo: FakeAmo, path: str) -> list[Json]:
    """What a list of the API has on one page; [] for 204."""
    answer = amo.request("GET", f"/api/v4/{path}")
    assert answer.status in (200, 204), answer.body
    return next(iter(answer.json()["_embedded"].values())) if answer.body else []


def events(amo: FakeAmo, query: str = "limit=100") -> list[Json]:
    return items(amo, f"events?{query}")


def types_of(found: list[Json]) -> list[str]:
    return [each["type"] for each in found]
