"""Operations -> the OpenAPI 3.1 document, from the JSON Schemas of their parameters and documents."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from relay import __version__
from relay.admin.api.problems import CONTENT_TYPE, Problem
from relay.admin.api.tail import EVENTS, NDJSON, TAIL, Tail
from relay.operations import ages
from relay.operations.asker import Role
from relay.operations.desk import Operation
from relay.operations.documents.acts import AcceptedDocument

REFERENCE = "#/components/schemas/{name}"
Schema = dict[str, Any]


def openapi(operations: Sequence[Operation[Any, Any]]) -> Schema:
    """Describe every route of the API."""
    described = _Schemas(operations)
    paths: dict[str, Schema] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = described.operation(each)
    paths[BODY.path] = {"get": _webhook_body()}
    paths[TAIL.path] = {"get": described.tail()}
    paths["/openapi.json"] = {"get": _self()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "amocrm-relay",
            "version": __version__,
            "summary": "Questions and acts of the operators of a relay.",
            "description": "Within v1 fields and parameters are added, never renamed or removed.",
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": described.components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {
                "problem": {"description": "Why not.", "content": _content(CONTENT_TYPE, described.of(Problem))}
            },
        },
    }


class _Schemas:
    """The schemas of all types, and what refers to them."""

    def __init__(self, operations: Sequence[Operation[Any, Any]]) -> None:
        kinds = [kind for each in operations for kind in (each.parameters, each.document)]
        self._kinds = [*dict.fromkeys([*kinds, Problem, AcceptedDocument, Tail])]
        references, components = msgspec.json.schema_components(self._kinds, ref_template=REFERENCE)
        self._references = dict(zip(self._kinds, references, strict=True))
        parameters = {self._name(each.parameters) for each in operations} | {self._name(Tail)}
        self._parameters = {name: components[name] for name in parameters}
        self.components = {name: each for name, each in components.items() if name not in parameters}

    def _name(self, kind: Any) -> str:
        return str(self._references[kind]["$ref"]).rpartition("/")[2]

    def of(self, kind: Any) -> Schema:
        """A reference to the schema of a type."""
        return dict(self._references[kind])

    def problem(self) -> Schema:
        """What every answer is that is no success."""
        return {"description": "Why not.", "content": _content(CONTENT_TYPE, self.of(Problem))}

    def question(self, name: str, summary: str, document: Any) -> Schema:
        """A GET without parameters."""
        return {
            "operationId": name,
            "summary": summary,
            "x-role": Role.VIEWER.value,
            "responses": _responses({"200": _ok(self.of(document))}),
        }

    def operation(self, operation: Operation[Any, Any]) -> Schema:
        """An operation with its parameters, in path and query or in path and body."""
        described = self.question(operation.name, operation.summary, operation.document)
        described["x-role"] = operation.role.value
        schema = self._parameters[self._name(operation.parameters)]
        named = re.findall(r"{(\w+)}", operation.path)
        properties = schema.get("properties", {})
        described["parameters"] = [_path_parameter(name, properties[name]) for name in named]
        rest = {name: each for name, each in properties.items() if name not in named}
        required = [name for name in schema.get("required", ()) if name not in named]
        if operation.method == "GET":
            described["parameters"] += [_query_parameter(name, each, name in required) for name, each in rest.items()]
        else:
            described["parameters"].append(_KEY)
            if rest:
                described["requestBody"] = _body(rest, required)
        if operation.long:
            described["responses"]["202"] = {
                **_ok(self.of(AcceptedDocument)),
                "description": "Not done yet: it goes on.",
                "headers": {"Location": {"schema": {"type": "string"}}},
            }
        return described

    def tail(self) -> Schema:
        """The stream."""
        properties = self._parameters[self._name(Tail)]["properties"]
        text = {"type": "string"}
        return {
            "operationId": "tail",
            "summary": TAIL.summary,
            "x-role": TAIL.role.value,
            "parameters": [_query_parameter(name, each, False) for name, each in properties.items()],
            "responses": _responses(
                {
                    "200": {
                        "description": "A JSON document a line, or an event each, for as long as the client stays.",
                        "content": {**_content(NDJSON, text), **_content(EVENTS, text)},
                    }
                }
            ),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyRoute:
    """How the body of a webhook is described."""

    path: str
    content_type: str


BODY = BodyRoute(path="/webhooks/{id}/body", content_type="application/octet-stream")


def _webhook_body() -> Schema:
    content = _content(BODY.content_type, {"type": "string", "contentMediaType": BODY.content_type})
    return {
        "operationId": "webhook_body",
        "summary": "The body of a webhook, byte for byte as it came; for who sees payloads.",
        "x-role": Role.VIEWER.value,
        "parameters": [_path_parameter("id", {"type": "string"})],
        "responses": _responses({"200": {"description": "The bytes.", "content": content}}),
    }


_KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "An act that is repeated with one key is done once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}


def _self() -> Schema:
    content = _content("application/json", {"type": "object"})
    return {
        "operationId": "openapi",
        "summary": "This document.",
        "x-role": Role.VIEWER.value,
        "responses": _responses({"200": {"description": "OpenAPI 3.1.", "content": content}}),
    }


def _responses(good: Schema) -> Schema:
    return {**good, "default": {"$ref": "#/components/responses/problem"}}


def _ok(schema: Schema) -> Schema:
    return {"description": "Done.", "content": _content("application/json", schema)}


def _content(type_: str, schema: Schema) -> Schema:
    return {type_: {"schema": schema}}


def _body(properties: Schema, required: Sequence[str]) -> Schema:
    schema = {"type": "object", "properties": properties, "required": [*required], "additionalProperties": False}
    return {"required": bool(required), "content": _content("application/json", _with_ages(schema))}


def _path_parameter(name: str, schema: Schema) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {**schema, "minLength": 1}}


def _query_parameter(name: str, schema: Schema, required: bool) -> Schema:
    """A list is a parameter that may be repeated; null is one that is left out."""
    bare = {key: value for key, value in _without_null(schema).items() if key != "description"}
    found: Schema = {"name": name, "in": "query", "required": required, "schema": _with_ages(bare)}
    return found | ({"description": schema["description"]} if "description" in schema else {})


def _without_null(schema: Schema) -> Schema:
    if schema.get("default", "") is None:
        schema = {key: value for key, value in schema.items() if key != "default"}
    kinds = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    rest = {key: value for key, value in schema.items() if key != "anyOf"}
    return {**rest, **kinds[0]} if len(kinds) == 1 else schema


def _with_ages(schema: Any) -> Any:
    """An instant may be given as an age, too."""
    match schema:
        case {"type": "string", "format": "date-time", **rest}:
            age = {"type": "string", "pattern": ages.PATTERN, "description": "An age."}
            return {**rest, "anyOf": [{"type": "string", "format": "date-time"}, age]}
        case dict():
            return {name: _with_ages(each) for name, each in schema.items()}
        case list():
            return [_with_ages(each) for each in schema]
    return schema
