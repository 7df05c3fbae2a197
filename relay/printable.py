r"""Any text -> text that cannot steer a terminal or break a line: `\n`, `\u001b` in place of what would."""

import json


def printable(text: str, keep: str = "") -> str:
    r"""Escape each character that is neither printable nor in `keep` as JSON does: ESC becomes `\u001b`."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in keep else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    """In printable ASCII; JSON reads it back. `json.dumps` alone lets DEL through."""
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]
