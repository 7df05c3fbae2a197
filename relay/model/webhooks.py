"""What arrives: a webhook, and the events in it."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime

from relay.model.trace import webhook_trace
from relay.model.values import Json, frozen

HEAL = "heal"

_IDS = ("id", "talk_id", "uid")
_IDS_OF_A_NOTE = ("element_id", "id")


@frozen
class Webhook:
    """One request from amoCRM as received. `unparsed` is the reason why it has no events; None if it has.

    `query` is the query string, without the `?`; `signature` the X-Signature header, which senders of another protocol
    set; `traceparent` the valid one that it came with, see `trace.parse_traceparent`. `kind`: `HEAL` if it never came,
    and its body was made of an event of the account's feed. `corrupt`: the body does not match its checksum in the
    store. `dismissed_at`: an operator has understood why it is unparsed; it is no longer counted or alarmed about.
    `cut_from`: the body is only the start of so many bytes, and may be corrupt; 0: it is whole.
    """

    id: str
    source: str
    received_at: datetime
    body: bytes
    content_type: str = ""
    request_id: str = ""
    query: str = ""
    signature: str = ""
    traceparent: str = ""
    unparsed: str | None = None
    kind: str = "webhook"
    corrupt: bool = False
    dismissed_at: datetime | None = None
    cut_from: int = 0

    @property
    def size(self) -> int:
        """Bytes of the whole body."""
        return self.cut_from or len(self.body)

    @property
    def trace(self) -> str:
        """See `trace.webhook_trace`."""
        return webhook_trace(self.id, self.traceparent)


@frozen
class Event:
    """One normalized fact out of a webhook, as `amocrm/event.schema.json` describes it.

    `heal`: what a healed one has beside it: `event_id`, `exactness`, `found_at`, `reason`, maybe `stale`. It was found
    at `received_at`, and is the relay's word for what amoCRM says happened at `happened_at`.
    """

    id: str
    source: str
    received_at: datetime
    account: Mapping[str, Json]
    entity: str
    action: str
    data: Mapping[str, Json]
    query: Mapping[str, Json] = field(default_factory=dict)
    heal: Mapping[str, Json] | None = None
    happened_at: datetime | None = None

    @property
    def type(self) -> str:
        """`leads.status`."""
        return f"{self.entity}.{self.action}"

    @property
    def entity_id(self) -> str:
        """See `entity_id`."""
        return entity_id(self.action, self.data)


def entity_id(action: str, data: Mapping[str, Json]) -> str:
    """The id of the lead, contact, … that an event is about; of a note, its element's; empty if the event has none."""
    for name in _IDS_OF_A_NOTE if action == "note" else _IDS:
        if name in data:
            return str(data[name])
    return ""
