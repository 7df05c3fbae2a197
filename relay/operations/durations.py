"""A length of time -> a few words: `12 ms`, `3 min`."""

from datetime import timedelta


def length(span: timedelta) -> str:
    """`12 ms`, `1.5 s`, `3 min`, `2 h`, `5 d`: one unit, rounded down."""
    seconds = max(0.0, span.total_seconds())  # less: of a clock that is ahead
    if seconds < 1:
        return f"{int(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    for unit, size, until in (("min", 60, 60), ("h", 3600, 48)):
        if seconds < size * until:
            return f"{int(seconds / size)} {unit}"
    return f"{int(seconds / 86400)} d"


def ago(span: timedelta) -> str:
    """`3 min ago`; `now` for what is dated by a clock that is ahead."""
    return f"{length(span)} ago" if span > timedelta() else "now"
