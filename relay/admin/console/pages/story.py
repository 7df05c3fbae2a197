"""/leads/{id}, /contacts/{id}, … -> the story of one object: its events by time, against the targets."""

from functools import partial

from aiohttp import web

from relay.admin.console.page import Page, ask, asked, given, render
from relay.amocrm.vocabulary import ENTITIES
from relay.operations.story import STORY, Story


async def get(request: web.Request, entity: str) -> web.Response:
    """Show the events of one object, newest first."""
    id_ = request.match_info["id"]
    found = await ask(request, STORY, asked(request, Story, entity=entity, id=id_))
    return await render(request, "story.html", found=found, entity=entity, id=id_, query=given(request))


PAGES = tuple(Page(path=f"/{entity}/{{id}}", handler=partial(get, entity=entity)) for entity in sorted(ENTITIES))
