"""What drop, dismiss and probe answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from relay.operations.documents.marks import PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class DropDocument:
    """Pending deliveries that were `dropped`, and dead ones that were `dismissed` with them; on a dry run would be.

    `paused`: the target is still paused, which `relay resume` ends.
    """

    target: str
    dry_run: bool
    dropped: int
    dismissed: int
    paused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DismissDocument:
    """Dead deliveries, also by target, and unparsed webhooks that were dismissed; on a dry run would be."""

    dry_run: bool
    deliveries: int
    targets: Mapping[str, int]
    unparsed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeDocument:
    """What a target answered to a request that is no event.

    `reached`: there was an answer, whatever its status. `reason` is that of an attempt: `2xx`, `4xx`, `timeout`,
    `connect`, `tls`, … `took` is in seconds.
    """

    target: str
    method: str
    url: str
    reached: bool
    reason: str
    status: int | None
    took: float
    detail: Annotated[str, PERSONAL]
