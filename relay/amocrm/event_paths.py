"""Tree -> the paths of its events, and what belongs to none.

A foreign body must not become events that nobody sent, so a path counts as an event only in one of these cases:

    leads[add]…             amoCRM is known to send this action for this entity, with an index or without
    rockets[launched][0]    another word, if an index follows and all else under `rockets` has that shape
    add[0], launched[0]     no entity: a known action; another word only if the body has no plain values beside it
    leads[delete]=5         a deletion as amoCRM's page describes it: the fields are {"id": "5"}
"""

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from relay.amocrm.fields import is_index
from relay.amocrm.form import Tree
from relay.amocrm.vocabulary import ACTIONS, ACTIONS_OF, ENTITIES
from relay.model import Json

Path: TypeAlias = tuple[str, ...]
Found: TypeAlias = tuple[Path, str | None, str | None, Json]
"""Path, entity (None if the body does not name one), action (None: no event), and the node at that path."""

_NO_ACTIONS: frozenset[str] = frozenset()


def walk(tree: Tree) -> Iterator[Found]:
    """Yield everything in a tree that has no account block, in order; only an object can have an action."""
    shape: _Shape | None = None  # few bodies need it
    for name, branch in tree.items():
        if not isinstance(branch, (dict, list)):
            if branch is not None or not (name in ENTITIES or name == "account"):  # null there: an empty list
                yield (name,), None, None, branch
            continue
        known = ACTIONS_OF.get(name, _NO_ACTIONS)
        for key, child in _children(branch):
            if not isinstance(child, (dict, list)):
                yield from _plain(name, key, child, known)
            elif is_index(key):
                shape = shape or _Shape(tree)
                is_event = isinstance(child, dict) and (name in ACTIONS or (name not in ENTITIES and shape.of_all()))
                yield (name, key), None, name if is_event else None, child
            elif key not in known and not (shape := shape or _Shape(tree)).fits(name, branch, child):
                yield (name, key), None, None, child
            elif _is_item(child):
                yield (name, key), name, key, child
            else:
                for index, item in _children(child):
                    yield (name, key, index), name, key if isinstance(item, dict) else None, item


def _plain(name: str, key: str, node: Json, known: frozenset[str]) -> Iterator[Found]:
    if key not in known:
        yield (name, key), None, None, node
    elif key == "delete" and _is_id(node):
        yield (name, key), name, key, {"id": node}
    elif node is not None:  # null there: an empty list
        yield (name, key), None, None, node


class _Shape:
    """Decide whether unknown words stand where amoCRM would put them; each branch is inspected once."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._all: bool | None = None
        self._branch: Json = None

    def of_all(self) -> bool:
        """True if the body has no plain values beside its branches."""
        if self._all is None:
            self._all = all(isinstance(branch, (dict, list)) for branch in self._tree.values())
        return self._all

    def fits(self, name: str, branch: dict[str, Json] | list[Json], child: dict[str, Json] | list[Json]) -> bool:
        """True if everything under `name` looks like an action, known or indexed, and this child does."""
        if self._branch is not branch:
            self._branch = branch
            self._branch_fits = all(
                isinstance(node, (dict, list)) and (key in ACTIONS or is_index(key) or _is_indexed(node))
                for key, node in _children(branch)
            )
        return self._branch_fits and (_is_indexed(child) or name not in ENTITIES)


def _children(branch: dict[str, Json] | list[Json]) -> Iterable[tuple[str, Json]]:
    return branch.items() if isinstance(branch, dict) else ((str(index), item) for index, item in enumerate(branch))


def _is_indexed(node: dict[str, Json] | list[Json]) -> bool:
    return isinstance(node, list) or any(map(is_index, node))


def _is_item(branch: dict[str, Json] | list[Json]) -> bool:
    """True if the node of an action holds the fields itself: it has no indexes, and not only objects."""
    if isinstance(branch, list) or any(map(is_index, branch)):
        return False
    return not all(isinstance(child, dict) for child in branch.values())


def _is_id(node: Json) -> bool:
    return is_index(node) if isinstance(node, str) else type(node) is int and node > 0
