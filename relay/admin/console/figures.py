"""Numbers and lengths of time -> as the language of the page writes them: `1.5` -> `1,5`, `2h` -> `2ч`."""

import re

from relay.admin.console.languages import pgettext
from relay.operations.ages import is_age

_UNIT = re.compile(r"(?<=\d)(ms|[smhdw])")
_UNITS = {
    "ms": lambda: pgettext("unit", "ms"),
    "s": lambda: pgettext("unit", "s"),
    "m": lambda: pgettext("unit", "m"),
    "h": lambda: pgettext("unit", "h"),
    "d": lambda: pgettext("unit", "d"),
    "w": lambda: pgettext("unit", "w"),
}


def decimal(text: str) -> str:
    """A number in digits, with the sign between whole ones and parts of the language."""
    return text.replace(".", pgettext("between whole numbers and parts", "."))


def number(value: float) -> str:
    """`0.5`, `50`."""
    return decimal(f"{value:g}")


def age_word(text: str) -> str:
    """A length of time as fields take it in this language; what is none stays as it is."""
    return decimal(_UNIT.sub(lambda unit: _UNITS[unit[0]](), text)) if is_age(text) else text
