"""Two routes files -> the targets, sources, accounts and sections whose settings differ: names, never values.

Both are compared as they are written: a variable that gets another value is no change of the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from relay.model import Json
from relay.routes.config import Config
from relay.routes.diagnostics import Where
from relay.routes.redaction import HIDDEN, RedactedLines

NAMED = ("accounts", "sources", "targets")
"""Sections with a mapping for each name."""

SECTIONS = ("defaults", "retention", "notify")

STAND_IN = re.compile(r"\$\{MASKED_[0-9]+\}|masked-[0-9]+")
_MASKED = re.compile(rf"{STAND_IN.pattern}|{re.escape(HIDDEN)}")


def stand_in(number: int) -> str:
    """Return what a draft has in place of a hidden value: it counts as that value."""
    return f"${{MASKED_{number}}}"


def stand_in_name(number: int) -> str:
    """Return the same for a hidden key or name, which can be no variable."""
    return f"masked-{number}"


class Change(StrEnum):
    """What an edit does to a thing of the file."""

    NEW = "new"
    GONE = "gone"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """`name` is empty for a section that has none; `settings` are the keys that differ, of one that is changed."""

    section: str
    name: str
    change: Change
    settings: tuple[str, ...] = ()


def setting_changes(before: Config, after: Config, *, guarded: bool = False) -> tuple[SettingsChange, ...]:
    """Say what else than its routes and its tests an edit changes, in the order of the sections.

    `guarded`: whoever asks does not see what is hidden of the old file. What they write in place of such a value is
    always a change, also if it is that value: else they could find it out by guesses.
    """
    compare = _Compare(RedactedLines(before.text), guarded=guarded)
    old, new = before.document.as_written(()), after.document.as_written(())
    named = (each for section in NAMED for each in compare.names(section, old.get(section), new.get(section)))
    sections = (compare.thing(section, "", old.get(section), new.get(section)) for section in SECTIONS)
    return tuple(each for each in (*named, *sections) if each is not None)


class _Compare:
    def __init__(self, shown: RedactedLines, *, guarded: bool) -> None:
        self.shown = shown
        self.guarded = guarded

    def names(self, section: str, old: Json, new: Json) -> Iterator[SettingsChange | None]:
        old, new = old or {}, new or {}
        return (self.thing(section, name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new)))

    def thing(self, section: str, name: str, old: Json, new: Json) -> SettingsChange | None:
        where = (section, name) if name else (section,)
        if self._same(where, old, new):
            return None
        if old is None or new is None:
            change = Change.NEW if old is None else Change.GONE
            return SettingsChange(section=section, name=name, change=change)
        keys = dict.fromkeys((*old, *new)) if isinstance(old, dict) and isinstance(new, dict) else ()
        differ = tuple(
            key
            for key in keys
            if (key in old) != (key in new) or not self._same((*where, key), old.get(key), new.get(key))
        )
        return SettingsChange(section=section, name=name, change=Change.CHANGED, settings=differ)

    def _same(self, where: Where, old: Json, new: Json) -> bool:
        """Whether they are equal; a value that the draft masks is the old one."""
        if isinstance(new, str) and _MASKED.fullmatch(new):
            return old is not None
        if self.guarded and where in self.shown.hidden:
            return False
        if isinstance(old, dict) and isinstance(new, dict):
            return self._same_pairs(where, old, new)
        if isinstance(old, list) and isinstance(new, list):
            items = zip(old, new, strict=False)
            return len(old) == len(new) and all(self._same((*where, at), *each) for at, each in enumerate(items))
        return bool(old == new)

    def _same_pairs(self, where: Where, old: dict[str, Json], new: dict[str, Json]) -> bool:
        """The keys that the draft masks are the old ones that it lacks, in their order."""
        hidden = [key for key in old if (*where, key) in self.shown.hidden_keys]
        if self.guarded and not new.keys().isdisjoint(hidden):
            return False
        gone, masked = [key for key in old if key not in new], [key for key in new if key not in old]
        if len(gone) != len(masked) or not set(gone).issubset(hidden) or not all(map(_MASKED.fullmatch, masked)):
            return False
        called = dict(zip(gone, masked, strict=True))
        return all(self._same((*where, key), value, new[called.get(key, key)]) for key, value in old.items())
