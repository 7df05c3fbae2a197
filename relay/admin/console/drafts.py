"""The routes in force as they are shown -> a draft that can be tried: what is hidden has a variable in its place."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from relay.operations.setting_changes import STAND_IN, stand_in, stand_in_name
from relay.routes.redaction import HIDDEN

_STARS = re.escape(HIDDEN)
_HIDDEN = re.compile(rf"(?P<before>(?:^\s*(?:-\s+)*|[\[{{,:]\s*)){_STARS}(?P<key>(?=:))?(?=:|\s*(?:[\]}},]|$))")
"""A whole key or value; not a part of one that is shown."""

_NAME = re.compile(r"(?<![\w-])name:\s*\Z")
_MORE = re.compile(rf"(?P<indent>\s*){_STARS}(?=\s*(?:[\]}},]|$))")
"""A further line of a hidden text."""

_OPENS = re.compile(r"(?:[:\[{,]|(?:^|\s)-)\s*\Z")
"""The end of a line whose value is on the next one."""

_QUOTED = re.compile(rf"""(?<=[\s\[{{,:])(["']){_STARS}\1(?=[\s\]}},:]|\Z)""")
"""One that was put in quotes because YAML has another use for a star."""

_TESTS = re.compile(r"^tests:.*\n?(?:(?:[ \t-].*)?(?:\n|\Z))*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A text that `check`, `explain` and `diff` can use, and the lines on which variables stand for hidden values.

    Such variables need no value there: a secret or an address that is missing has a stand-in. Tests have none: if they
    are hidden, `without_tests`, the draft lacks them. `unfit`: so much is hidden that it cannot be used as it is.
    """

    text: str
    masked: Sequence[int] = ()
    without_tests: bool = False
    unfit: bool = False


NONE = Draft(text="")


def pasted(text: str) -> str:
    """Make a text that can be tried of one with hidden values in it, as it is copied from the routes in force."""
    unquoted = _QUOTED.sub(HIDDEN, text)
    made = draft_of(unquoted)
    return made.text if made.masked else text


def has_stand_ins(text: str) -> bool:
    """Whether it was made of one with hidden values in it."""
    return stand_in(1) in text or stand_in_name(1) in text


def masked_lines(text: str) -> list[int]:
    """The lines on which something stands for a hidden value."""
    return [number for number, line in enumerate(text.split("\n"), 1) if STAND_IN.search(line)]


def draft_of(shown: str) -> Draft:
    """Make a draft of the redacted text of a file: `url: ***` -> `url: "${MASKED_1}"`."""
    found = _TESTS.search(shown)
    without = found is not None and HIDDEN in found[0]
    before = (_TESTS.sub("", shown) if without else shown).split("\n")
    after = list(_filled(before))
    masked = [number for number, (old, new) in enumerate(zip(before, after, strict=True), 1) if old != new]
    return Draft(text="\n".join(after), masked=masked, without_tests=without)


def _filled(lines: Sequence[str]) -> Iterator[str]:
    """Each line with stand-ins; further lines of a hidden text are empty, so that the others keep their numbers."""
    numbers, goes_on, last = count(1), False, ""

    def put(place: re.Match[str]) -> str:
        if not place["before"].strip() and not _OPENS.search(last) and place["key"] is None:
            return place[0]  # a line of a text that is shown
        is_name = place["key"] is not None or _NAME.search(place.string[: place.end("before")])
        called = stand_in_name(next(numbers)) if is_name else stand_in(next(numbers))
        return f'{place["before"]}"{called}"'

    for line in lines:
        more = _MORE.match(line) if goes_on else None
        rest = f"{more['indent']}{line[more.end() :]}".rstrip() if more else line
        filled = _HIDDEN.sub(put, rest)
        goes_on = (goes_on and not rest.strip()) or (filled != rest and rest.rstrip().endswith(HIDDEN))
        last = line if line.strip() else last
        yield filled
