"""The routes in force as they are shown -> a draft that can be tried: what is hidden has a variable in its place."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from relay.routes.redaction import HIDDEN

_HIDDEN = re.compile(rf"(?<![^\s\[{{,:]){re.escape(HIDDEN)}(?![^\s\]}},])")
"""A whole value; not a part of one that is shown."""

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


def draft_of(shown: str) -> Draft:
    """Make a draft of the redacted text of a file: `url: ***` -> `url: "${MASKED_1}"`."""
    found = _TESTS.search(shown)
    without = found is not None and _HIDDEN.search(found[0]) is not None
    numbers, masked, lines = count(1), list[int](), list[str]()
    for number, line in enumerate((_TESTS.sub("", shown) if without else shown).split("\n"), 1):
        lines.append(_HIDDEN.sub(lambda _: f'"${{MASKED_{next(numbers)}}}"', line))
        if lines[-1] != line:
            masked.append(number)
    return Draft(text="\n".join(lines), masked=masked, without_tests=without)
