"""Counts of unrouted events, step by step -> one row for each type."""

from collections.abc import Sequence
from typing import Any

from relay.store.looks import Look, Place
from relay.store.question_records import UnroutedKind
from relay.store.records import Page
from relay.store.times import from_ms

MOST = 1_000_000  # rows of all steps together


def page(seen: Look[Place]) -> Page[UnroutedKind]:
    """Add up rows of entity, action, count, first and last arrival; the most frequent first."""
    sums: dict[tuple[str, str], list[int]] = {}
    for entity, action, *figures in seen.rows:
        before = sums.get((entity, action))
        sums[entity, action] = _added(before, figures) if before else list(figures)
    ordered = sorted(sums.items(), key=lambda each: (-each[1][0], each[0]))
    kinds = [
        UnroutedKind(entity=entity, action=action, count=count, first_at=from_ms(first), last_at=from_ms(last))
        for (entity, action), (count, first, last) in ordered
    ]
    return Page(kinds, searched_to=None if seen.ended_at is None else from_ms(seen.ended_at.at))


def _added(before: Sequence[Any], more: Sequence[Any]) -> list[int]:
    return [before[0] + more[0], min(before[1], more[1]), max(before[2], more[2])]
