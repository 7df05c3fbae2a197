"""What each format brings to a real target, of every body of ours that holds one event: all through one relay."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import pytest_asyncio
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from cloudevents.core.exceptions import CloudEventValidationError

from relay.amocrm import form, sample_bodies
from tests.e2e.processes import running
from tests.e2e.sender import post
from tests.e2e.targets import Request, Targets, listening, well

pytestmark = pytest.mark.asyncio(loop_scope="module")  # the relay and what it delivered are the same for all

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
  plain: {{url: "{plain}"}}
  cloud: {{url: "{cloud}", format: cloudevents}}
  amocrm: {{url: "{amocrm}", format: form}}
routes:
  - {{name: all, match: {{source: crm}}, to: [plain, cloud, amocrm]}}
"""

GOLDEN = sorted((Path(__file__).parent.parent / "amocrm" / "bodies").glob("*.form"))
ALONE = [
    *(file.read_bytes() for file in GOLDEN if len(orjson.loads(file.with_suffix(".json").read_bytes())) == 1),
    *(form.encode(sample_bodies.body(event_type)) for event_type in sample_bodies.TYPES),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def targets(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Targets]:
    """Once each has got its deliveries of every body."""
    async with listening(plain=well, cloud=well, amocrm=well) as targets:
        routes = ROUTES.format(**{name: targets.url(name) for name in targets.behaviour})
        async with running(tmp_path_factory.mktemp("relay"), routes) as relay:
            for each in ALONE:
                kept = await post(relay.hook, each)
                assert (kept["events"], kept["deliveries"]) == (1, 3)
            await relay.drained()
            yield targets


def cloudevent(request: Request) -> BaseCloudEvent:
    """As the CloudEvents SDK reads it, which does not ask for the type of a structured message: so we do."""
    assert request.headers["content-type"].startswith("application/cloudevents+json")
    headers = {name.lower(): text for name, text in request.headers.items()}
    return from_http_event(HTTPMessage(headers=headers, body=request.body))


async def test_a_form_is_what_amocrm_sent_byte_for_byte(targets: Targets) -> None:
    received = targets.of("amocrm")
    assert len(received) >= 55
    assert sorted(request.body for request in received) == sorted(ALONE)
    assert {request.headers["content-type"] for request in received} == {"application/x-www-form-urlencoded"}


async def test_the_public_library_reads_each_cloudevent_and_finds_the_event_in_it(targets: Targets) -> None:
    plain: dict[str, Any] = {request.event_id: orjson.loads(request.body) for request in targets.of("plain")}
    received = [(request, cloudevent(request)) for request in targets.of("cloud")]
    assert len(received) == len(plain) == len(ALONE)
    for request, event in received:
        same = plain[request.event_id]
        assert event.get_specversion() == "1.0"
        assert event.get_id() == request.event_id
        assert event.get_source() == "/amocrm/crm"
        assert event.get_type() == f"com.amocrm.{same['type']}"
        assert event.get_time().isoformat(timespec="milliseconds") == same["timestamp"].replace("Z", "+00:00")
        assert event.get_datacontenttype() == "application/json"
        assert event.get_data() == same


async def test_the_public_library_refuses_what_is_no_cloudevent(targets: Targets) -> None:
    request = targets.of("cloud")[0]
    broken = orjson.loads(request.body) | {"type": ""}
    headers = {"content-type": request.headers["content-type"]}
    with pytest.raises(CloudEventValidationError):
        from_http_event(HTTPMessage(headers=headers, body=orjson.dumps(broken)))
