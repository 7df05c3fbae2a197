"""A document of the event stream -> its rendering, cached by identity: made once for all followers."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from relay.observe.event_stream import Document

T = TypeVar("T")

MOST_KEPT = 1_000


class MadeOnce(Generic[T]):
    """What was made of the last documents. Followers get the same objects, so that a document stands for what it is."""

    def __init__(self, make: Callable[[Document], T]) -> None:
        self._make = make
        self._made: OrderedDict[int, tuple[Document, T]] = OrderedDict()

    def __call__(self, document: Document) -> T:
        """What is made of it."""
        if (kept := self._made.get(id(document))) and kept[0] is document:
            return kept[1]
        made = self._make(document)
        self._made[id(document)] = document, made  # it holds the document, so that no other one gets its id
        if len(self._made) > MOST_KEPT:
            self._made.popitem(last=False)
        return made
