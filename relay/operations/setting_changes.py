"""Two routes files -> the targets, sources, accounts and sections whose settings differ: names, never values.

Both are compared as they are written: a variable that gets another value is no change of the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from relay.model import Json
from relay.routes.config import Config
from relay.routes.redaction import HIDDEN

NAMED = ("accounts", "sources", "targets")
"""Sections with a mapping for each name."""

SECTIONS = ("defaults", "retention", "notify")

_MASKED = re.compile(rf"\$\{{MASKED_[0-9]+\}}|{re.escape(HIDDEN)}")


def stand_in(number: int) -> str:
    """Return what a draft has in place of a hidden value: it counts as that value."""
    return f"${{MASKED_{number}}}"


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


def setting_changes(before: Config, after: Config) -> tuple[SettingsChange, ...]:
    """Say what else than its routes and its tests an edit changes, in the order of the sections."""
    old, new = before.document.as_written(()), after.document.as_written(())
    named = (each for section in NAMED for each in _of_names(section, old.get(section), new.get(section)))
    sections = (_of(section, "", old.get(section), new.get(section)) for section in SECTIONS)
    return tuple(each for each in (*named, *sections) if each is not None)


def _of_names(section: str, old: Json, new: Json) -> Iterator[SettingsChange | None]:
    old, new = old or {}, new or {}
    return (_of(section, name, old.get(name), new.get(name)) for name in dict.fromkeys((*old, *new)))


def _of(section: str, name: str, old: Json, new: Json) -> SettingsChange | None:
    if _same(old, new):
        return None
    if old is None or new is None:
        change = Change.NEW if old is None else Change.GONE
        return SettingsChange(section=section, name=name, change=change)
    keys = dict.fromkeys((*old, *new)) if isinstance(old, dict) and isinstance(new, dict) else ()
    differ = tuple(key for key in keys if (key in old) != (key in new) or not _same(old.get(key), new.get(key)))
    return SettingsChange(section=section, name=name, change=Change.CHANGED, settings=differ)


def _same(old: Json, new: Json) -> bool:
    """Whether they are equal; a value that the draft masks is the old one."""
    if isinstance(new, str) and _MASKED.fullmatch(new):
        return old is not None
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() == new.keys() and all(_same(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(_same, old, new))
    return bool(old == new)
