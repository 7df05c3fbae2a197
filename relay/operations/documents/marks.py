"""Types of document fields: instants, personal values, JSON."""

from datetime import datetime
from typing import Annotated, Any, TypeAlias

from msgspec import Meta

Moment: TypeAlias = Annotated[datetime, Meta(tz=True)]
"""An aware instant; RFC 3339 in UTC with milliseconds in JSON."""

PERSONAL = Meta(extra={"personal": True})
"""`Annotated[str, PERSONAL]`: masked for askers without `payloads`. JSON keeps its keys and its ids."""

EVENT = Meta(extra={"personal": "event"})
"""The same for the JSON of an event: of its `data`, `query` and `enriched` the values are masked, the rest is shown."""

REASON = Meta(extra={"personal": "reason"})
"""The same for why an attempt or a delivery failed: its kind and HTTP status are shown, the rest is not."""

AnyJson: TypeAlias = Any
"""JSON as it came; msgspec has no recursive type."""
