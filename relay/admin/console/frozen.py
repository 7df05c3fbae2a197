"""The filter of a page -> one that finds no more later: ages become instants, and what comes later is left out."""

from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

from relay.admin.console import moments
from relay.model import State
from relay.operations.reading import parameters_of_query
from relay.operations.which import Which
from relay.rfc3339 import rfc3339

NAMES = tuple(each.name for each in fields(Which))
"""The parameters that narrow a listing of deliveries."""

SETTLED = frozenset({State.DEAD, State.DELIVERED})
MILLISECOND = timedelta(milliseconds=1)

Lists = Mapping[str, list[str]]
"""Of a query or a form, by name each value."""


def freeze(given: Lists, now: datetime, *, otherwise: State) -> Which:
    """Read the filter; without states it is of those in `otherwise`. InvalidParameters if it cannot be read.

    Deliveries that arrive, or are settled, from now on are not in it, so that a count can only shrink.
    """
    chosen = {name: given[name] for name in NAMES if given.get(name)}
    which = parameters_of_query(Which, moments.read(chosen, now), now=now)
    which = replace(which, state=which.state or (otherwise,), until=_earlier(which.until, now))
    if set(which.state) <= SETTLED:
        which = replace(which, settled_until=_earlier(which.settled_until, now))
    return which


def _earlier(at: datetime | None, now: datetime) -> datetime:
    """Bounds are not included, and instants are written in milliseconds."""
    return min(at, now + MILLISECOND) if at else now + MILLISECOND


def as_json(which: Which) -> dict[str, Any]:
    """As the operation takes it."""
    return {name: _json(value) for name in NAMES if (value := getattr(which, name)) not in (None, ())}


def as_query(which: Which) -> dict[str, list[str]]:
    """As it stands in an address."""
    return {
        name: [_word(each) for each in value] if isinstance(value, list) else [_word(value)]
        for name, value in as_json(which).items()
    }


def _json(value: Any) -> Any:
    match value:
        case datetime():
            return rfc3339(value)
        case tuple():
            return [str(each) for each in value]
        case bool():
            return value
        case _:
            return str(value)


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
