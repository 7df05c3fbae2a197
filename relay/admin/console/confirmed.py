"""Counts -> the acts that followed them: each is confirmed once, also from a page that the browser kept."""

from collections import OrderedDict
from dataclasses import dataclass

from aiohttp import web

MAX_KEPT = 1_000
"""So many are remembered: the counts of older ones are forgotten too."""
LONGEST = 36  # characters of an id


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """The act that was done after a count, and the key of the form that asked for it."""

    act: str
    key: str | None


class Confirmed:
    """By the id of a dry run the act that was done after it."""

    def __init__(self) -> None:
        self._acts: OrderedDict[str, Followed] = OrderedDict()

    def of(self, trial: str) -> Followed | None:
        """None if nothing was done after it, or that was long ago."""
        return self._acts.get(trial)

    def note(self, trial: str, followed: Followed) -> None:
        """Say that the act has begun."""
        if len(trial) <= LONGEST:
            self._acts.setdefault(trial, followed)
        while len(self._acts) > MAX_KEPT:
            self._acts.popitem(last=False)


CONFIRMED = web.AppKey("confirmed", Confirmed)
TRIAL = "trial"
"""The parameter, and the hidden field, with the id of a dry run."""
