"""Document -> schema problems in words, by the same JSON Schema that editors complete from.

The schema has no `anyOf` where a value may be of several types: keywords apply only to their own type, so each error
is exactly where the mistake is. Its `errorMessage` (an extension that editors know, too) is the text of the problem.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import Any, cast

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from relay.model import Json
from relay.routes.diagnostics import Problems, Where, listed, nearest, quoted, suggestion
from relay.routes.stray_characters import confusable
from relay.routes.yaml_document import Document

_MUST_BE = {"object": "a mapping", "array": "a list", "string": "text"}


def schema() -> dict[str, Json]:
    """The JSON Schema of a routes file."""
    text = files("relay.routes").joinpath("routes.schema.json").read_text("utf-8")
    return dict(json.loads(text))


def check(document: Document, problems: Problems) -> None:
    """Add a problem for each unknown or missing key and each value of a wrong kind."""
    for error in _validator().iter_errors(document.value):
        for where, message in _messages(error, document):
            if not problems.touch(where):
                problems.add(where, document.mark(where), message)


@cache
def _validator() -> Any:
    whole = schema()
    strict: Any = extend(Draft202012Validator, {"pattern": _pattern, "oneOf": _one_of})  # type: ignore[no-untyped-call]  # its stub
    return strict(_inlined(whole, whole["$defs"]))


def _inlined(part: Json, definitions: dict[str, Json]) -> Json:
    """Resolve every `$ref` once: jsonschema resolves them for each value, which is most of its time."""
    if isinstance(part, list):
        return [_inlined(item, definitions) for item in part]
    if not isinstance(part, dict):
        return part
    own = {key: _inlined(item, definitions) for key, item in part.items() if key not in ("$ref", "$defs")}
    name = part["$ref"].rpartition("/")[2] if "$ref" in part else None
    return own if name is None else {**_inlined(definitions[name], definitions), **own}


def _pattern(_: Any, pattern: str, value: Json, __: Any) -> Iterator[ValidationError]:
    """The keyword `pattern`. Ours are all `^…$`, but Python's `$` also matches before a final line break."""
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield ValidationError("does not fit")


def _one_of(_: Any, choices: list[Json], value: Json, __: Any) -> Iterator[ValidationError]:
    """The keyword `oneOf` as our schema uses it, for a choice of keys: the generic one is slow."""
    if isinstance(value, dict) and sum(_chosen(choice, value) for choice in choices) != 1:
        yield ValidationError("not one of them")


def _chosen(choice: dict[str, Json], value: dict[str, Json]) -> bool:
    """True if `value` has the key that the choice requires, and none that it excludes."""
    return choice["required"][0] in value and not any(key in value for key in choice["properties"])


def _messages(error: ValidationError, document: Document) -> Iterator[tuple[Where, str]]:
    where = tuple(error.absolute_path)
    keyword_value, instance, subschema = cast(
        "tuple[Any, Any, Any]", (error.validator_value, error.instance, error.schema)
    )
    match error.validator:
        case "additionalProperties":
            known = subschema["properties"]
            for key in sorted(instance.keys() - known.keys()):
                yield (*where, key), f"unknown key {quoted(key)} {suggestion(key, known)}"
        case "required":
            misspelt = _misspelt(instance, subschema["properties"])
            for key in keyword_value:
                if key not in instance and key not in misspelt:
                    yield (*where, key), "is missing"
        case "enum":
            yield (
                where,
                f"must be one of {listed(keyword_value)}{_near(document, where, keyword_value)}{document.hint(where)}",
            )
        case "oneOf":
            yield where, _choice(instance)
        case "uniqueItems":
            yield where, "has the same value twice"
        case _:
            message = subschema.get("errorMessage") or _default(error)
            if "propertyNames" in error.absolute_schema_path:
                yield (*where, instance), message + confusable(instance)
            else:
                yield where, message + document.hint(where)


def _choice(route: dict[str, Json]) -> str:
    """`unparsed` is rare, and named only where the file uses it."""
    if "unparsed" in route:
        return "otherwise is for events: give unparsed, for webhooks that could not be read, a route of its own"
    if "match" in route and "otherwise" in route:
        return "has both match and otherwise, for events that no other route matches: remove one of them"
    return "needs either match or otherwise"


def _misspelt(instance: dict[str, Json], known: dict[str, Json]) -> set[str | None]:
    """The keys that unknown ones were probably meant to be: reported as misspelt, not as missing, too."""
    return {nearest(key, known) for key in instance.keys() - known.keys()}


def _near(document: Document, where: Where, known: list[str]) -> str:
    near = nearest(document.shown(where), known)
    return f" (did you mean {quoted(near)}?)" if near else ""


def _default(error: ValidationError) -> str:
    kind: Any = error.validator_value
    return f"must be {_MUST_BE[kind]}" if error.validator == "type" else "must not be empty"
