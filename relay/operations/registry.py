"""Every question and act, in the order of the OpenAPI document."""

from typing import Any

from relay.operations.attempts import ATTEMPTS
from relay.operations.deliveries import DELIVERIES
from relay.operations.desk import Operation
from relay.operations.dismiss import DISMISS
from relay.operations.drop import DROP
from relay.operations.export import EXPORT, EXPORT_WEBHOOKS
from relay.operations.forget import FORGET
from relay.operations.pause import PAUSE, RESUME
from relay.operations.probe import PROBE
from relay.operations.refused import REFUSED
from relay.operations.story import STORY
from relay.operations.unrouted import UNROUTED

OPERATIONS: tuple[Operation[Any, Any], ...] = (
    DELIVERIES,
    STORY,
    ATTEMPTS,
    UNROUTED,
    REFUSED,
    EXPORT,
    EXPORT_WEBHOOKS,
    PAUSE,
    RESUME,
    DROP,
    DISMISS,
    PROBE,
    FORGET,
)
