"""What verify found in a store."""

from dataclasses import dataclass

from relay.operations.documents.marks import Moment
from relay.store.records import AckGap, Contents, IntegrityReport


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedDocument:
    """The rows of a table whose checksums were compared, and the ids of corrupt ones."""

    checked: int
    without_checksum: int
    corrupt: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossDocument:
    """Webhooks that were answered 200 and are missing; see `store.records.AckGap`."""

    at_most: int
    after: Moment | None
    noticed_at: Moment
    relay: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedDocument:
    """Whether a store is `sound`: nothing is corrupt and nothing is missing.

    `structure`: faults of the file or between rows; `notes`: what was not looked at. `accepted`: so many missing
    webhooks were accepted before it was looked at.
    """

    sound: bool
    structure: tuple[str, ...]
    webhooks: CheckedDocument
    events: CheckedDocument
    losses: tuple[LossDocument, ...]
    notes: tuple[str, ...]
    accepted: int = 0


def verified_document(report: IntegrityReport) -> VerifiedDocument:
    """The document of a report."""
    return VerifiedDocument(
        sound=report.sound,
        structure=report.structure,
        webhooks=_checked(report.contents["webhooks"]),
        events=_checked(report.contents["events"]),
        losses=tuple(map(_loss, report.losses)),
        notes=report.notes,
    )


def _checked(found: Contents) -> CheckedDocument:
    return CheckedDocument(checked=found.rows, without_checksum=found.unmarked, corrupt=found.corrupt)


def _loss(gap: AckGap) -> LossDocument:
    return LossDocument(at_most=gap.count, after=gap.after, noticed_at=gap.noticed_at, relay=gap.relay)
