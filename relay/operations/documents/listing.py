"""Part of a listing, with the cursor of the next part."""

from dataclasses import dataclass
from typing import Generic, TypeVar

from relay.operations.documents.marks import Moment

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)  # no slots: typing sets an attribute on generic instances
class Listing(Generic[T]):
    """`next`: the cursor of the next page, null at the end.

    `searched_to` is set if the look ended by its budget: what arrived before that time (oldest first: after it) was
    not looked at. `notes`: sentences for people, such as which name of the filter is unknown.
    """

    data: tuple[T, ...]
    next: str | None = None
    searched_to: Moment | None = None
    notes: tuple[str, ...] = ()
