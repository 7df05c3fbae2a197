"""What became of a sample."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleDocument:
    """The `webhook` that was stored of it, or of the one before that it repeats."""

    source: str
    webhook: str
