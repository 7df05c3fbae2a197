"""A value -> what came along with it from where it was copied or exported, in words that do not show it."""

import re
import unicodedata

from relay.routes.diagnostics import Where
from relay.routes.words import named, oddity
from relay.routes.yaml_document import Document

MARK = "\ufeff"

_QUOTED = re.compile(r"""(?:.*\s)?(?P<quote>["'])[^"']*(?P=quote)""", re.DOTALL)


def carried(text: str, written: str) -> str | None:
    """`has quotes in it …`; `written` is the text in the file, with variables unresolved, and so what is meant."""
    if MARK in text:
        return "has a byte order mark in it (U+FEFF): save what it comes from without one"
    quoted = _QUOTED.fullmatch(text)
    if quoted and (text[0] == quoted["quote"] or quoted["quote"] not in written):
        return "has quotes in it, which are a part of it: docker's --env-file keeps them, so write it without"
    if text != text.strip():
        return f"{'begins' if text[0].isspace() else 'ends'} with a blank: remove it"
    if "  " in text and "  " not in written:
        return "has two blanks in it: remove the one that a variable has at its end"
    if text.isascii():
        return None
    place = next(place for place, character in enumerate(text, 1) if not character.isascii())
    return f"is not ASCII, which servers read differently: character {place} is {_kind(text[place - 1])}"


def _kind(character: str) -> str:
    """Of a letter or digit no more than its script: it may be a secret's."""
    if character.isalnum():
        return f"a {unicodedata.name(character, 'OTHER').split()[0].capitalize()} letter"
    return named(character)


def what_is_odd(document: Document, where: Where) -> str:
    """What may be the matter with a text that does not fit, `; …`, or nothing."""
    value = document.at(where)
    if not isinstance(value, str):
        return ""
    written = document.written.get(where)
    said = carried(value, written) if written is not None and value else None
    return f"; its value {said}" if said else oddity(document.shown(where))
