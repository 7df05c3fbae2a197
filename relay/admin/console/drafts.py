"""The routes in force as they are shown -> a draft that can be tried: what is hidden has a variable in its place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from relay.operations.setting_changes import stand_in
from relay.routes.redaction import HIDDEN

_HIDDEN = re.compile(rf"(?<![^\s\[{{,:]){re.escape(HIDDEN)}(?![^\s\]}},])")
"""A whole value; not a part of one that is shown."""

_QUOTED = re.compile(rf"""(?<=[\s\[{{,:])(["']){re.escape(HIDDEN)}\1(?=[\s\]}},]|\Z)""")
"""One that was put in quotes because YAML has another use for a star."""

_TESTS = re.compile(r"^tests:.*\n?(?:(?:[ \t-].*)?(?:\n|\Z))*", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A text that `check`, `explain` and `diff` can use, and the lines on which variables stand for hidden values.

    Such variables need no value there: a secret or an address that is missing has a stand-in. Tests have none: if they
    are hidden, `without_tests`, the draft lacks them.
    """

    text: str
    masked: Sequence[int] = ()
    without_tests: bool = False


NONE = Draft(text="")


def pasted(text: str) -> str:
    """Make a text that can be tried of one with hidden values in it, as it is copied from the routes in force."""
    unquoted = _QUOTED.sub(HIDDEN, text)
    return draft_of(unquoted).text if _HIDDEN.search(unquoted) else text


def draft_of(shown: str) -> Draft:
    """Make a draft of the redacted text of a file: `url: ***` -> `url: "${MASKED_1}"`."""
    found = _TESTS.search(shown)
    without = found is not None and _HIDDEN.search(found[0]) is not None
    numbers, masked, lines = count(1), list[int](), list[str]()
    for number, line in enumerate((_TESTS.sub("", shown) if without else shown).split("\n"), 1):
        lines.append(_HIDDEN.sub(lambda _: f'"{stand_in(next(numbers))}"', line))
        if lines[-1] != line:
            masked.append(number)
    return Draft(text="\n".join(lines), masked=masked, without_tests=without)
