"""A webhook's body -> what a page shows of it: as it came, and as a tree, both cut where they are long."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from relay.amocrm import form
from relay.errors import UnreadableError
from relay.operations.documents.webhooks import WebhookDocument
from relay.operations.masking import MASK

MOST = 64 * 1024
"""Characters that a page shows of one text; the rest is for a download."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text to show; `cut`: it is only the start."""

    text: str
    cut: bool = False


def text(whole: str) -> Text:
    """The text, or its start."""
    return Text(text=whole[:MOST], cut=len(whole) > MOST)


def is_masked(webhook: WebhookDocument) -> bool:
    """True for askers who do not see what came."""
    return MASK in (webhook.body, webhook.body_base64)


def as_it_came(webhook: WebhookDocument) -> Text:
    """The body; bytes that are no UTF-8 are replacement characters."""
    return text(MASK if is_masked(webhook) else webhook.bytes_of_body().decode("utf-8", "replace"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The fields of a body, indented; or `unreadable`: why there are none. `host`: of the account it came from."""

    shown: Text
    unreadable: str = ""
    host: str = ""


def as_tree(webhook: WebhookDocument) -> Tree:
    """Decode the body; with megabytes that takes a while."""
    if is_masked(webhook):
        return Tree(shown=Text(text=MASK))
    try:
        tree = form.decode(webhook.bytes_of_body(), webhook.content_type)
    except UnreadableError as error:
        return Tree(shown=Text(text=""), unreadable=str(error))
    return Tree(shown=text(orjson.dumps(tree, option=orjson.OPT_INDENT_2).decode()), host=_host(tree))


def _host(tree: Mapping[str, Any]) -> str:
    """`account[_links][self]=https://example.amocrm.ru` -> `example.amocrm.ru`."""
    found: Any = tree
    for name in ("account", "_links", "self"):
        found = found.get(name) if isinstance(found, Mapping) else None
    return found.partition("://")[2].partition("/")[0] if isinstance(found, str) else ""
