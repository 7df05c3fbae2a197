"""PUT, POST and DELETE below /api/v1: acts, keys that have them done once, and what takes long."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import pytest
from aiohttp import web

from relay.admin.api import acts as api_acts
from relay.admin.api import routes as api_routes
from relay.admin.api.asking import Asking
from relay.operations.asker import Role
from relay.operations.desk import Desk, Operation
from relay.operations.documents.notify import NotifyTestDocument
from relay.operations.notify_test import NOTIFY_TEST, NotifyTest
from relay.operations.registry import OPERATIONS
from relay.rfc3339 import rfc3339
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import AuditEntry, Report
from relay.store.sqlite.questions import SqliteQuestions
from tests.admin.api.conftest import OPERATOR, VIEWER, Client, get, send
from tests.cli.conftest import MINUTE, NOON, Run
from tests.cli.conftest import run as run


async def paused(store: Archive) -> list[str]:
    return [name for name, each in (await store.status()).targets.items() if each.pause]


async def test_an_act_is_done_in_the_name_of_the_asker(client: Client, store: Archive) -> None:
    status, done = await send(client, "PUT", "/targets/warehouse/pause", {"reason": "upgrade"})
    assert (status, done) == (200, {"target": "warehouse", "paused": True, "changed": True})
    assert await paused(store) == ["warehouse"]
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.details["reason"]) == ("pause", "upgrade")
    assert (await send(client, "DELETE", "/targets/warehouse/pause"))[1]["paused"] is False
    assert await paused(store) == []


async def test_a_viewer_acts_on_nothing(client: Client, store: Archive) -> None:
    status, problem = await send(client, "PUT", "/targets/warehouse/pause", {}, **VIEWER)
    assert (status, problem["type"]) == (403, "urn:amocrm-relay:problem:not-allowed")
    assert await store.audit(limit=9) == []


async def test_a_key_has_an_act_done_once(client: Client, store: Archive) -> None:
    first = await send(client, "PUT", "/targets/warehouse/pause", {"reason": "a"}, Idempotency_Key="k1")
    again = await send(client, "PUT", "/targets/warehouse/pause", {"reason": "a"}, Idempotency_Key="k1")
    assert first == again == (200, {"target": "warehouse", "paused": True, "changed": True})
    assert len(await store.audit(limit=9)) == 1


async def test_a_key_that_was_used_for_something_else_is_refused(client: Client, store: Archive) -> None:
    await send(client, "PUT", "/targets/warehouse/pause", {"reason": "a"}, Idempotency_Key="k1")
    status, problem = await send(client, "PUT", "/targets/sales-bot/pause", {"reason": "a"}, Idempotency_Key="k1")
    assert (status, problem["type"]) == (422, "urn:amocrm-relay:problem:key-reused")
    assert await paused(store) == ["warehouse"]


async def test_what_failed_is_tried_again_under_its_key(client: Client, store: Archive) -> None:
    status, _ = await send(client, "DELETE", "/targets/warehouse/pause", Idempotency_Key="k1")
    assert status == 409
    await send(client, "PUT", "/targets/warehouse/pause")
    assert (await send(client, "DELETE", "/targets/warehouse/pause", Idempotency_Key="k1"))[0] == 200


@pytest.mark.parametrize("key", ["", "a b", "ж", "k" * 201])
async def test_a_key_is_printable_ascii(client: Client, key: str) -> None:
    headers = OPERATOR | {"Idempotency-Key": key}
    answer = await client.put("/api/v1/targets/warehouse/pause", json={}, headers=headers)
    assert answer.status == 400


@pytest.mark.parametrize(
    ("body", "type_", "status", "detail"),
    [
        (b'{"reson": "a"}', "application/json", 400, "reson: no parameter 'reson' (did you mean 'reason'?)"),
        (b'{"reason": 7}', "application/json", 400, "reason: expected `str`, got `int`"),
        (b'{"target": "sales-bot"}', "application/json", 400, "target: stands in the path already"),
        (b"[]", "application/json", 400, "the body is not a JSON object"),
        (b"{", "application/json", 400, "the body is not JSON"),
        (b"reason=a", "application/x-www-form-urlencoded", 415, "the body must be application/json"),
    ],
)
async def test_a_body_that_cannot_be_read_changes_nothing(
    client: Client, store: Archive, body: bytes, type_: str, status: int, detail: str
) -> None:
    headers = OPERATOR | {"Content-Type": type_}
    answer = await client.put("/api/v1/targets/warehouse/pause", data=body, headers=headers)
    assert answer.status == status
    assert detail in (await answer.json(content_type=None))["detail"]
    assert await paused(store) == []


async def test_an_act_takes_no_query(client: Client, store: Archive) -> None:
    status, problem = await send(client, "PUT", "/targets/warehouse/pause?reason=a")
    assert (status, problem["errors"][0]["pointer"]) == (400, "/reason")
    assert await paused(store) == []


async def test_an_unknown_target_is_a_problem_in_the_words_of_the_command_line(client: Client) -> None:
    status, problem = await send(client, "PUT", "/targets/warehose/pause")
    assert (status, problem["detail"]) == (404, "no target 'warehose' (did you mean 'warehouse'?)")


# ---- what takes long


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """How it ends."""

    fail: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowDocument:
    """What came of it."""

    act: str


class Gate:
    """Lets slow acts end, and counts them."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.recorded = asyncio.Event()
        self.begun = 0

    async def run(self, desk: Desk, asked: Slow) -> SlowDocument:
        self.begun += 1
        act = desk.act("slow", {})
        await desk.store.record_audit(act, 7)
        self.recorded.set()
        await self.open.wait()
        if asked.fail:
            raise OSError("a fault")
        return SlowDocument(act=act.id)

    async def send_test(self, _desk: Desk, _asked: NotifyTest) -> NotifyTestDocument:
        self.begun += 1
        await self.open.wait()
        return NotifyTestDocument(receivers=())


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    made = Gate()
    slow: Operation[Any, Any] = Operation(
        name="slow",
        method="POST",
        path="/slow",
        role=Role.OPERATOR,
        parameters=Slow,
        document=SlowDocument,
        run=made.run,
        summary="Take long.",
        long=True,
    )
    whole = replace(slow, name="whole", path="/whole", whole=True)
    others = [replace(each, run=made.send_test) if each is NOTIFY_TEST else each for each in OPERATIONS]
    monkeypatch.setattr(api_routes, "OPERATIONS", (*others, slow, whole))
    monkeypatch.setattr(api_acts, "PATIENCE", 0.01)
    yield made
    made.open.set()


async def both(gate: Gate) -> None:
    """Return once two acts have begun, which is after their answer."""
    while gate.begun < 2:  # noqa: ASYNC110  as they do
        await asyncio.sleep(0)


async def ended(client: Client, act: str) -> dict[str, Any]:
    while (found := (await get(client, f"/acts/{act}"))[1])["state"] == "running":  # noqa: ASYNC110  as a client asks
        await asyncio.sleep(0)
    return found


async def test_what_takes_long_is_answered_202_and_goes_on(gate: Gate, client: Client) -> None:
    answer = await client.post("/api/v1/slow", json={}, headers=OPERATOR)
    assert answer.status == 202
    act = (await answer.json())["act"]
    assert answer.headers["Location"] == f"/api/v1/acts/{act}"
    await gate.recorded.wait()
    _, found = await get(client, f"/acts/{act}")
    assert (found["state"], found["operation"], found["count"], found["document"]) == ("running", "slow", 7, None)
    gate.open.set()
    found = await ended(client, act)
    assert (found["state"], found["document"]) == ("done", {"act": act})
    assert found["ended_at"]


async def test_a_long_act_is_begun_once_for_its_key(gate: Gate, client: Client) -> None:
    first = await send(client, "POST", "/slow", {}, Idempotency_Key="k1")
    again = await send(client, "POST", "/slow", {}, Idempotency_Key="k1")
    assert first == again
    assert first[0] == 202
    gate.open.set()
    await ended(client, first[1]["act"])
    assert await send(client, "POST", "/slow", {}, Idempotency_Key="k1") == (200, {"act": first[1]["act"]})
    assert gate.begun == 1


async def test_a_fault_of_a_long_act_is_said_where_it_is_looked_for_and_logged(
    gate: Gate, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    _, accepted = await send(client, "POST", "/slow", {"fail": True})
    gate.open.set()
    found = await ended(client, accepted["act"])
    assert (found["state"], found["problem"]["detail"]) == ("failed", "a fault of the relay: OSError, see its log")
    [record] = [each for each in caplog.records if each.exc_info]
    assert accepted["act"] in record.getMessage()


async def test_a_viewer_follows_an_act_without_what_it_found(gate: Gate, client: Client) -> None:
    _, accepted = await send(client, "POST", "/slow", {})
    gate.open.set()
    await ended(client, accepted["act"])
    _, found = await get(client, f"/acts/{accepted['act']}", headers=VIEWER)
    assert (found["state"], found["document"]) == ("done", {"act": "***"})


async def test_an_act_that_nobody_began_is_not_found(client: Client) -> None:
    assert (await get(client, "/acts/none"))[0] == 404


@pytest.fixture
async def restarted(
    gate: Gate, application: web.Application, aiohttp_client: Callable[..., Any], store: Archive, config: Any
) -> AsyncIterator[tuple[str, Client]]:
    """A relay that ended in the midst of a long act, and the next one on its store."""
    before = await aiohttp_client(application)
    _, accepted = await send(before, "POST", "/slow", {}, Idempotency_Key="k1")
    await gate.recorded.wait()
    await before.close()
    after = web.Application(middlewares=application.middlewares)
    api = api_routes.Api(Asking(store, lambda: config))
    after.add_routes(api.routes(None))
    after.on_cleanup.append(api.close)
    yield accepted["act"], await aiohttp_client(after)


async def test_an_act_in_whose_midst_the_relay_ended_is_interrupted_and_goes_on(
    gate: Gate, restarted: tuple[str, Client]
) -> None:
    act, client = restarted
    _, found = await get(client, f"/acts/{act}")
    assert (found["state"], found["operation"], found["count"]) == ("interrupted", "slow", 7)
    gate.open.set()
    assert (await send(client, "POST", "/slow", {}, Idempotency_Key="k1"))[1] == {"act": act}
    assert (await ended(client, act))["state"] == "done"


async def test_a_key_that_the_next_process_is_given_for_something_else_is_another_act_of_the_audit(
    client: Client, store: Archive, config: Config, aiohttp_client: Callable[..., Any]
) -> None:
    await send(client, "PUT", "/targets/warehouse/pause", {}, Idempotency_Key="k1")
    after = web.Application(middlewares=client.app.middlewares)
    after.add_routes(api_routes.Api(Asking(store, lambda: config)).routes(None))
    next_one = await aiohttp_client(after)
    await send(next_one, "PUT", "/targets/sales-bot/pause", {}, Idempotency_Key="k1")
    assert {each.details["target"] for each in await store.audit(limit=9)} == {"warehouse", "sales-bot"}


# ---- stopping one


async def test_the_rest_of_a_long_act_is_stopped_by_an_operator_and_goes_on_under_its_key(
    gate: Gate, client: Client, store: Archive
) -> None:
    _, accepted = await send(client, "POST", "/slow", {}, Idempotency_Key="k1")
    await gate.recorded.wait()
    act = accepted["act"]
    assert (await send(client, "DELETE", f"/acts/{act}", **VIEWER))[0] == 403
    status, found = await send(client, "DELETE", f"/acts/{act}")
    assert (status, found["state"], found["count"]) == (200, "stopped", 7)
    assert await send(client, "DELETE", f"/acts/{act}") == (status, found), "once more changes nothing"
    stops = [each for each in await store.audit(limit=9) if each.command == "stop"]
    assert [(each.details, each.who) for each in stops] == [({"act": act, "operation": "slow"}, "RELAY_ADMIN_TOKEN")]
    gate.open.set()
    assert (await send(client, "POST", "/slow", {}, Idempotency_Key="k1"))[1] == {"act": act}


async def test_a_replay_that_was_stopped_has_replayed_some_and_later_the_rest(
    client: Client, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 0.0)
    monkeypatch.setattr("relay.store.sqlite.replay.CHUNK", 1)
    monkeypatch.setattr("relay.store.sqlite.replay.PAUSE", 3600)
    asked = {"filter": {"state": ["dead", "delivered"]}}
    _, accepted = await send(client, "POST", "/replays", asked, Idempotency_Key="k1")
    act = accepted["act"]
    while not (await get(client, f"/acts/{act}"))[1]["count"]:  # noqa: ASYNC110  as a client asks
        await asyncio.sleep(0)
    _, found = await send(client, "DELETE", f"/acts/{act}")
    assert (found["state"], found["count"]) == ("stopped", 1)
    monkeypatch.setattr("relay.store.sqlite.replay.PAUSE", 0)
    await send(client, "POST", "/replays", asked, Idempotency_Key="k1")
    found = await ended(client, act)
    assert (found["state"], found["count"], found["document"]["done"]) == ("done", 2, 1)


async def test_a_command_stops_an_act_from_afar_and_shows_it(
    gate: Gate, client: Client, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELAY_TOKEN", OPERATOR["Authorization"].removeprefix("Bearer "))
    at = ("--relay", str(client.make_url("")).rstrip("/"))
    _, accepted = await send(client, "POST", "/slow", {})
    await gate.recorded.wait()
    here = await asyncio.to_thread(run, "acts", "stop", accepted["act"])
    assert here.exit_code == 1 and "stop it there, relay acts stop" in here.stderr
    stopped = await asyncio.to_thread(run, "acts", "stop", accepted["act"], *at)
    assert (stopped.exit_code, stopped.stdout) == (0, "slow is stopped: what was done stays\n")
    again = await asyncio.to_thread(run, "acts", "show", accepted["act"], *at)
    assert "stopped" in again.stdout and "RELAY_ADMIN_TOKEN" in again.stdout


async def test_what_is_not_to_be_stopped_or_has_ended_is_not(gate: Gate, client: Client) -> None:
    _, accepted = await send(client, "POST", "/whole", {})
    status, problem = await send(client, "DELETE", f"/acts/{accepted['act']}")
    assert (status, problem["detail"]) == (409, "whole is not stopped in its midst")
    gate.open.set()
    await ended(client, accepted["act"])
    status, problem = await send(client, "DELETE", f"/acts/{accepted['act']}")
    assert (status, problem["detail"]) == (409, "this act is done")
    assert (await send(client, "DELETE", "/acts/none"))[0] == 404


async def test_long_acts_leave_the_places_of_questions_free_and_wait_for_each_other(
    gate: Gate, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.api.asking.MAX_WAIT", 0.0)
    accepted = [(await send(client, "POST", "/slow", {}))[1]["act"] for _ in range(10)]
    assert (await get(client, "/deliveries"))[0] == 200
    assert gate.begun == 2
    gate.open.set()
    assert {(await ended(client, each))["state"] for each in accepted} == {"done"}
    assert gate.begun == 10


async def test_dry_runs_take_neither_the_places_of_questions_nor_those_of_acts(
    gate: Gate, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.api.asking.MAX_WAIT", 0.0)
    trials = [(await send(client, "POST", "/slow", {"dry_run": True}))[1]["act"] for _ in range(10)]
    await both(gate)
    assert (await get(client, "/deliveries"))[0] == 200
    gate.recorded.clear()
    await send(client, "POST", "/slow", {})
    await gate.recorded.wait()
    assert gate.begun == 3
    gate.open.set()
    assert {(await ended(client, each))["state"] for each in trials} == {"done"}


async def test_tests_of_receivers_that_do_not_answer_leave_the_places_of_questions_free(
    gate: Gate, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.api.asking.MAX_WAIT", 0.0)
    tests = [asyncio.create_task(send(client, "POST", "/notify/test", {})) for _ in range(10)]
    await both(gate)
    assert (await get(client, "/deliveries"))[0] == 200
    gate.open.set()
    assert {(await each)[0] for each in tests} == {200}
    assert gate.begun == 10


async def test_acts_are_listed_and_dry_runs_only_while_they_go_on(gate: Gate, client: Client) -> None:
    _, trial = await send(client, "POST", "/slow", {"dry_run": True})
    _, act = await send(client, "POST", "/slow", {})
    await both(gate)
    _, found = await get(client, "/acts?state=running", headers=VIEWER)
    assert {each["act"]: each["dry_run"] for each in found["data"]} == {trial["act"]: True, act["act"]: False}
    gate.open.set()
    for each in (trial, act):
        await ended(client, each["act"])
    _, found = await get(client, "/acts")
    assert [(each["act"], each["state"], each["who"]) for each in found["data"]] == [
        (act["act"], "done", "RELAY_ADMIN_TOKEN")
    ]


async def test_what_is_refused_before_it_did_anything_is_no_act_that_failed(client: Client) -> None:
    assert (await send(client, "POST", "/drop", {"target": "warehose"}))[0] == 404
    assert (await get(client, "/acts"))[1]["data"] == []


# ---- acts of other relays on the same store


async def test_an_act_that_another_relay_did_is_found_in_the_audit(client: Client, store: Archive) -> None:
    elsewhere = AuditEntry(id="019ab100-0000-7000-8000-00000000000a", at=NOON, who="olga", command="replay")
    await store.record_audit(elsewhere, 5)
    _, found = await get(client, f"/acts/{elsewhere.id}")
    assert (found["state"], found["operation"], found["count"]) == ("done", "replay", 5)


@pytest.mark.parametrize(("began_at", "state"), [(NOON + MINUTE, "running"), (NOON - MINUTE, "interrupted")])
async def test_an_act_under_way_at_another_relay_is_running_unless_that_was_started_again(
    client: Client, store: Archive, monkeypatch: pytest.MonkeyPatch, began_at: datetime, state: str
) -> None:
    name = (await store.status()).living[0].name
    began = {"019ab1": {"operation": "replay", "began_at": rfc3339(began_at)}}

    async def published(_store: SqliteQuestions, _name: str) -> list[Report]:
        return [Report(as_of=NOON, value={}, relay="me"), Report(as_of=NOON, value=began, relay=name)]

    monkeypatch.setattr(SqliteQuestions, "published", published)
    monkeypatch.setattr(SqliteQuestions, "relay", "me")
    _, found = await get(client, "/acts/019ab1")
    assert (found["state"], found["operation"]) == (state, "replay")
    status, problem = await send(client, "DELETE", "/acts/019ab1")
    assert status == 409
    assert ("stop it there" in problem["detail"]) is (state == "running")
