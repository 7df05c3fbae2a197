"""An hour of attempts by minute -> the rectangles of a sparkline: what was delivered, and what failed on top of it."""

from dataclasses import dataclass

from relay.operations.documents.activity import LastHourDocument

HEIGHT = 20
LEAST = 2  # of a minute in which there was anything, beside one with much


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A rectangle one wide; `y` counts from the top."""

    x: int
    y: int
    height: int
    failed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """The rectangles within a box of `width` × `height`, and the sums for people who do not see them."""

    width: int
    height: int
    bars: tuple[Bar, ...]
    delivered: int
    failed: int


def spark(hour: LastHourDocument) -> Spark:
    """The tallest minute fills the box; minutes without attempts have no rectangle."""
    minutes = list(zip(hour.delivered, hour.failed, strict=True))
    most = max((one + other for one, other in minutes), default=0)
    bars: list[Bar] = []
    for x, (delivered, failed) in enumerate(minutes):
        good, bad = _height(delivered, most), _height(failed, most)
        good = min(good, HEIGHT - bad)
        if good:
            bars.append(Bar(x=x, y=HEIGHT - good, height=good, failed=False))
        if bad:
            bars.append(Bar(x=x, y=HEIGHT - good - bad, height=bad, failed=True))
    return Spark(
        width=len(minutes),
        height=HEIGHT,
        bars=tuple(bars),
        delivered=sum(hour.delivered),
        failed=sum(hour.failed),
    )


def _height(number: int, most: int) -> int:
    return max(LEAST, round(number * HEIGHT / most)) if number else 0
