"""Connections and addresses of clients, as the listeners announce them."""

from datetime import timedelta
from typing import TypeAlias

from relay.model import frozen


@frozen
class Evicted:
    """A connection was closed, for there were too many: accepted, or its last 2xx sent, `after` ago."""

    after: timedelta


@frozen
class AcceptFailed:
    """A connection could not be accepted: no descriptors, or no memory."""

    error: str


@frozen
class ConnectionsScarce:
    """Targets may open more connections at once than the process has descriptors for."""

    detail: str


@frozen
class ClientLockedOut:
    """An address sent too many wrong admin tokens: for a minute only the right one is accepted from it."""

    remote: str


ConnectionsSignal: TypeAlias = Evicted | AcceptFailed | ConnectionsScarce | ClientLockedOut
