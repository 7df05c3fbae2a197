"""The digital pipeline's six events, from amoCRM's form to each target's JSON, through a real process.

Bodies and headers are shaped as amoCRM documents them: no time, no name, the account last.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from typing import Any

import jsonschema
import pytest
import pytest_asyncio
from standardwebhooks import Webhook, WebhookVerificationError

import relay
from tests.e2e.processes import RELAY, RelayProcess, run, running, until
from tests.e2e.sender import ACCOUNT, body, post
from tests.e2e.targets import Request, Targets, listening, well

pytestmark = pytest.mark.asyncio(loop_scope="module")  # one relay for all: every test has an event of its own

SCHEMA = json.loads(files("relay.amocrm").joinpath("event.schema.json").read_text())
SECRET = base64.b64encode(bytes(range(24))).decode()

ROUTES = f"""\
version: 1
sources: {{{{crm: {{{{token: "${{{{TOKEN}}}}", accounts: [{ACCOUNT["id"]}]}}}}}}}}
targets:
  sales: {{{{url: "{{sales}}"}}}}
  signed: {{{{url: "{{signed}}", secret: "{SECRET}"}}}}
  talks: {{{{url: "{{talks}}"}}}}
  loyalty: {{{{url: "{{loyalty}}"}}}}
  rest: {{{{url: "{{rest}}"}}}}
routes:
  - name: offer-made
    match: {{{{entity: leads, action: status, pipeline_id: 4410021, status_id: 5520033}}}}
    to: [sales, signed]
  - name: talks-to-us
    match: {{{{entity: leads, action: [call_in, mail_in, chat, site_visit], pipeline_id: 4410021}}}}
    to: talks
  - {{{{name: next-period, match: {{{{entity: customers, action: period, period_id: 3}}}}, to: loyalty}}}}
  - {{{{name: everything-else, otherwise: true, to: rest}}}}
"""

STAGE = {"id": 88012, "status_id": 5520033, "pipeline_id": 4410021}
MOVED = STAGE | {"old_status_id": 5520032, "old_pipeline_id": 4410021}
PERIOD = {"id": 660, "old_period_id": 2, "period_id": 3}

EVENTS: dict[str, tuple[Mapping[str, int], list[str]]] = {
    "leads.call_in": (STAGE, ["talks"]),
    "leads.chat": (STAGE, ["talks"]),
    "leads.site_visit": (STAGE, ["talks"]),
    "leads.mail_in": (STAGE, ["talks"]),
    "leads.status": (MOVED, ["sales", "signed"]),
    "customers.period": (PERIOD, ["loyalty"]),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def targets() -> AsyncIterator[Targets]:
    async with listening(sales=well, signed=well, talks=well, loyalty=well, rest=well) as targets:
        yield targets


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def process(targets: Targets, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RelayProcess]:
    routes = ROUTES.format(**{name: targets.url(name) for name in targets.behaviour})
    async with running(tmp_path_factory.mktemp("relay"), routes) as process:
        yield process


async def delivered(process: RelayProcess, targets: Targets, event: str, data: Mapping[str, int]) -> dict[str, Request]:
    """Target -> the request that brought it, once every target with a delivery of it has it."""
    before = len(targets.received)
    entity, action = event.split(".")
    kept = await post(process.hook, body(f"{entity}[{action}][0]", data))
    assert kept["events"] == 1
    await until(lambda: len(targets.received) >= before + kept["deliveries"])
    return {request.target: request for request in targets.received[before:]}


@pytest.mark.parametrize("event", EVENTS)
async def test_each_event_reaches_the_targets_of_its_route_as_the_schema_describes_it(
    event: str, process: RelayProcess, targets: Targets
) -> None:
    data, names = EVENTS[event]
    requests = await delivered(process, targets, event, data)
    assert sorted(requests) == names
    for request in requests.values():
        said = json.loads(request.body)
        jsonschema.validate(said, SCHEMA, format_checker=jsonschema.FormatChecker())
        assert said == {
            "id": request.headers["webhook-id"],
            "type": event,
            "timestamp": said["timestamp"],
            "source": "crm",
            "account": ACCOUNT,
            "entity": event.split(".")[0],
            "action": event.split(".")[1],
            "data": data,
        }


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("leads.status", MOVED | {"status_id": 142}),
        ("leads.status", MOVED | {"pipeline_id": 4410022}),
        ("leads.add", STAGE),
        ("leads.chat", STAGE | {"pipeline_id": 4410022}),
        ("customers.period", PERIOD | {"period_id": 4}),
    ],
    ids=["another stage", "the stage in another pipeline", "another action", "a chat elsewhere", "another period"],
)
async def test_what_differs_in_one_field_is_left_to_the_route_for_the_rest(
    event: str, data: Mapping[str, int], process: RelayProcess, targets: Targets
) -> None:
    assert sorted(await delivered(process, targets, event, data)) == ["rest"]


async def test_two_equal_bodies_are_two_events(process: RelayProcess, targets: Targets) -> None:
    first = await delivered(process, targets, "leads.mail_in", STAGE | {"id": 88013})
    second = await delivered(process, targets, "leads.mail_in", STAGE | {"id": 88013})
    assert first["talks"].headers["webhook-id"] < second["talks"].headers["webhook-id"]


async def test_the_headers_are_those_of_standard_webhooks(process: RelayProcess, targets: Targets) -> None:
    requests = await delivered(process, targets, "leads.status", MOVED | {"id": 88014})
    for request in requests.values():
        assert request.headers["content-type"] == "application/json"
        assert request.headers["user-agent"] == f"amocrm-relay/{relay.__version__}"
        assert request.headers["relay-attempt"] == "1"
        assert "relay-replay" not in request.headers
    assert "webhook-signature" not in requests["sales"].headers


async def test_a_signature_is_right_for_the_bytes_it_came_with_and_no_others(
    process: RelayProcess, targets: Targets
) -> None:
    requests = await delivered(process, targets, "leads.status", MOVED | {"id": 88015})
    signed = requests["signed"]
    headers = {name.lower(): value for name, value in signed.headers.items()}
    said: dict[str, Any] = Webhook(SECRET).verify(signed.body, headers)
    assert said["data"]["id"] == 88015
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(signed.body + b" ", headers)


async def test_a_replay_says_so_and_keeps_its_id(process: RelayProcess, targets: Targets) -> None:
    first = (await delivered(process, targets, "customers.period", PERIOD | {"id": 661}))["loyalty"]
    await process.drained()
    code, _, complaint = await run(
        *RELAY, "replay", first.event_id, "--state=delivered", f"--store=sqlite:///{process.store}"
    )
    assert code == 0, complaint
    await until(lambda: targets.of("loyalty")[-1] is not first)
    again = targets.of("loyalty")[-1]
    assert (again.headers["relay-replay"], again.attempt) == ("true", 2)
    assert (again.event_id, again.body) == (first.event_id, first.body)
