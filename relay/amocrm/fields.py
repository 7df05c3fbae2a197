"""Tree of texts -> typed values: {"id": "7", "tags": {"0": {…}}} -> {"id": 7, "tags": [{…}]}.

Names decide what is a number, shapes what is a list. Whatever fits no rule stays as it came; nothing is left out.
Recursion is safe: `form.decode` bounds the depth.
"""

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from types import MappingProxyType

from relay.amocrm import strict_json
from relay.amocrm.strict_json import MAX_INT
from relay.model import Json

_NUMBERS = frozenset(
    {
        "ID",
        "complete_before",
        "created_by",
        "date",
        "date_create",
        "date_modify",
        "datetime",
        "element_type",
        "enum",
        "id",
        "last_modified",
        "main_user",
        "modified_by",
        "next_price",
        "note_type",
        "price",
        "rate",
        "task_type",
        "time",
        # accept_result[leads][0]=<id>
        "companies",
        "contacts",
        "customers",
        "leads",
    }
)


def fields(node: Mapping[str, Json]) -> dict[str, Json]:
    """Each field of an object under its own name, in order."""
    return {
        key: (_number(child) if _is_numeric(key) else child)
        if type(child) is str and key not in _RULES  # most are; `value` would come to the same
        else value(key, child)
        for key, child in node.items()
    }


def value(key: str, node: Json) -> Json:
    """What arrived under `key`, by the rule for that name if there is one."""
    rule = _RULES.get(key)
    return _plain(key, node) if rule is None else rule(node)


def free(name: str, taken: Collection[str]) -> str:
    """`name`, or the first of `_name`, `__name`, … that nothing has yet."""
    while name in taken:
        name = f"_{name}"
    return name


def is_index(key: str) -> bool:
    """Whether `key` is what stands in the brackets of a list: ASCII digits."""
    return key.isdigit() and key.isascii()


def _plain(key: str, node: Json) -> Json:
    if isinstance(node, str):
        return _number(node) if _is_numeric(key) else node
    if isinstance(node, list):
        return [_plain(key, child) for child in node]
    if not isinstance(node, dict):
        return node
    if "0" in node and all(str(index) in node for index in range(len(node))):
        return [_plain(key, node[str(index)]) for index in range(len(node))]
    return fields(node)


@lru_cache(maxsize=2048)  # names repeat from webhook to webhook
def _is_numeric(key: str) -> bool:
    return key in _NUMBERS or key.endswith(("_id", "_at"))


def _number(text: str) -> int | str:
    """An int where writing it back gives the same text; "007", "-1", "²" and 2^53 stay text."""
    if not (text.isdigit() and text.isascii()) or len(text) > 16 or (text[0] == "0" and text != "0"):
        return text
    number = int(text)
    return number if number <= MAX_INT else text


def _elements(node: Json) -> list[Json]:
    """The elements of what is a list by its name: in order of index, then what stood beside the indexes as one."""
    if node is None:
        return []
    if not isinstance(node, dict):
        return node if isinstance(node, list) else [node]
    indexes = sorted(filter(is_index, node), key=int)
    beside = {key: child for key, child in node.items() if not is_index(key)}
    return [node[index] for index in indexes] + ([beside] if beside else [])


def _listed(key: str) -> Callable[[Json], Json]:
    def rule(node: Json) -> Json:
        return [fields(child) if isinstance(child, dict) else _plain(key, child) for child in _elements(node)]

    return rule


def _valued(node: Json) -> list[Json]:
    """Custom fields, and the values of one, as objects; a bare text is the `value` of one."""
    return [fields(child) if isinstance(child, dict) else {"value": child} for child in _elements(node)]


def _linked(node: Json) -> Json:
    """linked_leads_id[<id>][ID]=<id> as a list of ids; anything that says more keeps its shape."""
    if node is None:
        return []
    if isinstance(node, dict) and all(child == {"ID": key} for key, child in node.items()):
        return [_number(key) for key in node]
    return _plain("linked_leads_id", node)


def _metadata(node: Json) -> Json:
    """The object or list that a JSON text says, if it can be kept to the digit."""
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
