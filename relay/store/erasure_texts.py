"""Texts beside webhooks that may name a person: where they are stored, and how one is blanked.

Attempts have a walk of their own, there are many of them.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from relay.model import Json

BLANK = "***"


class TextColumn(NamedTuple):
    """A column of texts, or of JSON in text, and the key of its table."""

    table: str
    key: tuple[str, ...]
    name: str
    json: bool = False


TEXTS = (
    TextColumn("conditions", ("target",), "error"),
    TextColumn("pauses", ("target",), "reason"),
    TextColumn("reports", ("name",), "value", json=True),
    TextColumn("audit", ("id",), "details", json=True),
    TextColumn("guards", ("source",), "detail"),
    TextColumn("heal_events", ("source", "channel", "event_id"), "before", json=True),
    TextColumn("heal_events", ("source", "channel", "event_id"), "after", json=True),
    TextColumn("heal_requests", ("id",), "answer", json=True),
    TextColumn("deliveries", ("event", "target"), "why"),
)


def blanked(column: TextColumn, text: str, found: Callable[[str], bool]) -> str | None:
    """Return what the text is to be; None if nothing is found in it."""
    if not found(text):
        return None
    if not column.json:
        return BLANK
    try:
        return orjson.dumps(_masked(orjson.loads(text), found)).decode()
    except ValueError:
        return "null"


def changes(
    column: TextColumn, rows: Sequence[Sequence[Any]], found: Callable[[str], bool]
) -> list[tuple[str, tuple[Any, ...]]]:
    """Return, of rows of key and text, the new texts and the keys of those that change."""
    texts = [(blanked(column, row[-1], found), tuple(row[:-1])) for row in rows if isinstance(row[-1], str)]
    return [(text, key) for text, key in texts if text is not None]


def _masked(node: Json, found: Callable[[str], bool]) -> Json:
    match node:
        case dict():
            return {BLANK if found(key) else key: _masked(child, found) for key, child in node.items()}
        case list():
            return [_masked(child, found) for child in node]
        case str():
            return BLANK if found(node) else node
    return BLANK if isinstance(node, int) and found(str(node)) else node
