"""GET /routes, POST /reload: the routes in force, and their files loaded again."""

import asyncio
from dataclasses import dataclass, replace

from relay.errors import ConflictError, StoreError
from relay.model.notify import Kind
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.routes import (
    NotifyDocument,
    ReloadDocument,
    RouteDocument,
    RoutesDocument,
    RouteWarningDocument,
)
from relay.routes import lint
from relay.routes.config import Config
from relay.routes.redaction import RedactedLines
from relay.signals import Reloaded


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """Nothing to choose."""


async def routes(desk: Desk, _asked: Nothing) -> RoutesDocument:
    """Show the routes in force, without secrets."""
    config = desk.config()
    return RoutesDocument(
        file=config.file,
        etag=config.digest,
        sources=tuple(config.sources),
        targets=tuple(config.targets),
        routes=tuple(
            RouteDocument(
                name=each.name,
                line=each.line,
                targets=tuple(each.targets),
                otherwise=each.otherwise,
                unparsed=each.unparsed,
                stopped=each.stopped or "",
            )
            for each in config.routes
        ),
        warnings=await asyncio.to_thread(_warnings, config),
        text="\n".join(await asyncio.to_thread(RedactedLines, config.text)),
        notify=tuple(
            NotifyDocument(
                receiver=each.name,
                name=each.installation or "",
                kinds=tuple(kind.value for kind in Kind if kind in each.kinds),
                language=each.language.value,
            )
            for each in config.notify
        ),
    )


def _warnings(config: Config) -> tuple[RouteWarningDocument, ...]:
    return tuple(
        RouteWarningDocument(line=each.line, column=each.column, path=each.path, message=each.message)
        for each in lint.warnings(config)
    )


async def reload(desk: Desk, _asked: Nothing) -> ReloadDocument:
    """Load the files again; ConflictError with every problem if they cannot be used: what was in force stays."""
    result = await load(desk)
    if problems := [*result.problems, *result.certificate_problems, *result.access_problems]:
        raise ConflictError("\n".join(problems))
    return ReloadDocument(activated=tuple(result.activated), warnings=tuple(result.warnings))


async def load(desk: Desk) -> Reloaded:
    """Load the files again, an act also if only some can be used. A store that is away does not prevent it."""
    if desk.reload is None:
        raise ConflictError("no relay runs here that could load its files again")
    result = await desk.reload()
    problems = (*result.problems, *result.certificate_problems, *result.access_problems)
    if problems and not result.activated:
        return result
    try:
        await desk.store.record_audit(desk.act("reload", {}), 1)
    except StoreError as error:
        return replace(result, warnings=(*result.warnings, f"loaded, but not in the audit: {error}"))
    return result


ROUTES = Operation(
    name="routes",
    method="GET",
    path="/routes",
    role=Role.VIEWER,
    parameters=Nothing,
    document=RoutesDocument,
    run=routes,
    summary="Show the routes in force; their ETag is the same for the same file.",
)

RELOAD = Operation(
    name="reload",
    method="POST",
    path="/reload",
    role=Role.OPERATOR,
    parameters=Nothing,
    document=ReloadDocument,
    run=reload,
    summary="Load the routes file and the others again.",
)
