"""How long the routes file has finished records kept, with the default of each age."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long finished records are kept; None for ever.

    The age of a delivery counts from when it was delivered or died, of unrouted events and unparsed webhooks from their
    arrival. A webhook is deleted together with its events and deliveries.
    """

    delivered: timedelta | None = timedelta(days=30)
    dead: timedelta | None = timedelta(days=90)
    unrouted: timedelta | None = timedelta(days=30)
    unparsed: timedelta | None = timedelta(days=90)
