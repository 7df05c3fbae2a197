"""Document -> how a target takes several events in one request."""

from datetime import timedelta

from relay.model import Batch, Format
from relay.routes.diagnostics import Unfit, Where
from relay.routes.reader import Reader
from relay.routes.units import duration

LONGEST_WAIT = timedelta(minutes=1)


def read_batch(reader: Reader, where: Where, format_: Format) -> Batch | None:
    """The `batch` of the target at `where`, if it has one; `format_` is the target's."""
    here = (*where, "batch")
    if not reader.document.has(here):
        return None
    if format_ is not Format.JSON and reader.sound(here):
        reader.wrong(here, f"is a JSON list of events: it needs format: json or a body, not format: {format_}")
    built_in = Batch()
    return Batch(
        most=reader.take((*here, "most"), int, built_in.most),
        within=reader.take((*here, "within"), _wait, built_in.within),
    )


def _wait(text: str) -> timedelta:
    wait = duration(text)
    if wait > LONGEST_WAIT:
        raise Unfit("must be at most 1m")
    return wait
