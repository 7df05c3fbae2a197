"""What is to be kept, against tombstones: the work does not grow with both."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from relay.amocrm.erasure import extent
from relay.model.erasure import Extent, Ref, Tombstone
from relay.model.heal import HealState
from relay.store import buried
from relay.store.requests import KeepRequest
from tests.store.conftest import MINUTE, NOON, to
from tests.store.healing import record
from tests.store.test_erasure import FORD, ZAPHOD, arrived


class Tombstones(list[Tombstone]):
    """Of many persons, and how often all of them were read."""

    read = 0

    def __iter__(self) -> Iterator[Tombstone]:
        self.read += 1
        return super().__iter__()


@pytest.fixture
def tombstones() -> Tombstones:
    return Tombstones(Tombstone(Ref("contacts", str(n)), "", NOON + MINUTE, "act") for n in range(700, 778))


@pytest.fixture
def most(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many references each event was searched for."""
    numbers: list[int] = []

    def counted(event: Any, refs: Any) -> Extent:
        numbers.append(len(refs))
        return extent(event, refs)

    monkeypatch.setattr(buried, "extent", counted)
    return numbers


def test_a_webhook_is_searched_for_what_it_names_alone(tombstones: Tombstones, most: list[int]) -> None:
    webhook, routed = arrived(1, to(), contacts={"add": [FORD, ZAPHOD]})
    kept, erased = buried.without_buried(KeepRequest(webhook, routed, NOON), tombstones)
    assert (erased, b"Zaphod" in kept.webhook.body, max(most)) == (["event-0001-1"], False, 1)
    assert b"Ford" in kept.webhook.body


def test_many_records_read_the_tombstones_once(tombstones: Tombstones, most: list[int]) -> None:
    webhook, routed = arrived(1, to(), contacts={"update": [ZAPHOD]})
    records = [
        *(replace(record(f"e{n}"), entity="contacts", entity_id=str(n)) for n in range(770, 790)),
        replace(record("healed", HealState.HEALED), webhook=webhook.id),
    ]
    left, kept = buried.buried_heals("crm", records, [KeepRequest(webhook, routed, NOON)], tombstones)
    assert [each.state for each in left] == [*[HealState.UNHEALABLE] * 8, *[HealState.SEEN] * 12, HealState.UNHEALABLE]
    assert ([*kept], tombstones.read, max(most)) == ([], 1, 1)
