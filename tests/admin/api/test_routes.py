"""POST /api/v1/routes/…, GET /routes, POST /reload: what an edit would change, and nothing of this machine is told."""

from pathlib import Path

import pytest

from relay.operations.access import ON_LOOPBACK
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk
from relay.operations.masking import MASK
from relay.operations.reloads import ROUTES as ROUTES_IN_FORCE
from relay.operations.reloads import Nothing
from relay.routes.config import parse
from relay.store.contract import Archive
from tests.admin.api.conftest import OPERATOR, VIEWER, Client, get, send
from tests.cli.conftest import OFFER, ROUTES

EDITED = ROUTES.replace("to: [sales-bot, warehouse]", "to: [sales-bot]")


async def test_an_edit_is_compared_with_the_routes_in_force(client: Client) -> None:
    status, found = await send(client, "POST", "/routes/diff", {"text": EDITED, "since": "1h"})
    assert (status, found["changed"], found["no_longer"], found["also"]) == (200, 1, {"warehouse": 1}, {})
    [change] = found["changes"]
    assert (change["before"]["targets"], change["after"]["targets"]) == (["sales-bot", "warehouse"], ["sales-bot"])
    assert found["next"] is None


async def test_a_text_with_errors_says_where(client: Client) -> None:
    status, problem = await send(client, "POST", "/routes/diff", {"text": "version: 1\ntargts: {}\n", "since": "1h"})
    assert (status, problem["type"]) == (422, "urn:amocrm-relay:problem:routes-invalid")
    assert (2, "/targts") in [(each["line"], each["pointer"]) for each in problem["errors"]]
    _, checked = await send(client, "POST", "/routes/check", {"text": "version: 1\ntargts: {}\n"}, **VIEWER)
    assert not checked["good"]
    assert (2, "targts") in [(each["line"], each["path"]) for each in checked["errors"]]


@pytest.mark.parametrize("there", [True, False])
async def test_a_text_from_elsewhere_reads_no_file_of_this_machine(client: Client, tmp_path: Path, there: bool) -> None:
    secret = tmp_path / "secret"
    if there:
        secret.write_text("sales")
    guess = EDITED.replace(
        "match: {entity: leads, action: [call_in, mail_in]}", f'match: {{entity: "${{file:{secret}}}"}}'
    )
    assert guess != EDITED
    status, found = await send(client, "POST", "/routes/check", {"text": guess}, **VIEWER)
    assert status == 200
    said = f"the file {secret} is not read for a text that comes from elsewhere"
    assert [said in each["message"] for each in found["errors"]] == [True]


async def test_a_viewer_sees_why_a_route_takes_an_event_but_none_of_its_values(client: Client) -> None:
    _, found = await send(client, "POST", "/routes/explain", {"id": OFFER}, **VIEWER)
    [event] = found["events"]
    assert [each["route"] for each in event["routes"] if each["matched"]] == ["offer-made"]
    values = {value for route in event["routes"] for check in route["checks"] for value in check["values"]}
    assert values <= {MASK, "leads", "status", "752662", "16203337"}, "closed words and ids of amoCRM's own"
    assert (event["event"]["entity"], event["event"]["data"]["id"]) == ("leads", 4831596)
    assert {each["body"] for each in event["requests"]} == {MASK}


async def test_masked_values_are_not_found_out_by_conditions_of_ones_own(client: Client) -> None:
    guess = EDITED.replace("match: {entity: leads, action: [call_in, mail_in]}", 'match: {data.name: "~^A"}')
    for path, asked in [("explain", {"id": OFFER}), ("diff", {"since": "1h"})]:
        status, problem = await send(client, "POST", f"/routes/{path}", {"text": guess, **asked}, **VIEWER)
        assert (status, problem["type"]) == (403, "urn:amocrm-relay:problem:not-allowed")
        assert "sees no field values" in problem["detail"]
    body = {"text": EDITED, "body": "leads[add][0][id]=7", "query": ""}
    assert (await send(client, "POST", "/routes/explain", body, **VIEWER))[0] == 200  # it shows nothing that is stored


async def test_what_a_question_answered_is_kept_for_no_key(client: Client) -> None:
    for text in (ROUTES, EDITED):
        assert (await send(client, "POST", "/routes/check", {"text": text}, **VIEWER, Idempotency_Key="k1"))[0] == 200


async def test_the_routes_in_force_have_an_etag(client: Client) -> None:
    answer = await client.get("/api/v1/routes", headers=VIEWER)
    found = await answer.json()
    assert [each["name"] for each in found["routes"]] == ["offer-made", "talks-to-us", "everything-else"]
    assert answer.headers["ETag"] == f'"{found["etag"]}"'
    again = await client.get("/api/v1/routes", headers=VIEWER | {"If-None-Match": answer.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


async def test_the_file_in_force_is_shown_without_its_secrets(client: Client) -> None:
    _, found = await get(client, "/routes")
    shown = found["text"].splitlines()
    assert len(shown) == len(ROUTES.splitlines())
    assert all(shown[each["line"] - 1].lstrip(" -{").startswith(f"name: {each['name']}") for each in found["routes"])
    assert "token: ${CRM_TOKEN}" in found["text"]
    assert "url: ***" in found["text"]
    assert "dwh.example" not in found["text"]
    assert found["warnings"] == []
    assert (await get(client, "/routes", headers=VIEWER))[1]["text"] == MASK


async def test_what_may_be_a_mistake_stands_beside_the_routes(store: Archive) -> None:
    config = parse(ROUTES.replace("${CRM_TOKEN}", "abc"), file="routes.yaml", env={}, stand_ins=True)
    found = await Desk(store, ON_LOOPBACK, config=lambda: config).ask(ROUTES_IN_FORCE, Nothing())
    assert {(each.line, each.path) for each in found.warnings} == {(4, "sources.crm.token")}
    assert "abc" not in found.text


async def test_a_viewer_sees_where_a_mistake_may_be_and_no_value_of_a_match(store: Archive) -> None:
    config = parse(
        ROUTES.replace("match: {entity: leads, action: [call_in, mail_in]}", "match: {pipeline_id: Ann}"),
        file="routes.yaml",
        env={},
        stand_ins=True,
    )
    messages = {}
    for asker in (ON_LOOPBACK, Asker(name="olga", role=Role.VIEWER, payloads=False)):
        found = await Desk(store, asker, config=lambda: config).ask(ROUTES_IN_FORCE, Nothing())
        messages[asker.role] = [each.message for each in found.warnings if each.path.endswith("pipeline_id")]
    assert "never 'Ann'" in messages[Role.OPERATOR][0]
    assert messages[Role.VIEWER] == [MASK]


async def test_a_desk_without_a_relay_reloads_nothing(client: Client) -> None:
    assert (await send(client, "POST", "/reload", {}))[0] == 409
    assert (await send(client, "POST", "/reload", {}, **VIEWER))[0] == 403
    assert OPERATOR != VIEWER


async def test_heal_is_empty_where_no_source_heals(client: Client) -> None:
    assert await get(client, "/heal", headers=VIEWER) == (200, {"sources": []})
    assert (await send(client, "POST", "/heal/approve", {"source": "crn"}))[0] == 404


async def test_a_reload_is_in_the_audit_by_whichever_path_it_was_asked_for(client: Client, store: Archive) -> None:
    assert (await client.post("/-/reload", headers=OPERATOR)).status == 200
    assert [(each.command, each.who) for each in await store.audit(limit=9)] == [("reload", "RELAY_ADMIN_TOKEN")]
