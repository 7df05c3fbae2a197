"""A value under `match` -> Condition: what the texts of one field must be."""

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from relay.amocrm.vocabulary import WON_AND_LOST
from relay.model import Json
from relay.routes.fields import as_text, is_status

ORDERINGS = {"gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}
_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """A conjunction over the values of one field, each a text.

    `any_of`, `bounds` and `like` require one value that satisfies them all; `none_of` that no value is one of these, so
    it also holds for an absent field; `exists` at least one value, or none. `text` is the condition as written, with
    secrets unresolved.
    """

    any_of: frozenset[str] | None = field(default=None, repr=False)  # any of these may hold secrets
    none_of: frozenset[str] = field(default=frozenset(), repr=False)
    exists: bool | None = field(default=None, repr=False)
    bounds: tuple[tuple[str, Decimal], ...] = field(default=(), repr=False)
    like: str | None = field(default=None, repr=False)
    text: str = field(default="", compare=False)

    def holds(self, values: Sequence[str]) -> bool:
        """True if a field with these values satisfies the condition."""
        if self.exists is not None and self.exists != bool(values):
            return False
        if not self.none_of.isdisjoint(values):
            return False
        return not self.requires_a_value or any(self._fits(value) for value in values)

    @property
    def requires_a_value(self) -> bool:
        """True if the condition cannot hold for an absent field."""
        return self.any_of is not None or self.like is not None or bool(self.bounds)

    def _fits(self, value: str) -> bool:
        return (
            (self.any_of is None or value in self.any_of)
            and (self.like is None or is_like(value, self.like))
            and (not self.bounds or self._is_within(value))
        )

    def _is_within(self, value: str) -> bool:
        # Decimal() alone would also read "1_0", "NaN" and digits of other scripts
        if not _NUMBER.fullmatch(value):
            return False
        number = Decimal(value)
        return all(ORDERINGS[name](number, bound) for name, bound in self.bounds)


def is_like(text: str, pattern: str) -> bool:
    """True if `text` matches `pattern`, where `*` is any text. Linear time: no backtracking."""
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True


def condition(name: str, value: Json, text: str) -> Condition:
    """Compile the condition `value` on the field `name`; `value` fits the schema."""
    if not isinstance(value, Mapping):
        return Condition(any_of=_texts(name, value), text=text)
    bounds = tuple((key, Decimal(as_text(value[key]))) for key in ORDERINGS if key in value)
    return Condition(
        none_of=_texts(name, value["not"]) if "not" in value else frozenset(),
        exists=value.get("exists"),
        bounds=bounds,
        like=as_text(value["like"]) if "like" in value else None,
        text=text,
    )


def _texts(name: str, value: Json) -> frozenset[str]:
    items: Iterable[Json] = value if isinstance(value, list) else (value,)
    texts = (as_text(item) for item in items)
    return frozenset(WON_AND_LOST.get(text, text) if is_status(name) else text for text in texts)
