"""Beats of other relays, judged by this process's steady clock -> which of them are dead. Pure: time is passed.

No clocks are compared, so a clock that is set declares nobody dead. Neither does an outage of the database: a relay
that could not beat itself begins to watch anew.
"""

from collections.abc import Mapping

EVERY = 2.0  # seconds between two heartbeats
STEADY = 6.0  # seconds between own beats beyond which nobody is judged: this process or the database stood still
CONFIRMED = 5.0  # seconds from a confirmed beat in which attempts may begin: those of 10 s end before others take over
DEAD = 15.0  # seconds without a beat after which a relay is declared dead


class Beats:
    """Watches the beats of incarnations. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[int, float]] = {}  # incarnation -> its beat, and when that was new
        self._last: float | None = None

    def silent(self, beats: Mapping[int, int], now: float) -> dict[int, int]:
        """Take over the beats of others, as of `now`; return those of relays that are dead."""
        late = self._last is None or now - self._last > STEADY
        self._last = now
        known = {} if late else self._seen
        self._seen = {
            incarnation: known[incarnation] if known.get(incarnation, (None,))[0] == beat else (beat, now)
            for incarnation, beat in beats.items()
        }
        return {incarnation: beat for incarnation, (beat, since) in self._seen.items() if now - since > DEAD}
