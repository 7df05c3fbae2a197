"""`2h`, `1h30m`, `3d`, `200ms` -> a length of time."""

import re
from datetime import timedelta

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_PART = r"(\d+(?:\.\d+)?)(ms|[smhdw])"
PATTERN = r"^(\d+(\.\d+)?(ms|[smhdw]))+$"
"""For JSON Schema."""


def is_age(text: str) -> bool:
    """True for what `age` can read."""
    return bool(re.fullmatch(f"(?:{_PART})+", text, re.ASCII))


def age(text: str) -> timedelta:
    """Read an age; OverflowError beyond what a timedelta holds."""
    return sum((timedelta(**{_UNITS[unit]: float(n)}) for n, unit in re.findall(_PART, text)), timedelta())
