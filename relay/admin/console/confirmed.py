"""Counts -> the acts that followed them: each is confirmed once, also from a page that the browser kept."""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from aiohttp import web

MAX_KEPT = 1_000
"""So many are remembered: the counts of older ones are forgotten too."""
LONGEST = 36  # characters of an id


@dataclass(slots=True, kw_only=True)
class Followed:
    """The key of the form that asked for an act after a count, and the act; "" until it has begun."""

    key: str | None
    act: str = ""


class Confirmed:
    """By the id of a dry run the act that was done after it. `failed`: whether the act with an id has."""

    def __init__(self, failed: Callable[[str], bool]) -> None:
        self._failed = failed
        self._acts: OrderedDict[str, Followed] = OrderedDict()

    def of(self, trial: str) -> Followed | None:
        """None if nothing was done after it, that failed, or it was long ago."""
        followed = self._acts.get(trial)
        if followed and followed.act and self._failed(followed.act):
            del self._acts[trial]
            return None
        return followed

    @contextmanager
    def held(self, trial: str, key: str | None) -> Iterator[Followed]:
        """Hold the count for this form while the block begins the act; if it names none, the count is free again."""
        followed = self._acts.get(trial) or Followed(key=key)
        if 0 < len(trial) <= LONGEST:
            self._acts.setdefault(trial, followed)
        while len(self._acts) > MAX_KEPT:
            self._acts.popitem(last=False)
        try:
            yield followed
        finally:
            if not followed.act:
                self._acts.pop(trial, None)


CONFIRMED = web.AppKey("confirmed", Confirmed)
TRIAL = "trial"
"""The parameter, and the hidden field, with the id of a dry run."""
