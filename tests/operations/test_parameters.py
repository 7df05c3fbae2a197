"""Numbers among the parameters of operations: each says what it may be, and none is more than a store can take."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import pytest
from msgspec import Meta

from relay.operations.reading import InvalidParameters, parameters
from relay.operations.registry import OPERATIONS
from tests.cli.conftest import NOON

LARGEST = 2**63 - 1


def integers(kind: Any, *names: str) -> Iterator[tuple[tuple[str, ...], Meta]]:
    """Each integer in a type: the names that lead to it, and its limits."""
    if is_dataclass(kind):
        for name, hint in get_type_hints(kind, include_extras=True).items():
            yield from integers(hint, *names, name)
    elif kind is int:
        yield names, Meta()
    elif get_origin(kind) is Annotated and int in (get_args(kind)[0], *get_args(get_args(kind)[0])):
        yield names, kind.__metadata__[0]
    else:
        for part in get_args(kind):
            yield from integers(part, *names)


FOUND = [
    pytest.param(operation.parameters, names, meta, id=f"{operation.name} {'/'.join(names)}")
    for operation in OPERATIONS
    for names, meta in integers(operation.parameters)
]


@pytest.mark.parametrize(("kind", "names", "meta"), FOUND)
def test_an_integer_has_limits_and_what_is_beyond_them_cannot_be_read(
    kind: type, names: tuple[str, ...], meta: Meta
) -> None:
    assert meta.ge is not None and meta.le is not None and meta.le <= LARGEST
    for beyond in (10**20, meta.le + 1, "9" * 5_000):
        given: Any = beyond
        for name in reversed(names):
            given = {name: given}
        with pytest.raises(InvalidParameters) as caught:
            parameters(kind, given, now=NOON, strict=False)
        assert [each.pointer for each in caught.value.faults] == ["/" + "/".join(names)]


def test_there_are_some() -> None:
    assert {names[-1] for _, names, _ in (each.values for each in FOUND)} >= {"limit", "most", "to", "body_bytes"}
