"""Lengths of time as people write them, `2 сек`, `5 minutes`, `1 ч 30 мин` -> as the operations read them: `1h30m`."""

import re

_UNITS = {
    "ms": r"ms|msecs?|milliseconds?|мс|миллисекунд[аыу]?",
    "s": r"s|secs?|seconds?|с|сек|секунд[аыу]?",
    "m": r"m|mins?|minutes?|м|мин|минут[аыу]?",
    "h": r"h|hrs?|hours?|ч|час(?:а|ов)?",
    "d": r"d|days?|д|дн|день|дня|дней|сут|сутки|суток",
    "w": r"w|weeks?|н|нед|недел[яиюь]",
}
_PART = re.compile(
    r"(?P<number>\d+(?:[.,]\d+)?)\s*(?:" + "|".join(f"(?P<{unit}>{words})" for unit, words in _UNITS.items()) + r")\.?"
    r"(?=\s*\d|\s*$)\s*",
    re.IGNORECASE,
)
_AGO = re.compile(r"\s+(?:ago|назад)$", re.IGNORECASE)
LONGEST = 100
"""Characters of a text: a longer one is no length of time. To look at all its parts would hold up the event loop."""


def shortened(text: str) -> str:
    """The length in short; a text that is none stays as it is."""
    if len(text) > LONGEST:
        return text
    rest, parts = _AGO.sub("", text.strip()), list[str]()
    while found := _PART.match(rest):
        parts.append(f"{found['number'].replace(',', '.')}{found.lastgroup}")
        rest = rest[found.end() :]
    return text if rest or not parts else "".join(parts)
