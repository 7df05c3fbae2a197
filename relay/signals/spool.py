"""The spool before a shared store, as `relay.store.spool` announces it."""

from datetime import timedelta
from typing import TypeAlias

from relay.model import frozen


@frozen
class SpoolOpened:
    """The relay named `relay` has a spool, in which so many webhooks are to be forwarded."""

    file: str
    relay: str
    webhooks: int


@frozen
class SpoolLeft:
    """The relay has stopped with so many webhooks in its spool, which nobody else has."""

    webhooks: int
    file: str


@frozen
class SpoolSetAside:
    """A spool could not be opened, for this `error`; it was renamed `to`, and a new one begun."""

    file: str
    to: str
    error: str


@frozen
class SpoolingBegan:
    """Webhooks go to the spool from now on, and with them those `under_way` to the shared store: they are hedged."""

    why: str
    under_way: int


@frozen
class SpoolingEnded:
    """The spool is empty, and webhooks go to the shared store again; so many were `forwarded` meanwhile."""

    why: str
    took: timedelta
    forwarded: int


@frozen
class SpoolForwarded:
    """The shared store has committed so many webhooks of the spool."""

    webhooks: int


@frozen
class TailKeptAgain:
    """So many of the newest webhooks were missing from the shared store at a new connection, and are stored again."""

    webhooks: int
    of: int


@frozen
class SpoolRefused:
    """The shared store refuses a webhook, also without its events; it stays in the spool, set apart."""

    webhook: str
    error: str


@frozen
class SharedStoreUnfit:
    """The shared store cannot be used, though its server replies; webhooks are spooled."""

    error: str


SpoolSignal: TypeAlias = (
    SpoolOpened
    | SpoolLeft
    | SpoolSetAside
    | SpoolingBegan
    | SpoolingEnded
    | SpoolForwarded
    | TailKeptAgain
    | SpoolRefused
    | SharedStoreUnfit
)
