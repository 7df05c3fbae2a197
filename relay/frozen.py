"""Fields -> a frozen dataclass, whose making costs what a plain one's does."""

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """For values made by the thousand: mypy refuses to change one, Python would not.

    Python's own `frozen=True` sets each field through a call: three times as slow, 4 µs of a webhook's 50.
    """
    return dataclass(slots=True, kw_only=True, unsafe_hash=True)(cls)
