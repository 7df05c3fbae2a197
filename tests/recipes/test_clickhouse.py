"""The recipe clickhouse, before a receiver that answers as its HTTP interface does (sources: docs/recipes.md)."""

import json
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web

from relay.model import State
from tests.recipes.api import Api, Call
from tests.recipes.conftest import Run, lead

KEY = "clickhouse-key-0123456789"
SETTINGS = {
    "input_format_skip_unknown_fields": "1",
    "input_format_json_read_objects_as_strings": "1",
    "date_time_input_format": "best_effort",
    "wait_end_of_query": "1",
}
Row = dict[str, Any]


class ClickHouse(Api):
    """Inserts all rows of a request or none: one that cannot be read refuses the whole.

    JSONEachRow is read from a list of objects, too. `unreadable` is the lead whose row is refused.
    """

    ORIGIN = "https://clickhouse.example:8443"

    def __init__(self) -> None:
        super().__init__()
        self.inserts: list[list[Row]] = []
        self.unreadable = 0

    def answer(self, call: Call) -> web.Response:
        if (call.headers.get("x-clickhouse-user"), call.headers.get("x-clickhouse-key")) != ("relay", KEY):
            return refused(403, 516, "relay: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)")
        settings = dict(call.query)
        if settings.pop("query") != "INSERT INTO amocrm.events FORMAT JSONEachRow":
            return refused(404, 60, "Table does not exist. (UNKNOWN_TABLE)")
        if settings != SETTINGS:
            return refused(404, 115, "Unknown setting, or one that this test does not know. (UNKNOWN_SETTING)")
        try:
            rows = [self._row(each) for each in call.json]
        except (ValueError, LookupError) as error:
            return refused(400, 27, f"Cannot parse input: {error}: (at row 1) (CANNOT_PARSE_INPUT_ASSERTION_FAILED)")
        self.inserts.append(rows)
        summary = {"read_rows": str(len(rows)), "written_rows": str(len(rows)), "elapsed_ns": "1093862"}
        return web.Response(headers={"X-ClickHouse-Summary": json.dumps(summary)})

    def _row(self, given: dict[str, Any]) -> Row:
        """The columns of the table that the recipe names."""
        if given["data"]["id"] == self.unreadable:
            raise ValueError(f"expected '\"' before {given['data']['id']}")
        return {
            "id": UUID(given["id"]),
            "timestamp": datetime.fromisoformat(given["timestamp"]),
            "type": given["type"],
            "data": json.dumps(given["data"]),
            "lead": given["data"]["id"],
        }

    @property
    def rows(self) -> list[Row]:
        return [row for rows in self.inserts for row in rows]


def refused(status: int, code: int, text: str) -> web.Response:
    said = f"Code: {code}. DB::Exception: {text} (version 25.8.1.1)\n"
    return web.Response(status=status, headers={"X-ClickHouse-Exception-Code": str(code)}, text=said)


async def test_events_are_rows_of_few_inserts(run: Run) -> None:
    api = ClickHouse()
    async with run("clickhouse", api, clickhouse_key=KEY) as recipe:
        for number in range(1, 21):
            await recipe.post("leads.status", **lead(id=number))
        await recipe.all_are(State.DELIVERED, 20)
        assert sorted(row["lead"] for row in api.rows) == list(range(1, 21))
        assert len(api.inserts) < 10, "what comes within two seconds is inserted together"
        assert len({row["id"] for row in api.rows}) == 20
        assert {(row["type"], json.loads(row["data"])["status_id"]) for row in api.rows} == {("leads.status", 16203337)}


@pytest.mark.parametrize(
    "refusal",
    [
        refused(500, 241, "(total) memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"),
        refused(500, 252, "Too many parts (300). Merges are processing significantly slower. (TOO_MANY_PARTS)"),
        refused(404, 60, "Table amocrm.events does not exist. (UNKNOWN_TABLE)"),
        refused(403, 516, "relay: Authentication failed: password is incorrect. (AUTHENTICATION_FAILED)"),
        web.Response(status=502),
        refused(200, 159, "Timeout exceeded: elapsed 60 seconds. (TIMEOUT_EXCEEDED)"),
    ],
    ids=["memory", "parts", "no table", "a wrong password", "a proxy", "an exception with 200"],
)
async def test_an_exception_inserts_nothing_and_all_rows_come_again(refusal: web.Response, run: Run) -> None:
    api = ClickHouse()
    api.refusals.append(refusal)
    async with run("clickhouse", api, clickhouse_key=KEY) as recipe:
        for number in range(1, 6):
            await recipe.post("leads.status", **lead(id=number))
        await recipe.all_are(State.DELIVERED, 5)
        assert sorted(row["lead"] for row in api.rows) == [1, 2, 3, 4, 5]
        assert len(api.calls) == 1 + len(api.inserts)


async def test_a_row_that_cannot_be_read_is_dead_and_alone(run: Run) -> None:
    api = ClickHouse()
    api.unreadable = 5
    async with run("clickhouse", api, clickhouse_key=KEY) as recipe:
        for number in range(1, 9):
            await recipe.post("leads.status", **lead(id=number))
        await recipe.settled(8)
        [dead] = await recipe.deliveries(State.DEAD)
        assert dead.entity_id == "5"
        assert sorted(row["lead"] for row in api.rows) == [1, 2, 3, 4, 6, 7, 8]
