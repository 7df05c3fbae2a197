"""A text as YAML gives it, and where it is written in the file -> line and column of any character of it.

Folding, indentation and escapes leave everything but blanks in place: so many characters of the text that are no blanks
come before one, so many come before it in the file.
"""

import re
from dataclasses import dataclass, field

from relay.routes.yaml_errors import LINE_END

_DOUBLE_QUOTED = re.compile(
    r"\\(?:x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|\r\n|.)|.", re.DOTALL
)  # an escape is one character of the text
_SINGLE_QUOTED = re.compile("''|.", re.DOTALL)
_OTHER = re.compile(".", re.DOTALL)
_BLANK_ESCAPES = frozenset("ntr \n\t0abefvNLP_\r")  # after a backslash: blanks, line breaks, controls
_BLOCK_HEADER = re.compile("[|>][^\r\n\x85\u2028\u2029]*")


@dataclass(frozen=True, slots=True)
class TextPlace:
    """`text`: the value before any `${…}` is replaced; `source`: as the file has it, quotes or block header included.

    `line` and `column`, from 1, are those of the first character of `source`.
    """

    text: str = field(repr=False)
    source: str = field(repr=False)
    line: int
    column: int

    def at(self, line: int, column: int) -> tuple[int, int]:
        """Line and column in the file of what is at this line and column of the text, all from 1."""
        *above, last = self.text.split("\n")[:line]
        before = "".join([*above, last[: column - 1]])
        return self._mark(self._offset(sum(not each.isspace() for each in before)))

    def _offset(self, count: int) -> int:
        """Offset in `source` of the character that `count` others of the text, blanks left out, precede."""
        start, token = self._start()
        end = start
        for found in token.finditer(self.source, start):
            if _is_blank(found[0]):
                continue
            if not count:
                return found.start()
            count, end = count - 1, found.end()
        return end

    def _start(self) -> tuple[int, re.Pattern[str]]:
        match self.source[:1]:
            case '"':
                return 1, _DOUBLE_QUOTED
            case "'":
                return 1, _SINGLE_QUOTED
            case "|" | ">":
                header = _BLOCK_HEADER.match(self.source)
                return header.end() if header else 0, _OTHER
        return 0, _OTHER

    def _mark(self, offset: int) -> tuple[int, int]:
        ends = [end.end() for end in LINE_END.finditer(self.source, 0, offset)]
        if not ends:
            return self.line, self.column + offset
        return self.line + len(ends), offset - ends[-1] + 1


def _is_blank(token: str) -> bool:
    return token.isspace() or (len(token) == 2 and token[0] == "\\" and token[1] in _BLANK_ESCAPES)
