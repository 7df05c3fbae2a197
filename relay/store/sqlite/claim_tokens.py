"""Claim tokens: a new number for each claim; only the holder of the present one can settle (fencing)."""

from collections.abc import Sequence

import apsw
import orjson

from relay.store.requests import Settlement
from relay.store.sqlite.sql import at_once

TOKENS = 2**40  # of one incarnation: 34 years at 1,000 a second; and 8 million incarnations fit beside it

LOST = (
    "update deliveries set claimed = 0, due_at = pending_since, attempt = attempt - 1"
    " where state = 'pending' and claimed = 1 and claim between ? and ?"
)
"""Gives back what was claimed with tokens that nobody was given: the answer to their commit was lost."""


class Tokens:
    """Claim tokens of one incarnation. `last` is the newest one; used by the writer's thread alone."""

    __slots__ = ("last",)

    def __init__(self, incarnation: int) -> None:
        self.last = incarnation * TOKENS

    def new(self) -> int:
        """Return a number that was never a token before."""
        self.last += 1
        return self.last


def held(cursor: apsw.Cursor, settled: Sequence[Settlement]) -> dict[int, bool]:
    """Return positions of deliveries whose present claim has this token, and whether they have a key."""
    tokens = [
        (position, delivery.row, delivery.target, delivery.token) for position, (delivery, *_) in enumerate(settled)
    ]
    found: dict[int, bool] = {}
    seen: set[tuple[int, str]] = set()
    for (matched,) in at_once(cursor, _HELD, tokens):
        for position, has_key in sorted(orjson.loads(matched)):
            name = settled[position].delivery.row, settled[position].delivery.target
            if name not in seen:  # settled twice in one batch: the first counts
                seen.add(name)
                found[position] = bool(has_key)
    return found


_HELD = (
    "with settled (position, event, target, token) as (values {values})"
    " select json_group_array(json_array(position, key is not null))"
    " from settled join deliveries using (event, target)"
    " where deliveries.claim = settled.token and state = 'pending' and claimed = 1"
)
