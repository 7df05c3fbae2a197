"""A delivery of a healed event -> what a target gets of it. Pure."""

from dataclasses import replace

import orjson

from relay.model import Delivery
from relay.model.heal import Exactness

_STALE = b'"stale":true'


def exactness(payload: bytes) -> str:
    """`exact`, `state` or `approximate`: the header `relay-healed`; of a batch, what holds for each of its events."""
    whole = orjson.loads(payload)
    found = {each["heal"]["exactness"] for each in (whole if isinstance(whole, list) else [whole])}
    return next(each.value for each in reversed(Exactness) if each.value in found)


def unmarked(delivery: Delivery) -> Delivery:
    """Return the delivery without `stale`, for a target that does not ask for it; each attempt sends the same."""
    if delivery.corrupt or _STALE not in delivery.payload:
        return delivery
    event = orjson.loads(delivery.payload)
    event["heal"].pop("stale", None)
    return replace(delivery, payload=orjson.dumps(event))
