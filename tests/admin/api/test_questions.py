"""GET /api/v1/…: parameters, pages, masks, and what is refused."""

import pytest

from relay.operations.masking import MASK
from tests.admin.api.conftest import VIEWER, Client, get


async def test_a_question_is_answered_with_its_document(client: Client) -> None:
    status, found = await get(client, "/deliveries")
    assert status == 200
    assert [each["target"] for each in found["data"]] == ["warehouse", "sales-bot", "sales-bot", "warehouse"]
    assert found["next"] is None
    assert found["data"][0]["received_at"] == "2026-11-22T12:00:00.000Z"


async def test_a_repeated_parameter_means_any_of_its_values(client: Client) -> None:
    _, found = await get(client, "/deliveries?state=dead&state=delivered")
    assert {each["state"] for each in found["data"]} == {"dead", "delivered"}


async def test_pages_follow_each_other_by_an_opaque_cursor(client: Client) -> None:
    seen, cursor = [], ""
    while cursor is not None:
        _, found = await get(client, f"/deliveries?limit=1{cursor and f'&before={cursor}'}")
        seen += found["data"]
        cursor = found["next"]
    assert len(seen) == 4
    assert seen == (await get(client, "/deliveries"))[1]["data"]


@pytest.mark.parametrize(
    ("query", "pointer", "detail"),
    [
        ("stat=dead", "/stat", "no parameter 'stat' (did you mean 'state'?)"),
        ("state=gone", "/state/0", "invalid enum value 'gone'"),
        ("limit=0", "/limit", "expected `int` >= 1"),
        ("limit=201", "/limit", "expected `int` <= 200"),
        ("limit=x", "/limit", "expected `int`, got `str`"),
        ("limit=1&limit=2", "/limit", "given twice"),
        ("until=null", "/until", "null is no value: leave it out"),
        ("until=0.5", "/until", "'0.5' is neither RFC 3339 nor an age"),
        ("since=today", "/since", "invalid RFC3339 encoded datetime"),
        ("since=2026-11-22T12:00:00", "/since", "expected `datetime` with a timezone component"),
        ("since=9999999999d", "/since", "'9999999999d' is too long ago"),
    ],
)
async def test_what_cannot_be_read_is_a_problem_that_says_where(
    client: Client, query: str, pointer: str, detail: str
) -> None:
    status, problem = await get(client, f"/deliveries?{query}")
    assert (status, problem["status"]) == (400, 400)
    assert problem["type"] == "urn:amocrm-relay:problem:invalid-parameters"
    assert problem["errors"] == [{"pointer": pointer, "detail": detail, "line": None, "column": None}]
    assert problem["instance"] == "/api/v1/deliveries"


async def test_a_cursor_of_another_listing_is_refused(client: Client) -> None:
    status, problem = await get(client, "/deliveries?before=abc")
    assert (status, problem["type"]) == (400, "urn:amocrm-relay:problem:bad-cursor")
    assert "is not a cursor of this listing" in problem["detail"]


async def test_an_instant_may_be_an_age(client: Client) -> None:
    assert len((await get(client, "/deliveries?since=1h"))[1]["data"]) == 4  # it is NOON by the store's clock
    assert (await get(client, "/deliveries?until=1h30m"))[1]["data"] == []


async def test_a_viewer_sees_states_but_no_error_text(client: Client) -> None:
    _, found = await get(client, "/deliveries?state=dead", headers=VIEWER)
    [delivery] = found["data"]
    assert (delivery["why"], delivery["state"], delivery["entity_id"]) == (MASK, "dead", "4831596")


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [({}, 401, "unauthorized"), ({"Authorization": "Bearer wrong"}, 401, "unauthorized")],
)
async def test_who_shows_no_token_gets_a_problem_too(
    client: Client, headers: dict[str, str], status: int, kind: str
) -> None:
    answer = await client.get("/api/v1/deliveries", headers=headers)
    assert (answer.status, answer.content_type) == (status, "application/problem+json")
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert (await answer.json(content_type=None))["type"].endswith(f":{kind}")


async def test_paths_and_methods_that_there_are_not_are_problems(client: Client) -> None:
    assert (await get(client, "/nothing"))[0] == 404
    answer = await client.post("/api/v1/deliveries", headers={"Authorization": "Bearer an-operator-0123456789"})
    assert (answer.status, answer.content_type) == (405, "application/problem+json")
    assert answer.headers["Allow"] == "GET,HEAD" or answer.headers["Allow"] == "GET"


async def test_what_is_asked_is_stored_by_no_cache(client: Client) -> None:
    answer = await client.get("/api/v1/deliveries", headers=VIEWER)
    assert answer.headers["Cache-Control"] == "no-store"
