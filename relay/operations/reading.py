"""JSON or a query -> the parameters of an operation; what is wrong with them is one error for each."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from relay.errors import RelayError
from relay.operations.ages import age, is_age
from relay.routes.diagnostics import quoted, suggestion

P = TypeVar("P")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What is wrong at `pointer` (RFC 6901, `/filter/since`)."""

    pointer: str
    detail: str


class InvalidParameters(RelayError):
    """What was asked cannot be read; `faults` lists every reason that was found."""

    def __init__(self, *faults: Fault) -> None:
        self.faults = faults
        super().__init__("; ".join(f"{each.pointer.lstrip('/')}: {each.detail}".lstrip(": ") for each in faults))


def parameters(kind: type[P], given: Mapping[str, Any], *, now: datetime, strict: bool) -> P:
    """Read what was given; InvalidParameters if it does not fit `kind`.

    Instants are RFC 3339 or an age before `now`: `2h`. Not `strict`: texts stand for numbers, as in a query.
    """
    if unknown := _unknown(kind, given, ""):
        raise InvalidParameters(*unknown)
    try:
        return msgspec.convert(_with_instants(kind, given, now), kind, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidParameters(_fault(str(error))) from error


def parameters_of_query(kind: type[P], query: Mapping[str, list[str]], *, now: datetime) -> P:
    """The same of a query or a form, by name each value that was given; one that may be repeated means any of them."""
    repeatable = {name for name, hint in _hints(kind).items() if _plain(hint, tuple)}
    given = {name: values if name in repeatable else values[0] for name, values in query.items()}
    twice = [
        name for name, values in query.items() if len(values) > 1 and name in _hints(kind) and name not in repeatable
    ]
    if twice:
        raise InvalidParameters(*(Fault(pointer=f"/{name}", detail="given twice") for name in twice))
    if null := [name for name, value in given.items() if value == "null" and not _plain(_hints(kind).get(name), str)]:
        # msgspec reads it as None; a parameter that is not wanted is left out
        raise InvalidParameters(*(Fault(pointer=f"/{name}", detail="null is no value: leave it out") for name in null))
    return parameters(kind, given, now=now, strict=False)


# ---- unknown names


def _unknown(kind: Any, given: Any, pointer: str) -> list[Fault]:
    if not isinstance(given, Mapping) or not is_dataclass(kind):
        return []
    hints = _hints(kind)
    found = [
        Fault(pointer=f"{pointer}/{name}", detail=f"no parameter {quoted(name)} {suggestion(name, hints)}")
        for name in given
        if name not in hints
    ]
    for name, hint in hints.items():
        if inner := _plain(hint, is_dataclass):
            found += _unknown(inner, given.get(name), f"{pointer}/{name}")
    return found


def _hints(kind: Any) -> dict[str, Any]:
    """The fields of a dataclass, and their types without marks."""
    return _hints_of(kind)


@lru_cache(maxsize=256)
def _hints_of(kind: type) -> dict[str, Any]:
    return get_type_hints(kind) if fields(kind) else {}


def _plain(hint: Any, wanted: Any) -> Any:
    """The type in a hint that is a tuple, a datetime or a dataclass: `datetime | None` -> `datetime`."""
    for each in (hint, *get_args(hint)):
        origin = get_origin(each) or each
        if origin is wanted or (wanted is is_dataclass and isinstance(origin, type) and is_dataclass(origin)):
            return each
    return None


# ---- instants


def _with_instants(kind: Any, given: Any, now: datetime) -> Any:
    if not isinstance(given, Mapping):
        return given
    hints = _hints(kind)
    return {name: _with_instant(hints[name], name, value, now) for name, value in given.items()}


def _with_instant(hint: Any, name: str, value: Any, now: datetime) -> Any:
    if (inner := _plain(hint, is_dataclass)) and isinstance(value, Mapping):
        return _with_instants(inner, value, now)
    if not _plain(hint, datetime) or not isinstance(value, str):
        return value
    if re.fullmatch(r"[-+.\de_]+|nan|inf(inity)?", value, re.IGNORECASE):  # msgspec reads a number as Unix seconds
        raise InvalidParameters(Fault(pointer=f"/{name}", detail=f"{quoted(value)} is neither RFC 3339 nor an age"))
    if is_age(value):
        try:
            return now - age(value)
        except OverflowError:
            raise InvalidParameters(Fault(pointer=f"/{name}", detail=f"{quoted(value)} is too long ago")) from None
    return value


# ---- the texts of msgspec


def _fault(text: str) -> Fault:
    """``Expected `int` >= 1 - at `$.limit` `` -> /limit, expected `int` >= 1."""
    detail, _, where = text.partition(" - at `$")
    pointer = where.rstrip("`").replace("[...]", "").replace(".", "/").replace("[", "/").replace("]", "")
    return Fault(pointer=pointer, detail=f"{detail[:1].lower()}{detail[1:]}")
