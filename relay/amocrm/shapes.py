"""Form bytes -> [Event]; in a third of the time, if bodies with the same keys in the same order came before.

form.py and events.py define what a body means. Where they put the values of a form depends on its keys alone, with few
exceptions (see `_keys_decide`). A shape is that arrangement. It is found by reading numbered values in place of the
real ones, and makes of any other values what form.py and events.py would.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from operator import itemgetter
from sys import getsizeof
from typing import TypeAlias

from relay.amocrm import events, form, pairs
from relay.amocrm.fields import number
from relay.amocrm.form import Tree
from relay.amocrm.vocabulary import ACTIONS_OF
from relay.errors import UnreadableError
from relay.model import Event, Json, frozen

LEARNED_AT = 8
"""The body with whose keys a shape is learned: that takes as long as reading a few."""
MAX_COUNTED = 4_096
"""Sequences of keys that are counted at a time."""
MAX_NUMBERS = 4_096
"""Numbers whose conversion is kept at a time."""
LONGEST_KEPT = 9
"""Digits of a number that may come again: times have ten."""
MAX_KEYS = 256
"""Pairs of a body that is worth a shape."""
MAX_SIZE = 6_000_000
"""Bytes of all shapes, about; then all are forgotten."""

_FIRST = 1_000_000_000  # of the numbered values
_NODE_SIZE = 500  # bytes
_VALUES_DECIDE = ("metadata", "linked_leads_id")

Keys: TypeAlias = tuple[str, ...]
Pick: TypeAlias = Callable[[list[Json]], Sequence[Json]]


class BodyReader:
    """Reads bodies and learns their shapes. Threads may share one."""

    def __init__(self, *, learned_at: int = LEARNED_AT) -> None:
        self.size = 0
        self._learned_at = learned_at
        self._shapes: dict[Keys, _Shape] = {}
        self._numbers = _Numbers()
        self._counts: dict[int, int] = {}  # by hash: a collision costs nothing but time

    def read(
        self,
        body: bytes,
        content_type: str,
        *,
        source: str,
        received_at: datetime,
        new_id: Callable[[], str],
        query: str = "",
    ) -> list[Event]:
        """The events of a body, as `events.read` says; UnreadableError says why there are none."""
        if found := pairs.split(body):
            keys, texts = tuple(found[0]), found[1]
            shape = self._shapes.get(keys)
            if shape and not (shape.contact_types and shape.is_of_companies(texts)):
                return shape.arrange(
                    texts, self._numbers, source=source, received_at=received_at, new_id=new_id, query=query
                )
            tree = form.tree_of(keys, texts)
            self._count(keys)
        else:
            tree = form.decode(body, content_type)
        return events.read(tree, source=source, received_at=received_at, new_id=new_id, query=query)

    def _count(self, keys: Keys) -> None:
        if len(self._counts) >= MAX_COUNTED:
            self._counts.clear()
        name = hash(keys)
        self._counts[name] = times = self._counts.get(name, 0) + 1
        if times == self._learned_at and len(keys) <= MAX_KEYS and (shape := _learned(keys)):
            size = 2 * sum(map(getsizeof, keys)) + len(shape.nodes) * _NODE_SIZE  # twice: the nodes have the names
            if self.size + size > MAX_SIZE:
                self._shapes, self._counts, self.size = {}, {}, 0
            self._shapes[keys] = shape
            self.size += size


@frozen
class _Shape:
    """How the events of one sequence of keys are made of the values.

    Each node is appended to the values, so that it is a value of those that follow: its names, None for a list, and
    what picks its children. `account` and `items` say where account and data are in the end.
    """

    numbers: tuple[int, ...]
    nodes: tuple[tuple[Sequence[str] | None, Pick], ...]
    account: int
    items: tuple[tuple[str, str, int], ...]
    contact_types: tuple[int, ...]

    def is_of_companies(self, texts: Sequence[str]) -> bool:
        """True if some contact is a company, an entity of its own."""
        return any(texts[at] == "company" for at in self.contact_types)

    def arrange(
        self,
        values: list[Json],
        numbers: Mapping[str, Json],
        *,
        source: str,
        received_at: datetime,
        new_id: Callable[[], str],
        query: str,
    ) -> list[Event]:
        """The events of texts, which are replaced by what `numbers` says and by the nodes."""
        for at in self.numbers:
            values[at] = numbers[values[at]]
        for names, pick in self.nodes:
            # not strict, which takes a third of the time of this line: there are as many
            values.append([*pick(values)] if names is None else dict(zip(names, pick(values))))  # noqa: B905
        account = values[self.account]
        events.check_size(account)
        parts = [(entity, action, values[at]) for entity, action, at in self.items]
        return events.made_of(
            parts, account=account, source=source, received_at=received_at, new_id=new_id, query=query
        )


class _Numbers(dict[str, int | str]):
    """Text -> `number` of it. A look-up takes half the time, and ids repeat from webhook to webhook; times do not."""

    def __missing__(self, text: str) -> int | str:
        found = number(text)
        if len(text) <= LONGEST_KEPT:
            if len(self) >= MAX_NUMBERS:
                self.clear()
            self[text] = found
        return found


def _learned(keys: Keys) -> _Shape | None:
    """The shape of a sequence of keys; None if it has none, or no events."""
    try:
        tree = form.tree_of(keys, [str(_FIRST + at) for at in range(len(keys))])
        if not _keys_decide(keys, tree):
            return None
        found = events.read(tree, source="", received_at=datetime.fromtimestamp(0, UTC), new_id=str)
    except UnreadableError:
        return None
    parts = _Parts(len(keys))
    return _Shape(
        account=parts.place(found[0].account),
        items=tuple((event.entity, event.action, parts.place(event.data)) for event in found),
        numbers=tuple(parts.numbers),
        nodes=tuple(parts.nodes),
        contact_types=tuple(
            at for at, key in enumerate(keys) if key.startswith("contacts[") and key.endswith("[type]")
        ),
    )


def _keys_decide(keys: Keys, tree: Tree) -> bool:
    """True if events of these keys differ in their values alone, unless a contact is a company.

    A value says more where it may be JSON, where it may equal its key, in leads[delete]=7, and where the body names no
    entity, as a widget's call.
    """
    return not any(name in key for key in keys for name in _VALUES_DECIDE) and all(
        isinstance(branch, dict)
        and (name == "account" or (name in ACTIONS_OF and all(isinstance(child, dict) for child in branch.values())))
        for name, branch in tree.items()
    )


class _Parts:
    """Takes apart what was made of numbered values."""

    def __init__(self, count: int) -> None:
        self.numbers: list[int] = []
        self.nodes: list[tuple[Sequence[str] | None, Pick]] = []
        self._count = count

    def place(self, node: Json) -> int:
        """Where a node is among the values, after its children."""
        match node:
            case Mapping():
                return self._append(tuple(node), [self.place(child) for child in node.values()])
            case list():
                return self._append(None, [self.place(child) for child in node])
            case int():
                self.numbers.append(node - _FIRST)
        return int(node) - _FIRST

    def _append(self, names: Sequence[str] | None, places: Sequence[int]) -> int:
        self.nodes.append((names, _pick(places)))
        return self._count + len(self.nodes) - 1


def _pick(places: Sequence[int]) -> Pick:
    start = places[0] if places else 0
    if [*places] == [*range(start, start + len(places))]:
        return itemgetter(slice(start, start + len(places)))  # which is faster, and for one value gives a list, too
    return itemgetter(*places)
