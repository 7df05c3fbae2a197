"""Acts that take long <-> what their relay publishes of them, for other relays, commands and its next process."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import orjson

from relay.model import Json
from relay.operations.documents.acts import ActDocument, ActState
from relay.operations.documents.encoding import encode
from relay.operations.documents.marks import AnyJson, Moment
from relay.store.records import Report, Status

REPORT: Final = "acts"
"""The name under which a relay publishes its newest ones, by id: `{"019ab1…": {"operation": "purge", …}}`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One act. `running` is also what a kill leaves of it; `problem`: why it failed."""

    operation: str
    began_at: Moment
    state: ActState = ActState.RUNNING
    who: str = ""
    dry_run: bool = False
    ended_at: Moment | None = None
    problem: AnyJson = None


def published(traces: Mapping[str, Trace]) -> Json:
    """The value of the report."""
    value: Json = orjson.loads(encode(dict(traces)))
    return value


def traces_of(report: Report) -> dict[str, Trace]:
    """What is published, oldest first; what another version wrote, and this one cannot read, is left out."""
    return dict(_read(report.value if isinstance(report.value, dict) else {}))


def _read(value: Mapping[str, Json]) -> Iterator[tuple[str, Trace]]:
    for id_, each in value.items():
        try:
            yield id_, msgspec.convert(each, Trace)
        except msgspec.ValidationError:
            continue


def document_of(id_: str, trace: Trace) -> ActDocument:
    """The document of an act of which no more is known."""
    return ActDocument(
        act=id_,
        operation=trace.operation,
        state=trace.state,
        began_at=trace.began_at,
        ended_at=trace.ended_at,
        problem=trace.problem,
        who=trace.who,
        dry_run=trace.dry_run,
    )


def settled(found: ActDocument, report: Report, status: Status) -> ActDocument:
    """What is published as `running`: under way at the relay that began it if its process lives, else interrupted."""
    if found.state is not ActState.RUNNING:
        return found
    named = [each for each in status.living if report.relay in ("", each.name) and each.since <= found.began_at]
    return replace(found, relay=named[0].name) if named else replace(found, state=ActState.INTERRUPTED)
