"""All pages -> routes of the private listener, with their templates and the headers of every answer to a browser."""

import aiohttp_jinja2
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware
from jinja2 import Environment, PackageLoader, StrictUndefined

from relay.admin.api.asking import Asking
from relay.admin.auth import ASKER, Pages
from relay.admin.console import filters, languages, problems
from relay.admin.console.compiled import Compiled, in_memory
from relay.admin.console.confirmed import CONFIRMED, Confirmed
from relay.admin.console.figures import age_word, number
from relay.admin.console.finding_words import finding_advice, finding_title
from relay.admin.console.headers import HEADERS
from relay.admin.console.languages import gettext, ngettext
from relay.admin.console.live_rows import ROWS, LiveRows
from relay.admin.console.moments import moment_of
from relay.admin.console.page import ASKING, SESSIONS, WAITING, link, new_key
from relay.admin.console.pages.overview import LATEST
from relay.admin.console.sentences import said, said_of_file
from relay.admin.console.session import Sessions
from relay.admin.console.site import PAGES, navigation
from relay.admin.console.static import CANONICAL, ICON, PATH, Static
from relay.admin.console.streams import LIVE, Live
from relay.admin.console.waiting import Waiting
from relay.admin.console.words import (
    COMMANDS,
    about_word,
    act_word,
    action_word,
    detail_name,
    detail_word,
    entity_word,
    filter_name,
    filter_word,
    only_word,
    state_kind,
    state_word,
    type_word,
    who_word,
)
from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.observe import EventStream
from relay.operations.failing import how_it_fails

NO_STORE = "no-store"


class Console:
    """The pages, for `relay.admin.app`. They ask by `asking`, as the API does; what happens comes by `stream`.

    `sessions`: where tokens are demanded. Each answer to somebody who has logged in may renew the cookie.
    """

    def __init__(self, asking: Asking, stream: EventStream, sessions: Sessions | None = None) -> None:
        self._asking = asking
        self._sessions = sessions
        self._stream = stream
        self._static = Static()
        self._waiting = Waiting(asking)
        self.pages = Pages(
            of_askers=frozenset(each.path for each in PAGES if not each.public),
            public=frozenset({CANONICAL, ICON, *(each.path for each in PAGES if each.public)}),
            session=sessions.session if sessions else None,
        )

    def add_to(self, app: web.Application) -> None:
        """Add the routes, and the environment of the templates."""
        app[ASKING], app[LIVE], app[WAITING] = self._asking, Live(self._stream), self._waiting
        app.on_cleanup.append(self._waiting.close)
        if self._sessions:
            app[SESSIONS] = self._sessions
        environment = _environment(app, self._static)
        app[ROWS] = LiveRows(environment)
        app[LATEST] = {}
        app[CONFIRMED] = Confirmed(self._asking.failed)
        self._compiled = Compiled(environment)
        app.add_routes([web.get(PATH, self._static.get), web.get(ICON, self._static.icon)])
        app.add_routes([web.route(each.method, each.path, each.handler) for each in PAGES])

    @property
    def middleware(self) -> Middleware:
        """Answer with pages where a browser asks for one, refusals too, and put the headers on each."""

        @web.middleware
        async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not (self.pages.includes(request) or problems.is_lost_browser(request)):
                return await handler(request)
            await self._compiled.ready()
            languages.speak(languages.choose(request))
            response = await problems.answer(request, handler)
            if not response.prepared:  # a stream puts its headers itself
                if ASKER in request:
                    self._waiting.look(request[ASKER])
                response.headers.update(HEADERS)
                response.headers.setdefault(hdrs.CACHE_CONTROL, NO_STORE)
                if self._sessions and not response.cookies and response.headers[hdrs.CACHE_CONTROL] == NO_STORE:
                    self._sessions.renew(request, response)
            return response

        return check


def _environment(app: web.Application, static: Static) -> Environment:
    """The templates, with the filters and functions that they use."""
    environment = aiohttp_jinja2.setup(
        app,
        loader=PackageLoader("relay.admin.console"),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        bytecode_cache=in_memory(),
        auto_reload=False,
        finalize=filters.harmless,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        age=filters.age,
        count=filters.count,
        how_it_fails=how_it_fails,
        instant=filters.instant,
        json=filters.json,
        number=number,
        said=said,
        said_of_file=said_of_file,
        size=filters.size,
        span=filters.span,
        type=type_word,
        utc=filters.utc,
    )
    environment.install_gettext_callables(gettext, ngettext, newstyle=True)  # type: ignore[attr-defined]
    environment.globals.update(
        actions=sorted(ACTIONS),
        commands=COMMANDS,
        entities=sorted(ENTITIES),
        act_word=act_word,
        age_word=age_word,
        about_word=about_word,
        action_word=action_word,
        link=link,
        navigation=navigation,
        entity_word=entity_word,
        detail_name=detail_name,
        detail_word=detail_word,
        filter_name=filter_name,
        filter_word=filter_word,
        moment_of=moment_of,
        who_word=who_word,
        new_key=new_key,
        only_word=only_word,
        said=said,
        finding_advice=finding_advice,
        finding_title=finding_title,
        state_kind=state_kind,
        state_word=state_word,
        static_url=static.url,
    )
    return environment
