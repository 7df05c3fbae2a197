"""POST /purge: webhooks past their retention are deleted, with all that came of them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from relay.operations import ages
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.replays import PurgeDocument
from relay.operations.purge import chosen_ages, one_age, purge
from relay.operations.reading import Fault, InvalidParameters

Age = Annotated[str, Meta(pattern=ages.PATTERN)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """By the retention of the routes in force, or by one age: then of dead and unparsed ones only if they are named."""

    older_than: Annotated[Age | None, Meta(description="30d, 12h; else the retention.")] = None
    state: tuple[Literal["delivered", "dead", "unrouted", "unparsed"], ...] = ()
    dry_run: Annotated[bool, Meta(description="Only count.")] = False


async def purges(desk: Desk, asked: Purge) -> PurgeDocument:
    """Delete what is older and has nothing pending; what the routes name as archive is written before."""
    config = desk.config()
    chosen = chosen_ages(config.retention, asked.state)
    if asked.older_than is not None:
        try:
            desk.now() - (age := ages.age(asked.older_than))
            chosen = one_age(age, asked.state)
        except OverflowError:
            raise InvalidParameters(Fault(pointer="/older_than", detail="is too long ago")) from None
    counts = await purge(
        desk.store, chosen, by=desk.asker.name, now=desk.now(), archive=config.archive, dry_run=asked.dry_run,
        act_id=desk.act_id,
    )  # fmt: skip
    return PurgeDocument(dry_run=asked.dry_run, counts=dict(counts))


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
