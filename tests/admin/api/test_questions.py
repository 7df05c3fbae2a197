"""GET /api/v1/…: parameters, pages, masks, and what is refused."""

from datetime import timedelta

import pytest

from relay.operations.masking import MASK
from tests.admin.api.conftest import OPERATOR, VIEWER, Client, get
from tests.cli.conftest import CYRILLIC


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


@pytest.mark.parametrize("slower", ["2", "1.5s", "0s", "366d", "2m30s"])
async def test_what_is_no_duration_is_a_problem_and_one_finds_slow_attempts(client: Client, slower: str) -> None:
    status, problem = await get(client, f"/attempts?slower={slower}")
    assert (status, problem["errors"][0]["pointer"]) == (400, "/slower")
    assert problem["errors"][0]["detail"].startswith(f"'{slower}' must be ")
    status, found = await get(client, "/attempts?slower=11ms&target=warehouse")
    assert (status, [each["attempt"]["took"] for each in found["data"]]) == (200, [0.012, 0.012])


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
    assert (delivery["why"], delivery["state"], delivery["entity_id"]) == (f"400 {MASK}", "dead", "4831596")


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


async def test_deliveries_are_counted_by_the_filters_of_their_listing(client: Client) -> None:
    assert await get(client, "/deliveries/count") == (200, {"count": 4, "more": False, "searched_to": None})
    assert (await get(client, "/deliveries/count?state=dead"))[1]["count"] == 1


async def test_a_count_ends_by_number_or_by_time_and_says_so(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("relay.operations.deliveries.MOST_COUNTED", 2)
    monkeypatch.setattr("relay.operations.deliveries.COUNTED_AT_ONCE", 1)
    assert (await get(client, "/deliveries/count"))[1] == {"count": 2, "more": True, "searched_to": None}
    monkeypatch.setattr("relay.operations.which.LOOK", timedelta())
    assert (await get(client, "/deliveries/count"))[1] == {"count": 1, "more": True, "searched_to": None}


async def test_the_body_of_a_webhook_is_given_as_it_came_to_who_sees_payloads(client: Client) -> None:
    answer = await client.get(f"/api/v1/webhooks/{CYRILLIC}/body", headers=OPERATOR)
    assert (answer.status, answer.content_type) == (200, "application/octet-stream")
    assert (answer.headers["Cache-Control"], answer.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert "Анна".encode("cp1251") in await answer.read()
    refused = await client.get(f"/api/v1/webhooks/{CYRILLIC}/body", headers=VIEWER)
    assert (refused.status, (await refused.json(content_type=None))["type"]) == (
        403,
        "urn:amocrm-relay:problem:not-allowed",
    )
    assert (await client.get("/api/v1/webhooks/019affff/body", headers=OPERATOR)).status == 404


@pytest.mark.parametrize(("path", "rows"), [("events", 3), ("unparsed", 2), ("export", 3)])
async def test_a_page_of_large_rows_ends_early_and_goes_on(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, rows: int
) -> None:
    _, whole = await get(client, f"/{path}")
    monkeypatch.setattr("relay.operations.lookup.MAX_PAGE_BYTES", 1)
    monkeypatch.setattr("relay.operations.lookup.FEW", 1)
    seen, cursor = [], ""
    while cursor is not None:
        _, found = await get(client, f"/{path}{cursor and f'?after={cursor}'}")
        assert len(found["data"]) == 1
        seen += found["data"]
        cursor = found["next"]
    assert (seen, len(seen)) == (whole["data"], rows)
