"""Whose data is to be erased, and what is known of it afterwards: ids alone."""

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class Ref(NamedTuple):
    """What amoCRM knows a person by: an entity, in the words of events, and its id."""

    entity: str
    id: str

    def __str__(self) -> str:
        """`contacts/777`."""
        return f"{self.entity}/{self.id}"


class Tombstone(NamedTuple):
    """What happened to this entity up to `at` must not come back. `source`: only there; empty: in every source.

    `act`: the id of the audit entry of its erasure.
    """

    ref: Ref
    source: str
    at: datetime
    act: str


class Extent(StrEnum):
    """How much of an event belongs to a person. `WHOLE`: its ids remain; `PART`: the rest goes on as it is."""

    NONE = "none"
    PART = "part"
    WHOLE = "whole"


ERASED = "erased"
"""Why a delivery is dead, and why there is no enrichment, if the event was of a person whose data was erased."""
