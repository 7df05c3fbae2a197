"""Document -> values, one conversion at a time; a value that does not convert becomes a problem at its place."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from relay.model import Json
from relay.routes.diagnostics import Problems, Unfit, Where, quoted, suggestion
from relay.routes.yaml_document import Document

T = TypeVar("T")

OnOpen: TypeAlias = Callable[[Path], object]
"""Called with each file before it is opened."""


class Reader:
    """Reads a document that was checked against the schema; skips values that already have a problem.

    `stand_ins`: files that only requests need may be missing.
    """

    def __init__(
        self, document: Document, problems: Problems, on_open: OnOpen, *, stand_ins: bool = False, sealed: bool = False
    ) -> None:
        self.document = document
        self.problems = problems
        self.on_open = on_open
        self.stand_ins = stand_ins
        self.sealed = sealed  # no file that the text names is looked at

    def take(self, where: Where, convert: Callable[[Any], T], default: T) -> T:
        """The converted value at `where`; `default` if there is none or it does not convert."""
        if not self.sound(where):
            return default
        try:
            return convert(self.document.at(where))
        except Unfit as unfit:
            self.wrong(where, f"{unfit}{self.document.hint(where)}")
            return default

    def each(self, where: Where, convert: Callable[[Any], T]) -> tuple[T, ...]:
        """The converted items of the list at `where`; a single value counts as a list of one."""
        if not self.document.has(where) or not isinstance(self.document.at(where), list):
            places = [where]
        else:
            places = [(*where, index) for index in range(len(self.document.at(where)))]
        return tuple(value for place in places for value in self._taken(place, convert))

    def _taken(self, where: Where, convert: Callable[[Any], T]) -> tuple[T, ...]:
        nothing: tuple[T, ...] = ()
        return self.take(where, lambda value: (convert(value),), nothing)

    def keys(self, where: Where) -> list[str]:
        """The keys of the mapping at `where`, in file order; none if it is no mapping."""
        return list(self._of_type(where, dict))

    def one_of_keys(self, kind: str, where: Where) -> Callable[[str], str]:
        """See `one_of`: the keys of the mapping at `where` are the names."""
        return one_of(kind, self.keys(where))

    def places(self, where: Where) -> list[Where]:
        """The places of the items of the list at `where`; none if it is no list."""
        return [(*where, index) for index in range(len(self._of_type(where, list)))]

    def sound(self, where: Where) -> bool:
        """True if the file has a value at `where` without a problem so far."""
        return self.document.has(where) and not self.problems.touch(where)

    def wrong(self, where: Where, message: str) -> None:
        """Add a problem."""
        self.problems.add(where, self.document.mark(where), message)

    def _of_type(self, where: Where, kind: type) -> Json:
        value = self.document.at(where) if self.document.has(where) else None
        return value if isinstance(value, kind) else kind()


def one_of(kind: str, names: Collection[str]) -> Callable[[str], str]:
    """A conversion that accepts only these names; any name if there are none, since that is a problem already noted."""
    known = dict.fromkeys(names)

    def name(text: str) -> str:
        if known and text not in known:
            raise Unfit(f"no {kind} {quoted(text)} {suggestion(text, known)}")
        return text

    return name
