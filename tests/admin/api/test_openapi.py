"""The OpenAPI document: every route is in it and back, and it is valid."""

import re

import jsonschema
from aiohttp import web
from openapi_spec_validator import OpenAPIV31SpecValidator

from relay.operations.registry import OPERATIONS
from tests.admin.api.conftest import Client, get


async def test_the_document_is_valid_openapi_3_1(client: Client) -> None:
    _, document = await get(client, "/openapi.json")
    assert document["openapi"].startswith("3.1")
    assert [str(each) for each in OpenAPIV31SpecValidator(document).iter_errors()] == []


async def test_every_route_is_in_the_document_and_back(client: Client, application: web.Application) -> None:
    served = {
        (route.method.lower(), route.resource.canonical.removeprefix("/api/v1"))
        for route in application.router.routes()
        if route.resource and route.resource.canonical.startswith("/api/v1") and route.method != "HEAD"
    }
    _, document = await get(client, "/openapi.json")
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert served == described
    assert {(each.method.lower(), each.path) for each in OPERATIONS} < served


async def test_names_of_operations_are_told_apart_and_say_their_role(client: Client) -> None:
    _, document = await get(client, "/openapi.json")
    every = [each for methods in document["paths"].values() for each in methods.values()]
    assert len({each["operationId"] for each in every}) == len(every)
    assert not {name for each in every if not re.fullmatch("[a-z_]+", name := each["operationId"])}
    assert {each["x-role"] for each in every} == {"viewer", "operator"}


async def test_what_is_answered_fits_its_schema(client: Client) -> None:
    _, document = await get(client, "/openapi.json")
    for path in ("/deliveries", "/deliveries?state=pending&since=2h"):
        _, found = await get(client, path)
        schema = document["paths"][path.partition("?")[0]]["get"]["responses"]["200"]["content"]["application/json"]
        root = {**schema["schema"], "components": document["components"]}
        jsonschema.Draft202012Validator(root).validate(found)


async def test_a_path_that_takes_a_name_describes_it(client: Client) -> None:
    _, document = await get(client, "/openapi.json")
    for path, methods in document["paths"].items():
        for each in methods.values():
            named = {one["name"] for one in each.get("parameters", ()) if one["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
