"""Documents of the event stream -> rows of a table, each made once for a language."""

from functools import cache

from aiohttp import web
from jinja2 import Environment

from relay.admin.console.languages import language
from relay.admin.made_once import MadeOnce
from relay.observe.event_stream import Document


class LiveRows:
    """The rows that were made last, in each language that somebody followed in."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._in = cache(lambda _language: MadeOnce(self._row))

    def html(self, document: Document) -> str:
        """The row of a document, in the language of the request."""
        return self._in(language())(document)

    def _row(self, document: Document) -> str:
        return self._environment.get_template("live_row.html").render(each=document)


ROWS = web.AppKey("live rows", LiveRows)
