"""What the operators and tests of a template do with values of an event: nothing fails because one is missing.

Each takes the work of its rendering first after its left operand, as filters do: they are called as filters.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

from relay.errors import TemplateFailed
from relay.model import Json
from relay.routes.template.escapes import for_header, for_query, for_url
from relay.routes.template.values import Number, as_json, number, quoted, text
from relay.routes.template.work import STEP, Work

_Order = Callable[[Any, Any], bool]


def add(left: Json, work: Work, right: Json) -> Json:
    """Two texts are joined, numbers are added, also those that are text beside a number; null if one is missing."""
    if isinstance(left, str) and isinstance(right, str):
        return concatenate(left, work, right)
    return _calculated(operator.add, "+", left, right)


def subtract(left: Json, work: Work, right: Json) -> Json:
    """Numbers, also those that are text; null if one is missing."""
    return _calculated(operator.sub, "-", left, right)


def concatenate(first: Json, work: Work, *others: Json) -> str:
    """`~`: the texts of all, one after the other."""
    texts = [text(first), *map(text, others)]
    work.join(sum(map(len, texts)))
    return "".join(texts)


def _calculated(operation: Callable[[Number, Number], Number], sign: str, left: Json, right: Json) -> Json:
    if left is None or right is None:
        return None
    one, other = number(left), number(right)
    if one is None or other is None:
        raise TemplateFailed(f"`{sign}` needs numbers on both sides{', or two texts' if sign == '+' else ''}")
    result = operation(one, other)
    return int(result) if result == int(result) else result


# ---- comparisons


def equal(left: Json, work: Work, right: Json) -> bool:
    """As `match` compares: by their texts, so 5 and "5" are equal, and what is missing is equal to an empty text."""
    if type(left) is type(right) is int:
        return bool(left == right)
    one, other = _compared(left, work), _compared(right, work)
    if len(one) == len(other):
        work.spend(len(one))
    return one == other or _numbers_are_equal(left, right)


def _compared(value: Json, work: Work) -> str:
    given = text(value)
    if given is not value:
        work.spend(len(given))
    return given


def _numbers_are_equal(left: Json, right: Json) -> bool:
    """1 and 1.0, but not "1" and "1.0", which are texts."""
    both = isinstance(left, int | float) and isinstance(right, int | float)
    return both and not isinstance(left, bool) and not isinstance(right, bool) and left == right


def unequal(left: Json, work: Work, right: Json) -> bool:
    """See `equal`."""
    return not equal(left, work, right)


def _ordered(order: _Order) -> Callable[[Json, Work, Json], bool]:
    def ordered(left: Json, work: Work, right: Json) -> bool:
        one, other = number(left), number(right)
        if one is not None and other is not None:
            return order(one, other)
        if not (isinstance(left, str) and isinstance(right, str)) or "" in (left, right):
            return False
        work.spend(min(len(left), len(right)))
        return order(left, right)

    return ordered


def contains(item: Json, work: Work, container: Json) -> bool:
    """A value in a list, a part in a text, a key in a mapping; nothing is in what is missing."""
    wanted = _compared(item, work)
    if isinstance(container, list):
        work.spend(STEP * len(container))
        texts = [text(each) for each in container if not isinstance(each, list | dict)]
        work.spend(sum(map(len, texts)))
        return wanted in texts
    if isinstance(container, dict):
        return wanted in container
    inside = text(container)
    work.spend(len(inside))
    return bool(wanted) and wanted in inside


def lacks(item: Json, work: Work, container: Json) -> bool:
    """See `contains`."""
    return not contains(item, work, container)


# ---- loops


def items(value: Json, work: Work, cost: int) -> list[Json]:
    """What a loop runs over: a list; nothing if it is missing or an empty text; another value as a list of one."""
    if value is None or value == "":
        return []
    every = value if isinstance(value, list) else [value]
    work.spend(len(every) * cost)
    return every


OPERATORS: Mapping[str, Callable[..., object]] = {
    "relay:add": add,
    "relay:sub": subtract,
    "relay:concat": concatenate,
    "relay:eq": equal,
    "relay:ne": unequal,
    "relay:lt": _ordered(operator.lt),
    "relay:lteq": _ordered(operator.le),
    "relay:gt": _ordered(operator.gt),
    "relay:gteq": _ordered(operator.ge),
    "relay:in": contains,
    "relay:notin": lacks,
    "relay:items": items,
    "relay:text": text,
    "relay:json": as_json,
    "relay:quoted": quoted,
    "relay:url": for_url,
    "relay:query": for_query,
    "relay:header": for_header,
}
"""By names that no template can write."""

TESTS: Mapping[str, Callable[[Json], bool]] = {
    "defined": lambda value: value is not None,
    "undefined": lambda value: value is None,
    "none": lambda value: value is None,
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "boolean": lambda value: isinstance(value, bool),
    "sequence": lambda value: isinstance(value, list),
    "mapping": lambda value: isinstance(value, dict),
}
