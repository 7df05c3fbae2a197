"""POST /routes/check, /routes/explain, /routes/diff: a routes file that is not in force, and where events would go.

Its secrets are stand-ins. If the text comes from elsewhere, nothing on this machine that it names is looked at. On
stored events it is tried only for askers who see payloads: a condition that holds gives away the value behind a mask.
"""

import asyncio
from base64 import b64decode
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated

import msgspec
from msgspec import Meta

from relay.errors import NotFoundError
from relay.operations import lookup, route_views
from relay.operations.asker import Role
from relay.operations.check import Checked, check, load
from relay.operations.desk import Desk, Operation
from relay.operations.diff import diff
from relay.operations.documents.marks import Moment
from relay.operations.documents.routes import CheckDocument, ExplanationDocument, RoutesDiffDocument
from relay.operations.explain import explain_body, explain_stored
from relay.operations.reading import Fault, InvalidParameters
from relay.operations.setting_changes import setting_changes
from relay.operations.which import LOOK, Cursor
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion

NAME = "routes.yaml"
MOST, MOST_LISTED = 200, 10_000

FileName = Annotated[str, Meta(min_length=1, max_length=200, description="What messages call the file.")]
Text = Annotated[str, Meta(description="The text of a routes file.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """`strict`: warnings are not good either."""

    text: Text
    strict: bool = False
    name: FileName = NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Explain:
    """Give the `id` of an event or webhook, or a body, form or JSON, as it would come to `source`.

    `text`: a routes file in place of the one in force.
    """

    id: str | None = None
    body: str | None = None
    body_base64: Annotated[str | None, Meta(description="A body of any bytes, also such as are no UTF-8.")] = None
    source: Annotated[str | None, Meta(description="Where the body comes in, if there are several sources.")] = None
    query: Annotated[str, Meta(description="The query of the address it comes to.")] = ""
    text: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Diff:
    """The events from `since` on; `after`: the cursor of the look before.

    `before`: the text of the routes to compare with, in place of those in force. `limit`: so many changes of this look
    are listed; all are counted.
    """

    text: Text
    since: Moment
    after: Cursor | None = None
    before: Text | None = None
    name: FileName = NAME
    before_name: FileName = NAME
    limit: Annotated[int, Meta(ge=0, le=MOST_LISTED)] = MOST


async def checked(desk: Desk, asked: Check) -> CheckDocument:
    """Check a routes file and run its tests."""
    found = await asyncio.to_thread(
        check,
        asked.text.encode(errors="replace"),
        name=asked.name,
        env=desk.env or {},
        stand_ins=True,
        strict=asked.strict,
        names=desk.names,
        sealed=desk.env is None,
    )
    return check_document(found)


def check_document(found: Checked) -> CheckDocument:
    """What was found in a routes file, as `--json` and the API have it."""
    return msgspec.convert(route_views.checked(found), CheckDocument)


async def explained(desk: Desk, asked: Explain) -> ExplanationDocument:
    """Show where a webhook goes, and why; nothing is sent."""
    if [asked.id, asked.body, asked.body_base64].count(None) != 2:
        raise InvalidParameters(Fault(pointer="/id", detail="give either an id or a body"))
    config = await _config(desk, asked.text, NAME)
    if asked.id is not None:
        if asked.text is not None:
            desk.asker.demand_payloads()
        found = await lookup.show(desk.store, asked.id)
        fetched = await lookup.fetched(desk.store, found.record.events)
        shown = explain_stored(config, found, fetched, now=desk.now())
    else:
        body = _body(asked)
        source = _source(config, asked.source)
        explain = partial(explain_body, config, body, source=source, query=asked.query, now=desk.now())
        shown = await asyncio.to_thread(explain)
    return msgspec.convert(route_views.explanation(shown), ExplanationDocument)


def _body(asked: Explain) -> bytes:
    if asked.body_base64 is None:
        return (asked.body or "").encode(errors="replace")
    try:
        return b64decode(asked.body_base64, validate=True)
    except ValueError:
        raise InvalidParameters(Fault(pointer="/body_base64", detail="is not base64")) from None


def _source(config: Config, given: str | None) -> str:
    if given is None and len(config.sources) == 1:
        return next(iter(config.sources))
    if given is None:
        raise InvalidParameters(Fault(pointer="/source", detail=f"say which {suggestion('', config.sources)}"))
    if given not in config.sources:
        raise NotFoundError(f"no source {quoted(given)} {suggestion(given, config.sources)}")
    return given


async def compared(desk: Desk, asked: Diff) -> RoutesDiffDocument:
    """Compare a routes file with the one in force: of the stored events, those that would go elsewhere."""
    desk.asker.demand_payloads()
    before = await _config(desk, asked.before, asked.before_name)
    after = await _config(desk, asked.text, asked.name)
    found = await diff(
        desk.store, before, after, since=asked.since, most=asked.limit, cursor=asked.after, budget=LOOK
    )  # fmt: skip
    guarded = asked.before is None and desk.env is None and desk.asker.role is not Role.OPERATOR
    changed = await asyncio.to_thread(setting_changes, before, after, guarded=guarded)
    settings = [asdict(each) for each in changed]
    whole = {**route_views.routes_diff(found), "next": found.next, "settings": settings}
    return msgspec.convert(whole, RoutesDiffDocument)


async def _config(desk: Desk, text: str | None, name: str) -> Config:
    """That of a text, or the one in force; RoutesInvalid with every problem."""
    if text is None:
        return desk.config()
    content = text.encode(errors="replace")
    read = partial(load, content, name=name, env=desk.env or {}, names=desk.names, sealed=desk.env is None)
    return await asyncio.to_thread(read)


CHECK = Operation(
    name="check",
    method="POST",
    path="/routes/check",
    role=Role.VIEWER,
    parameters=Check,
    document=CheckDocument,
    run=checked,
    summary="Check a routes file, and run its tests.",
)

EXPLAIN = Operation(
    name="explain",
    method="POST",
    path="/routes/explain",
    role=Role.VIEWER,
    parameters=Explain,
    document=ExplanationDocument,
    run=explained,
    summary="Show where a webhook would go, and why; send nothing.",
)

DIFF = Operation(
    name="diff",
    method="POST",
    path="/routes/diff",
    role=Role.VIEWER,
    parameters=Diff,
    document=RoutesDiffDocument,
    run=compared,
    summary="Of the stored events, show those that an edit of the routes would send elsewhere.",
)
