"""GET /targets/{target}/settings: a target's name -> how it is delivered to, as the routes in force say."""

from relay.errors import NotFoundError
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.target_settings import TargetSettingsDocument, target_settings_document
from relay.operations.status import OneTarget
from relay.routes.diagnostics import quoted, suggestion


async def target_settings(desk: Desk, asked: OneTarget) -> TargetSettingsDocument:
    """Show them without secrets; NotFoundError for a name that the routes in force do not have."""
    config = desk.config()
    if (target := config.targets.get(asked.target)) is None:
        raise NotFoundError(f"no target {quoted(asked.target)} {suggestion(asked.target, sorted(config.targets))}")
    return target_settings_document(target, config.url_as_written(target.name))


TARGET_SETTINGS = Operation(
    name="target_settings",
    method="GET",
    path="/targets/{target}/settings",
    role=Role.VIEWER,
    parameters=OneTarget,
    document=TargetSettingsDocument,
    run=target_settings,
    summary="Show where and how a target is delivered to, without secrets.",
)
