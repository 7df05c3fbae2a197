"""What erasure reads of a store, and what it has written there."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from relay.model import Json
from relay.model.erasure import Extent


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event as stored. `raw`: it stands for its webhook, which could not be read. `enriched`: the JSON beside it."""

    seq: int
    id: str
    payload: bytes
    raw: bool = False
    erased: bool = False
    enriched: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWebhook:
    """A webhook as stored, with its events in their order. `seq` is the order of arrival."""

    seq: int
    id: str
    source: str
    received_at: datetime
    content_type: str
    body: bytes
    query: str = ""
    unparsed: str | None = None
    events: tuple[StoredEvent, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of what was received and made of it."""
        return len(self.body) + sum(len(each.payload) + len(each.enriched or b"") for each in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedEvent:
    """What an event is to be: its payload, and what stands beside it; None if nothing does."""

    seq: int
    id: str
    how: Extent
    payload: bytes
    enriched: Mapping[str, Json] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedWebhook:
    """What a webhook is to be. `events`: those of its events that lose something."""

    seq: int
    body: bytes
    query: str
    unparsed: str | None
    events: tuple[ErasedEvent, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenErasure:
    """An erasure that is not complete: the files of the store, or the spools of these relays, may still hold data."""

    act: str
    at: datetime
    waits_for: tuple[str, ...]
