"""All pages -> routes of the private listener, with their templates and the headers of every answer to a browser."""

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler, Middleware

from relay.admin.api.asking import Asking
from relay.admin.auth import ASKER, Pages
from relay.admin.console import languages, problems
from relay.admin.console.compiled import Compiled, in_memory
from relay.admin.console.confirmed import CONFIRMED, Confirmed
from relay.admin.console.environment import set_up
from relay.admin.console.headers import HEADERS
from relay.admin.console.live_rows import ROWS, LiveRows
from relay.admin.console.page import ASKING, SESSIONS, WAITING
from relay.admin.console.pages.overview import LATEST
from relay.admin.console.session import Sessions
from relay.admin.console.site import PAGES
from relay.admin.console.static import CANONICAL, ICON, PATH, Static
from relay.admin.console.streams import LIVE, Live
from relay.admin.console.waiting import Waiting
from relay.observe import EventStream

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
        memory = in_memory()
        environment = set_up(app, self._static, memory)
        app[ROWS] = LiveRows(environment)
        app[LATEST] = {}
        app[CONFIRMED] = Confirmed(self._asking.failed)
        self._compiled = Compiled(environment, memory)
        app.on_cleanup.append(self._compiled.close)
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
