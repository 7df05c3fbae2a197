"""What a test of notifications answers."""

from dataclasses import dataclass
from typing import Annotated

from relay.operations.documents.marks import PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverDocument:
    """What one receiver answered. `result`: `sent`, `retry` or `refused`; `took` is in seconds."""

    receiver: str
    result: str
    took: float
    answer: Annotated[str, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyTestDocument:
    """Each receiver that was sent a test, in the order of the file."""

    receivers: tuple[ReceiverDocument, ...]
