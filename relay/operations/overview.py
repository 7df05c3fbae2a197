"""GET /overview, `relay overview`, the console's first page: is all well, and if not, what is to be done."""

from urllib.parse import quote

from relay.operations.activity import activity_document, sources_of
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.overview import FindingDocument, LevelName, OverviewDocument
from relay.operations.finding_texts import Kind
from relay.operations.health import Finding, Level, judge
from relay.operations.status import Everything, status
from relay.store.activity import added

NAMES: dict[Level, LevelName] = {Level.OK: "ok", Level.WARNING: "warning", Level.CRITICAL: "critical"}
PAGES = {
    Kind.UNPARSED: "/unparsed",
    Kind.FILE_REFUSED: "/routes",
    Kind.ROUTES_DIFFER: "/routes",
    Kind.ROUTE_STOPPED: "/routes",
    Kind.SUBSCRIPTION: "/heal",
}


async def overview(desk: Desk, asked: Everything) -> OverviewDocument:
    """Judge the status, and show it with the sources and with what was delivered lately."""
    seen, config = await status(desk, asked), desk.config_or_none()
    counted = added(await desk.store.questions.activity()) if seen.daemon is not None else None
    sources = await sources_of(desk, config, counted, seen.subscriptions) if config else ()
    verdict = judge(seen, sources)
    return OverviewDocument(
        at=seen.at,
        level=NAMES[verdict.level],
        line=verdict.line,
        problems=tuple(map(finding_document, verdict.findings)),
        status=seen,
        sources=sources,
        activity=activity_document(counted, config, seen.at) if counted else None,
    )


def finding_document(finding: Finding) -> FindingDocument:
    """The document of a finding."""
    return FindingDocument(
        level=NAMES[finding.level],
        kind=finding.kind,
        text=finding.text,
        advice=finding.advice,
        target=finding.target,
        source=finding.source,
        route=finding.route,
        page=_page(finding),
    )


def _page(finding: Finding) -> str:
    if finding.kind is Kind.DEAD:
        return f"/deliveries?state=dead&target={quote(finding.target, safe='')}"
    if finding.target:
        return f"/targets/{quote(finding.target, safe='')}"
    return PAGES.get(finding.kind, "/")


OVERVIEW = Operation(
    name="overview",
    method="GET",
    path="/overview",
    role=Role.VIEWER,
    parameters=Everything,
    document=OverviewDocument,
    run=overview,
    summary="Say whether all is well, and what to do about each thing that is not.",
)
