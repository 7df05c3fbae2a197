"""What a target asks to have fetched beside its events, and what was fetched: once per event, the same ever after."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from relay.model.values import Json

HOLD = timedelta(seconds=10)
"""How long a delivery is held for it, from when it is due, or until it is stored."""

LATE = "not fetched within 10 s"
"""The reason of a delivery that nobody fetched anything for in time."""


class Part(StrEnum):
    """What may stand in `enriched`."""

    LEAD = "lead"
    CONTACTS = "contacts"
    COMPANY = "company"


@dataclass(frozen=True, slots=True)
class Enrich:
    """The parts that are wanted, each with its fields; no fields: all of them."""

    parts: Mapping[Part, tuple[str, ...]]

    @classmethod
    def union(cls, wanted: Iterable[Self]) -> Self:
        """Return what is wanted by any of them."""
        parts: dict[Part, tuple[str, ...]] = {}
        for each in wanted:
            for part, fields in each.parts.items():
                known = parts.get(part, fields)
                parts[part] = tuple(dict.fromkeys((*known, *fields))) if known and fields else ()
        return cls(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldEvent:
    """An event with deliveries that are held. `row`: where the store has it. `targets`: those of the deliveries.

    `payload` is empty if it is corrupt.
    """

    row: int
    source: str
    payload: bytes
    targets: tuple[str, ...]
    until: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrichment:
    """What is stored beside an event: what was fetched `at` that time, by part; or None and the reason why."""

    row: int
    at: datetime
    value: Mapping[str, Json] | None = None
    reason: str = ""
