"""Tree of texts -> typed values: {"id": "7", "tags": {"0": {…}}} -> {"id": 7, "tags": [{…}]}.

Names decide what is a number, shapes what is a list. A value that fits no rule stays as received; nothing is dropped.
Recursion is safe: `form.decode` bounds the depth.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from types import MappingProxyType

from relay.amocrm import strict_json
from relay.amocrm.strict_json import MAX_INT
from relay.amocrm.vocabulary import NUMBERS
from relay.model import Json

_INDEXES = [str(index) for index in range(100)]


def fields(node: Mapping[str, Json]) -> dict[str, Json]:
    """Convert each field of an object; names and order stay."""
    return {
        key: (number(child) if _is_numeric(key) else child)
        if type(child) is str and key not in _RULES  # a shortcut for most fields: `value` gives the same
        else value(key, child)
        for key, child in node.items()
    }


def value(key: str, node: Json) -> Json:
    """Convert one field, by the rule for its name if there is one."""
    rule = _RULES.get(key)
    return _plain(key, node) if rule is None else rule(node)


def number(text: str) -> int | str:
    """The int, if it is written back as the same text; "007", "-1", "²" and 2^53 stay text."""
    if not (text.isdigit() and text.isascii()) or len(text) > 16 or (text[0] == "0" and text != "0"):
        return text
    exact = int(text)
    return exact if exact <= MAX_INT else text


def unused_name(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of `_name`, `__name`, … that is not taken."""
    while name in taken:
        name = f"_{name}"
    return name


def is_index(key: str) -> bool:
    """True for an index of a list: ASCII digits."""
    return key.isdigit() and key.isascii()


def _plain(key: str, node: Json) -> Json:
    if isinstance(node, str):
        return number(node) if _is_numeric(key) else node
    if isinstance(node, list):
        return [_plain(key, child) for child in node]
    if not isinstance(node, dict):
        return node
    if "0" in node and all(str(index) in node for index in range(len(node))):
        return [_plain(key, node[str(index)]) for index in range(len(node))]
    return fields(node)


@lru_cache(maxsize=2048)  # names repeat from webhook to webhook
def _is_numeric(key: str) -> bool:
    return key in NUMBERS or key.endswith(("_id", "_at"))


def _elements(node: Json) -> list[Json]:
    """The elements of a list: in order of index, then all fields without an index as one element."""
    if node is None:
        return []
    if not isinstance(node, dict):
        return node if isinstance(node, list) else [node]
    if [*node] == _INDEXES[: len(node)]:
        return [*node.values()]  # a shortcut for almost every list: what follows gives the same
    indexes = sorted(filter(is_index, node), key=int)
    beside = {key: child for key, child in node.items() if not is_index(key)}
    return [node[index] for index in indexes] + ([beside] if beside else [])


def _listed(key: str) -> Callable[[Json], Json]:
    def rule(node: Json) -> Json:
        return [fields(child) if isinstance(child, dict) else _plain(key, child) for child in _elements(node)]

    return rule


def _valued(node: Json) -> list[Json]:
    """Custom fields, and the values of one, as objects; a bare text becomes {"value": text}."""
    return [fields(child) if isinstance(child, dict) else {"value": child} for child in _elements(node)]


def _linked(node: Json) -> Json:
    """linked_leads_id[<id>][ID]=<id> as a list of ids; any other shape stays."""
    if node is None:
        return []
    if isinstance(node, dict) and all(child == {"ID": key} for key, child in node.items()):
        return [number(key) for key in node]
    return _plain("linked_leads_id", node)


def _metadata(node: Json) -> Json:
    """Parse a JSON text, if no number in it would be rounded; else keep the text."""
    if not isinstance(node, str) or node[:1] not in ("{", "["):
        return _plain("metadata", node)
    try:
        return strict_json.parse(node)
    except ValueError:
        return node


_RULES: Mapping[str, Callable[[Json], Json]] = MappingProxyType(
    {
        "custom_fields": _valued,
        "linked_leads_id": _linked,
        "metadata": _metadata,
        "reviews": _listed("reviews"),
        "tags": _listed("tags"),
        "values": _valued,
    }
)
