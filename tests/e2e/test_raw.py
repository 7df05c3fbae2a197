"""What cannot be read goes on byte for byte: Salesbot's `widget_request` and hooks of the Chats API pass through.

Their answers are not passed back: such a sender sees the relay's 200, and the target has to do the rest.
"""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from standardwebhooks import Webhook
from yarl import URL

from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running
from tests.e2e.sender import body, lead
from tests.e2e.targets import Answer, Behaviour, Targets, always, listening, refusing, well

CHANNEL = b"channel-secret-0123456789"
SECRET = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
JWT = "eyJhbGciOiJIUzUxMiJ9.eyJhY2NvdW50X2lkIjozMjQ1MzN9.c2lnbmVkLWJ5LWFtb2NybQ"
WIDGET = (
    f'{{"token":"{JWT}","data":{{"flow_id":"abc","lead":"777"}},'
    '"return_url":"https://example.amocrm.ru/api/v4/salesbot/19245/continue/12345"}'
).encode()
WIDGET_FORM = f"token={JWT}&data%5Bflow_id%5D=abc&data%5Blead%5D=777&return_url=https%3A%2F%2Fa.example%2F5".encode()
MESSAGE = (
    '{"account_id":"52e591f7","time":1639572261,"message":{"receiver":{"id":"2ed64e26","phone":"70000000000"},'
    '"sender":{"id":"76fc2bea"},"conversation":{"id":"8e4d4baa","client_id":"my-1"},"timestamp":1639572260,'
    '"message":{"id":"0371a0ff","type":"text","text":"Добрый день","markup":null}}}'
).encode()
ODD = b"\xff\xfe\x00\r\n leads%5Badd%5D \x1f\x8b\x08"

ROUTES = """\
version: 1
sources:
  crm: {{token: "${{TOKEN}}", accounts: [30770011]}}
  chats: {{token: "${{TOKEN}}"}}
defaults: {{retry: {{initial: 50ms, max: 200ms}}, dead_on: [410]}}
targets:
  bot: {{url: "{bot}?key=k"}}
  chats: {{url: "{chats}", secret: "{secret}", format: cloudevents, order: entity}}
  events: {{url: "{events}"}}
routes:
  - {{name: raw, unparsed: true, to: bot}}
  - {{name: chats, unparsed: true, match: {{source: chats}}, to: chats}}
  - {{name: rest, otherwise: true, to: events}}
"""


def gone_at_first(nth: int) -> Answer:
    return Answer(status=410 if nth == 1 else 200)


@asynccontextmanager
async def scene(
    folder: Path, *, chats: Behaviour = well, bot: Behaviour = well
) -> AsyncIterator[tuple[RelayProcess, Targets]]:
    async with listening(bot=bot, chats=chats, events=well) as targets:
        urls = {name: targets.url(name) for name in targets.behaviour}
        async with running(folder, ROUTES.format(secret=SECRET, **urls)) as relay:
            yield relay, targets


async def post(
    relay: RelayProcess, content: bytes, *, source: str = "crm", query: str = "", **headers: str
) -> Mapping[str, Any]:
    hook = f"http://127.0.0.1:{relay.port}/hooks/{source}/{TOKEN}{query}"
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with (
        aiohttp.ClientSession(skip_auto_headers=["content-type"]) as session,
        session.post(URL(hook, encoded=True), data=content, headers=named) as answer,
    ):
        assert answer.status == 200
        kept: Mapping[str, Any] = await answer.json()
        return kept


async def order(relay: RelayProcess, *arguments: str) -> str:
    store = f"--store=sqlite:///{relay.store}"
    code, printed, complaint = await run(*RELAY, *arguments, store, RELAY_CONFIG=str(relay.routes))
    assert code == 0, complaint
    return printed


@pytest.mark.parametrize(
    ("content", "type_", "query"),
    [
        (WIDGET, "application/json", "?v=1&a=%2f"),
        (WIDGET_FORM, "application/x-www-form-urlencoded", ""),
        (ODD, "Text/Plain; charset=odd", ""),
        (ODD, "", ""),
        (b"", "", ""),
    ],
)
async def test_it_arrives_byte_for_byte_with_its_type_and_query_and_the_reason(
    content: bytes, type_: str, query: str, tmp_path: Path
) -> None:
    async with scene(tmp_path) as (relay, targets):
        from_amocrm = {"X_Amocrm_Requestid": "1"}  # an empty body of anybody else is a probe
        kept = await post(relay, content, query=query, **({"Content_Type": type_} if type_ else {}), **from_amocrm)
        await relay.drained()
        [request] = targets.of("bot")
        shown = await relay.command("show", kept["webhook"])
    assert (kept["events"], kept["deliveries"]) == (0, 1)
    assert request.body == content
    assert request.headers.get("content-type", "") == type_
    assert request.query.partition("&")[::2] == ("key=k", query[1:])
    assert request.headers["relay-unparsed"] == kept["unparsed"]
    assert "x-signature" not in request.headers
    assert shown["raw"]["id"] == request.headers["webhook-id"] != kept["webhook"]
    [delivery] = shown["raw"]["deliveries"]
    assert (delivery["type"], delivery["routes"], delivery["state"]) == ("unparsed", ["raw"], "delivered")
    assert shown["events"] == []
    assert not targets.of("events")


async def test_a_chats_hook_can_be_verified_by_its_own_signature_and_by_ours_in_every_attempt(tmp_path: Path) -> None:
    signature = hmac.new(CHANNEL, MESSAGE, hashlib.sha1).hexdigest()
    async with scene(tmp_path, chats=refusing(2)) as (relay, targets):
        kept = await post(relay, MESSAGE, source="chats", Content_Type="application/json", X_Signature=signature)
        await relay.drained()
        requests = targets.of("chats")
    assert kept["deliveries"] == 2
    assert [request.attempt for request in requests] == [1, 2, 3]
    assert len({request.headers["webhook-id"] for request in requests}) == 1
    for request in requests:
        assert request.headers["x-signature"] == hmac.new(CHANNEL, request.body, hashlib.sha1).hexdigest()
        assert request.headers["content-type"] == "application/json"
        Webhook(SECRET).verify(request.body, {name.lower(): text for name, text in request.headers.items()})


async def test_at_an_ordered_target_those_of_a_source_go_one_after_the_other(tmp_path: Path) -> None:
    first = iter((503, 503))  # who comes next would overtake it
    async with scene(tmp_path, chats=lambda _nth: Answer(status=next(first, 200))) as (relay, targets):
        for number in range(4):
            await post(relay, b"hello %d" % number, source="chats")
        await relay.drained()
        taken = [request.body for request in targets.of("chats") if request.accepted]
        assert targets.busiest["chats"] == 1
    assert taken == [b"hello %d" % number for number in range(4)]


async def test_the_token_of_a_widget_request_is_in_no_line_of_the_log(tmp_path: Path) -> None:
    async with scene(tmp_path, bot=refusing(1)) as (relay, _targets):
        for content in (WIDGET, WIDGET_FORM):
            await post(relay, content)
        await relay.drained()
        await relay.said("attempt", 4)
        assert len(await relay.said("unparsed", 2)) == 2
        logged = relay.log.read_text()
    assert not any(part in logged for part in (JWT, *JWT.split(".")))


async def test_it_counts_as_an_unparsed_webhook_and_as_no_event(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, _targets):
        await post(relay, b"hello")
        await post(relay, body("leads[status][0]", lead(1, "m1", 1)))
        await relay.drained()
        assert await relay.metric("relay_webhooks_total", outcome="unparsed") == 1
        assert await relay.metric("relay_events_total") == 1
        assert await relay.metric("relay_route_matches_total", route="raw") == 1
        assert await relay.metric("relay_attempts_total", target="bot", outcome="delivered") == 1


async def test_a_dead_one_is_listed_and_replayed(tmp_path: Path) -> None:
    async with scene(tmp_path, bot=gone_at_first) as (relay, targets):
        kept = await post(relay, b"hello")
        await relay.drained()
        [dead] = (await relay.command("list", "--state", "dead"))["data"]
        assert (dead["type"], dead["target"], dead["entity_id"]) == ("unparsed", "bot", "")
        assert "unparsed" in await order(relay, "list", "--state", "dead")
        assert "replayed 1" in await order(relay, "replay", kept["webhook"])
        await relay.drained()
        first, again = targets.of("bot")
    assert (again.body, again.headers["relay-replay"]) == (b"hello", "true")
    assert first.headers["webhook-id"] == again.headers["webhook-id"] == dead["event"]


async def test_once_it_can_be_read_its_events_are_delivered_and_what_was_pending_raw_is_not(tmp_path: Path) -> None:
    body_ = "leads%5Badd%5D%5B0%5D%5Bid%5D=7&leads%5Badd%5D%5B0%5D%5Bname%5D=Окна&account%5Bid%5D=30770011".encode(
        "cp1251"
    )
    async with scene(tmp_path, bot=always(503)) as (relay, targets):
        kept = await post(relay, body_)
        assert kept["deliveries"] == 1
        await relay.said("attempt")
        await order(relay, "reparse", kept["webhook"], "--charset", "cp1251")
        await relay.drained()
        shown = await relay.command("show", kept["webhook"])
    [event] = shown["events"]
    assert event["event"]["data"]["name"] == "Окна"
    assert [request.event_id for request in targets.of("events")] == [event["id"]]
    [raw] = shown["raw"]["deliveries"]
    assert (raw["state"], raw["why"]) == ("dead", "reparsed")
