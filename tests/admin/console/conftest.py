"""The console before a real store with something of everything, asked by HTTP as a browser without JavaScript does."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from aiohttp import ClientResponse, web
from prometheus_client import CollectorRegistry

from relay.admin.api.asking import Asking
from relay.admin.api.routes import Api
from relay.admin.app import admin
from relay.admin.console import languages
from relay.admin.console.console import Console
from relay.observe import EventStream
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.api.conftest import BEARERS as BEARERS
from tests.admin.api.conftest import OPERATOR as OPERATOR
from tests.admin.api.conftest import VIEWER as VIEWER
from tests.admin.api.conftest import Client as Client
from tests.admin.api.conftest import _reload, ready
from tests.admin.api.conftest import live as live
from tests.cli.conftest import folder as folder
from tests.operations.conftest import config as config
from tests.operations.conftest import store as store

FOLLOWED = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture
def build(store: Archive, config: Config, live: EventStream) -> Callable[..., web.Application]:
    """The listener; `build(bearers=BEARERS)` demands a token, `build(asking=…)` asks something else."""

    def built(
        *,
        asking: Asking | None = None,
        consoles: Callable[[Asking, EventStream], Console] = Console,
        **more: Any,
    ) -> web.Application:
        asking = asking or Asking(store, lambda: config, reload=_reload)
        settings = {
            "registry": CollectorRegistry(),
            "refresh": ready,
            "unready": ready,
            "store_unready": ready,
            "reload": _reload,
            "stream": live,
            "api": Api(asking),
            "console": consoles(asking, live),
            "emit": lambda _signal: None,
        }
        return admin(**settings | more)

    return built


@pytest.fixture
async def browser(
    build: Callable[..., web.Application], aiohttp_client: Callable[..., Awaitable[Client]]
) -> AsyncIterator[Client]:
    """A browser on the machine of a relay that has no tokens: it is an operator's."""
    yield await aiohttp_client(build(), headers=FOLLOWED)


@pytest.fixture
async def guarded(
    build: Callable[..., web.Application], aiohttp_client: Callable[..., Awaitable[Client]]
) -> AsyncIterator[Client]:
    """A client of a relay with tokens; it shows none by itself."""
    yield await aiohttp_client(build(bearers=BEARERS))


async def see(client: Client, path: str, **more: Any) -> "Seen":
    """Open a page that is there."""
    answer = await client.get(path, **more)
    assert answer.status == 200, await answer.text()
    return Seen(await answer.text())


class Seen(HTMLParser):
    """A page as it is read: the text of it, its links and its forms with the fields that they send."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.source = text
        self.words: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.forms: list[dict[str, Any]] = []
        self.feed(text)

    @property
    def text(self) -> str:
        """What is read, blanks as one."""
        return " ".join(" ".join(self.words).split())

    def form(self, action: str) -> dict[str, str]:
        """The fields of the form that goes there."""
        [found] = [each for each in self.forms if each["action"] == action]
        return dict(found["fields"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        if tag == "a" and given.get("href"):
            self.links.append(str(given["href"]))
        elif tag == "form":
            self.forms.append({"action": given.get("action"), "method": given.get("method", "get"), "fields": {}})
        elif tag == "button" and given.get("formaction"):  # the same fields for another address
            self.forms.append(self.forms[-1] | {"action": given["formaction"]})
        elif tag == "input" and self.forms and given.get("name"):
            self.forms[-1]["fields"][given["name"]] = given.get("value") or ""

    def handle_data(self, data: str) -> None:
        self.words.append(data)


async def send(client: Client, seen: Seen, action: str, **filled: str) -> ClientResponse:
    """Send a form of a page, filled in, and follow nothing."""
    return await client.post(action, data=seen.form(action) | filled, allow_redirects=False)


async def sent(client: Client, seen: Seen, action: str, **filled: str) -> Seen:
    """The same, and see the page that it leads to."""
    answer = await send(client, seen, action, **filled)
    assert answer.status == 303, await answer.text()
    return await see(client, answer.headers["Location"])


@pytest.fixture
def russian() -> Iterator[None]:
    before = languages.language()
    languages.speak("ru")
    yield
    languages.speak(before)
