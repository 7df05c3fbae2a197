"""What replays, reparses and purges answer."""

from dataclasses import dataclass
from typing import Annotated

from relay.operations.documents.marks import PERSONAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDocument:
    """`targets`: deliveries by target that were found; `total` of them, of which `done` became pending.

    `left`: pending ones that were in flight, due already, or behind an earlier one. `probed`: targets with an open
    circuit that are probed at once; `orphaned`: those that the routes no longer name. Of `events` without deliveries
    so many stay `unrouted`, and so many are `corrupt`. `notes`: sentences for people, if nothing was found.
    """

    dry_run: bool
    targets: dict[str, int]
    total: int
    done: int
    left: int
    probed: tuple[str, ...]
    orphaned: tuple[str, ...]
    events: int
    unrouted: int
    corrupt: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReparsedDocument:
    """A webhook with the number of events and deliveries it gave, or the reason why it stays `unparsed`."""

    webhook: str
    events: int
    deliveries: int
    unparsed: Annotated[str | None, PERSONAL]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReparseDocument:
    """So many were `read`, on a dry run can be, and so many `left` unparsed; `webhooks` has the first thousand."""

    dry_run: bool
    read: int
    left: int
    webhooks: tuple[ReparsedDocument, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgeDocument:
    """How many webhooks were purged, on a dry run would be, by state."""

    dry_run: bool
    counts: dict[str, int]
