"""Claim tokens -> the deliveries that are held by them; see `relay.store.claim_tokens`."""

from collections.abc import Iterable, Sequence

import apsw

from relay.store.requests import Settlement
from relay.store.sqlite.sql import at_once

LOST = (
    "update deliveries set claimed = 0, due_at = pending_since, attempt = attempt - 1"
    " where state = 'pending' and claimed = 1 and claim between ? and ?"
)
"""Gives back what was claimed with tokens that nobody was given: the answer to their commit was lost."""


def held(cursor: apsw.Cursor, settled: Sequence[Settlement]) -> dict[int, bool]:
    """Return positions of deliveries whose present claim has this token, and whether they have a key."""
    tokens = [
        (position, delivery.row, delivery.target, delivery.token) for position, (delivery, *_) in enumerate(settled)
    ]
    with_key: dict[int, bool] = {}
    for held_, keyed in at_once(cursor, _HELD, tokens):
        with_key |= dict.fromkeys(_numbers(held_), False)
        with_key |= dict.fromkeys(_numbers(keyed), True)
    first: dict[tuple[int, str], int] = {}
    for position in sorted(with_key):  # settled twice in one batch: the first counts
        first.setdefault((settled[position].delivery.row, settled[position].delivery.target), position)
    return {position: with_key[position] for position in first.values()}


def _numbers(listed: str | None) -> Iterable[int]:
    return map(int, listed.split(",")) if listed else ()


_HELD = (
    "with settled (position, event, target, token) as (values {(?, ?, ?, ?)})"
    " select group_concat(position), group_concat(iif(key is null, null, position))"
    " from settled join deliveries using (event, target)"
    " where deliveries.claim = settled.token and state = 'pending' and claimed = 1"
)
