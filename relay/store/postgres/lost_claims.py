"""Claim tokens of transactions whose answer was lost: what they claimed nobody was given, and it is given back.

Once as soon as possible, and again each minute: the lost transaction may be committed late, as when it waits for a
synchronous standby. No token is used twice, so a claim made since is never touched.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from relay.store.claim_tokens import Tokens
from relay.store.postgres.connection import Statement

AGAIN = 60.0  # seconds
KEPT = 3600.0  # seconds; the leases have ended long before

GIVE_BACK = """
with lost as materialized (
  select d.event, d.target from deliveries d
  where d.state = 'pending' and d.claim is not null and exists (
    select from unnest(%(firsts)s::bigint[], %(ends)s::bigint[]) span(first, stop)
    where d.claim >= span.first and d.claim < span.stop)
  order by d.event, d.target for update)
update deliveries d set claim = null, attempt = d.attempt - 1, due_at = d.pending_since
from lost where d.event = lost.event and d.target = lost.target and d.state = 'pending' and d.claim is not null
returning 1
"""
"""Unlike those of a dead relay, attempts are not counted: nobody could make them."""


class LostClaims:
    """The ranges of tokens that were lost; `steady` are monotonic seconds."""

    def __init__(self, steady: Callable[[], float]) -> None:
        self._steady = steady
        self._spans: list[tuple[int, int, float]] = []  # first, end, when lost
        self._due_at = 0.0

    @contextmanager
    def tokens(self, tokens: Tokens, size: int) -> Iterator[int]:
        """Take so many tokens for one transaction, the first of them; lost if that is not known to be committed."""
        first = tokens.range(size)
        try:
            yield first
        except BaseException:
            self.add(first, size)
            raise

    def add(self, first: int, size: int) -> None:
        """Have the claims with these tokens given back."""
        self._spans.append((first, first + size, self._steady()))
        self._due_at = self._steady()

    def statements(self) -> list[Statement]:
        """Return what gives them back, for the next transaction on the work connection; nothing if it is not due."""
        now = self._steady()
        self._spans = [each for each in self._spans if now - each[2] < KEPT]
        if not self._spans or now < self._due_at:
            return []
        return [(GIVE_BACK, {"firsts": [each[0] for each in self._spans], "ends": [each[1] for each in self._spans]})]

    def given_back(self) -> None:
        """Go on in a minute: a transaction with `statements` was committed."""
        self._due_at = self._steady() + AGAIN
