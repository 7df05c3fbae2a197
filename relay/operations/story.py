"""GET /entities/{entity}/{id}/events, `relay story ENTITY ID`: one object -> its events by time, against targets."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from relay.amocrm.vocabulary import ENTITIES
from relay.operations import lookup
from relay.operations.asker import Role
from relay.operations.deliveries import situation_of
from relay.operations.desk import Desk, Operation
from relay.operations.documents.deliveries import NO_NAMES
from relay.operations.documents.events import StoryListing, story_event_document
from relay.operations.which import LOOK, Cursor, Limit
from relay.routes.diagnostics import quoted, suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """`entity`: leads, contacts, … `before`: the cursor of the page before."""

    entity: Annotated[str, Meta(description="leads, contacts, companies, …")]
    id: Annotated[str, Meta(description="Of the lead, contact, …")]
    limit: Limit = 50
    before: Cursor | None = None


async def story(desk: Desk, asked: Story) -> StoryListing:
    """List the events about one object, newest first, with the deliveries of each."""
    found = await desk.store.questions.story(
        asked.entity, asked.id, limit=asked.limit, before=asked.before, budget=LOOK
    )
    config = desk.config_or_none()
    names = lookup.names_in([each.event for each in found], config.event_names) if config else {}
    situation = await situation_of(desk)
    unknown = not found and asked.entity not in ENTITIES
    return StoryListing(
        entity=asked.entity,
        id=asked.id,
        targets=tuple(sorted({each.target for one in found for each in one.event.deliveries})),
        data=tuple(
            story_event_document(each, asked.entity, situation, names.get(each.event.id, NO_NAMES)) for each in found
        ),
        next=found.next,
        searched_to=found.searched_to,
        notes=(f"no entity {quoted(asked.entity)} {suggestion(asked.entity, sorted(ENTITIES))}",) if unknown else (),
    )


STORY = Operation(
    name="story",
    method="GET",
    path="/entities/{entity}/{id}/events",
    role=Role.VIEWER,
    parameters=Story,
    document=StoryListing,
    run=story,
    summary="List the events about one lead, contact, …, and what became of each at each target.",
)
