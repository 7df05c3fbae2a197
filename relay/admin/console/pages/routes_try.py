"""/routes/try -> a body, a sample or a stored event, and what each route says of it, or a draft; nothing is sent."""

import re

from aiohttp import web

from relay.admin.console.drafts import NONE, Draft
from relay.admin.console.forms import fields, posted
from relay.admin.console.page import ASKING, Page, ask, given, render
from relay.admin.console.pages.routes_diff import from_force, text_of
from relay.admin.console.pages.search import SHORTEST
from relay.amocrm import form, sample_bodies
from relay.errors import RelayError
from relay.operations.documents.routes import ExplanationDocument
from relay.operations.reading import parameters_of_query
from relay.operations.reloads import ROUTES, Nothing
from relay.operations.routes import EXPLAIN, Explain

ID = re.compile(rf"[0-9a-fA-F-]{{{SHORTEST},36}}")
"""Of a stored event or webhook, or a start of one: no body is written so."""


async def get(request: web.Request) -> web.Response:
    """Show the form, with a `sample` and a `draft` of the routes in it; with an `id` what becomes of that event."""
    query = given(request)
    draft = await from_force(request) if query.pop("draft", None) else NONE
    sample = query.pop("sample", [""])[0]
    if "id" in query:
        explained = await ask(request, EXPLAIN, parameters_of_query(Explain, query, now=request.app[ASKING].now()))
        return await _page(request, explained=explained, id=query["id"][0], body=query["id"][0], draft=draft)
    body = form.encode(sample_bodies.body(sample)).decode() if sample in sample_bodies.TYPES else ""
    return await _page(request, body=body, sample=sample, draft=draft)


async def explain(request: web.Request) -> web.Response:
    """Show what each route says of the body, or of the stored event whose id it is; what was sent stays in the form."""
    filled = await fields(request)
    body, source = filled.get("body", "").strip(), filled.get("source") or None
    draft = Draft(text=text_of(await posted(request)))
    given = (
        {"id": body.lower()}
        if ID.fullmatch(body)
        else {"body": body, "source": source, "query": filled.get("query", "")}
    )
    wanted = Explain(**given, text=draft.text or None)
    try:
        explained = await ask(request, EXPLAIN, wanted)
    except RelayError as error:
        return await _page(request, body=body, source=source, draft=draft, problem=str(error))
    return await _page(request, body=body, source=source, draft=draft, explained=explained)


async def _page(
    request: web.Request,
    *,
    explained: ExplanationDocument | None = None,
    body: str = "",
    source: str | None = None,
    id: str = "",  # noqa: A002  it is called so in the address
    sample: str = "",
    draft: Draft = NONE,
    problem: str = "",
) -> web.Response:
    return await render(
        request,
        "routes_try.html",
        explained=explained,
        body=body,
        source=source,
        id=id,
        sample=sample,
        draft=draft,
        problem=problem,
        sources=(await ask(request, ROUTES, Nothing())).sources,
        samples=sample_bodies.TYPES,
    )


PAGES = (
    Page(path="/routes/try", handler=get),
    Page(path="/routes/try", handler=explain, method="POST"),
)
