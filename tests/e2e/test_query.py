"""Two automations that differ in the query of their address alone, `?try=1` and `?try=2`: told apart all the way."""

from pathlib import Path

import aiohttp
import orjson
from yarl import URL

from tests.e2e.processes import running
from tests.e2e.sender import headers
from tests.e2e.targets import Targets, listening, well

BODY = (
    b"leads%5Badd%5D%5B0%5D%5Bid%5D=19030890&leads%5Badd%5D%5B0%5D%5Bstatus_id%5D=71995068"
    b"&leads%5Badd%5D%5B0%5D%5Bpipeline_id%5D=8933063&account%5Bid%5D=32000011&account%5Bsubdomain%5D=example"
)
ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}", dedupe: 1h}}}}
targets:
  all: {{url: "{all}"}}
  first: {{url: "{first}"}}
  script: {{url: "{script}?key=k", format: form}}
routes:
  - {{name: all, match: {{entity: {{exists: true}}}}, to: [all, script]}}
  - {{name: first, match: {{query.try: 24h-1st}}, to: first}}
"""


async def post(hook: str, query: str, body: bytes = BODY) -> dict[str, object]:
    """The query goes out as it is."""
    address = URL(f"{hook}?{query}" if query else hook, encoded=True)
    async with aiohttp.ClientSession() as session, session.post(address, data=body, headers=headers()) as answer:
        assert answer.status == 200
        kept: dict[str, object] = await answer.json()
        return kept


def queries(targets: Targets, name: str) -> list[object]:
    """Of the events that a target got."""
    return [orjson.loads(request.body).get("query") for request in targets.of(name)]


async def test_the_query_is_stored_matched_delivered_and_part_of_the_duplicate_check(tmp_path: Path) -> None:
    async with listening(all=well, first=well, script=well) as targets:
        routes = ROUTES.format(**{name: targets.url(name) for name in targets.behaviour})
        async with running(tmp_path, routes) as relay:
            first = await post(relay.hook, "try=24h-1st&at=%2f%7E")
            second = await post(relay.hook, "try=24h-2nd")
            again = await post(relay.hook, "try=24h-2nd")
            await post(relay.hook, "")
            await relay.drained()
            shown = await relay.command("show", str(first["webhook"]))
    assert (first["deliveries"], second["deliveries"]) == (3, 2)
    assert again == {"webhook": second["webhook"], "events": 1, "deliveries": 0, "duplicate": True}
    assert sorted(queries(targets, "all"), key=str) == [None, {"try": "24h-1st", "at": "/~"}, {"try": "24h-2nd"}]
    assert queries(targets, "first") == [{"try": "24h-1st", "at": "/~"}]
    assert shown["webhook"]["query"] == "try=24h-1st&at=%2f%7E"
    assert {request.body for request in targets.of("script")} == {BODY}
    assert sorted(request.query for request in targets.of("script")) == [
        "key=k",
        "key=k&try=24h-1st&at=%2f%7E",
        "key=k&try=24h-2nd",
    ]
