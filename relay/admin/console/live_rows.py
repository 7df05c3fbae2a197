"""Documents of the event stream -> rows of a table, each made once for a language however many follow."""

from collections import OrderedDict

from aiohttp import web
from jinja2 import Environment

from relay.admin.console.languages import language
from relay.observe.event_stream import Document

MOST_KEPT = 1_000


class LiveRows:
    """The rows that were made last. Followers get the same documents, so that a document stands for its row."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._made: OrderedDict[tuple[int, str], tuple[Document, str]] = OrderedDict()

    def html(self, document: Document) -> str:
        """The row of a document, in the language of the request."""
        key = id(document), language()
        if (kept := self._made.get(key)) and kept[0] is document:
            return kept[1]
        row = self._environment.get_template("live_row.html").render(each=document)
        self._made[key] = document, row  # it holds the document, so that no other one gets its id
        if len(self._made) > MOST_KEPT:
            self._made.popitem(last=False)
        return row


ROWS = web.AppKey("live rows", LiveRows)
