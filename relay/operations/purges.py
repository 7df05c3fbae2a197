"""POST /purge: webhooks past their retention are deleted, with all that came of them."""

from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from relay.operations import ages
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.replays import PurgeDocument
from relay.operations.purge import Ages, chosen_ages, one_age, purge
from relay.operations.reading import Fault, InvalidParameters
from relay.routes.config import Config

Age = Annotated[str, Meta(pattern=ages.PATTERN)]
State: TypeAlias = Literal["delivered", "dead", "unrouted", "unparsed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """By the retention of the routes in force, or by one age: then of dead and unparsed ones only if they are named."""

    older_than: Annotated[Age | None, Meta(description="30d, 12h; else the retention.")] = None
    state: tuple[State, ...] = ()
    dry_run: Annotated[bool, Meta(description="Only count.")] = False


async def purges(desk: Desk, asked: Purge) -> PurgeDocument:
    """Delete what is older and has nothing pending; what the routes name as archive is written before.

    By an age it works without a routes file.
    """
    config = desk.config() if asked.older_than is None else desk.config_if_any()
    counts = await purge(
        desk.store,
        _ages(desk, asked, config),
        by=desk.asker.name,
        now=desk.now(),
        archive=desk.archive or (config.archive if config else None),
        dry_run=asked.dry_run,
        act_id=desk.act_id,
    )
    return PurgeDocument(dry_run=asked.dry_run, counts=dict(counts))


def _ages(desk: Desk, asked: Purge, config: Config | None) -> Ages:
    if asked.older_than is None:
        return chosen_ages(config.retention, asked.state) if config else {}
    try:
        desk.now() - (age := ages.age(asked.older_than))
    except OverflowError:
        raise InvalidParameters(Fault(pointer="/older_than", detail="is too long ago")) from None
    return one_age(age, asked.state)


PURGE = Operation(
    name="purge",
    method="POST",
    path="/purge",
    role=Role.OPERATOR,
    parameters=Purge,
    document=PurgeDocument,
    run=purges,
    summary="Delete webhooks past their retention.",
    long=True,
)
