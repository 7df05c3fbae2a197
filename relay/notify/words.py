"""What the texts of one language are made of. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from relay.notify.facts import Topic


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language; texts are for `str.format`.

    `raised`, `cleared`, `passed`: by topic; `happened`: one text for each form of the plural, which `form` numbers.
    `commands`: what to do on a terminal, appended where there is no link into the console.
    """

    raised: Mapping[Topic, str]
    cleared: Mapping[Topic, str]
    passed: Mapping[Topic, str]
    happened: Mapping[Topic, tuple[str, ...]]
    commands: Mapping[Topic, str]
    form: Callable[[int], int]
    units: tuple[str, str, str, str]
    reasons: Mapping[str, str]
    states: Mapping[str, str]
    levels: Mapping[str, str]
    accounts: Mapping[str, str]
    parts: Mapping[str, str]
    failures: tuple[str, ...]
    because: str
    until: str
    asked: str
    free: str
    problems: str
    forwarded: str
    never: str
    reenabled: str
    changes: str
    more: str
    test: str
