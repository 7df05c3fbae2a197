"""An attempt -> what it returned, in a few words for a table."""

from relay.cli.output import clipped
from relay.model import VerdictName
from relay.operations.documents.attempts import AttemptDocument

LONGEST = 120  # characters of what a target answered
SHORT = 24  # beside much else; `relay show` has it all


def answer(made: AttemptDocument, longest: int = LONGEST) -> str:
    """`200`, `503: busy`, `timeout: no reply within 10 s`."""
    what = made.reason if made.status is None else str(made.status)
    return f"{what}: {clipped(made.detail, longest)}" if made.detail else what


def error(made: AttemptDocument | None) -> str:
    """The same of one that failed, else nothing."""
    return answer(made, SHORT) if made and made.verdict != VerdictName.DELIVERED else ""
