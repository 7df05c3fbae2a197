"""The public listener's answers, and what is stored and delivered for each."""

import gzip
import json
import threading
from typing import Any

import pytest

from relay.amocrm import events
from relay.daemon.wiring import url
from relay.delivery.dispatcher import Dispatcher
from relay.ingest import decode
from relay.routes import config
from relay.routes.plan import plan
from relay.signals import Probed, WebhookRejected, WebhookStored
from tests.e2e.processes import until
from tests.scene import FORM, LEAD, MAX_BODY, OTHER_TOKEN, TOKEN, WON, Answer, Scene, form

pytestmark = pytest.mark.usefixtures("server")  # each is run with both


# ---- 200


async def test_the_answer_counts_events_and_deliveries(scene: Scene) -> None:
    answer = await scene.post(form(LEAD, WON))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.body == {"webhook": answer.body["webhook"], "events": 2, "deliveries": 3}
    shown = await scene.relay.store.show(answer.body["webhook"])
    assert shown
    assert shown.webhook.body == form(LEAD, WON)
    assert [len(event.deliveries) for event in shown.events] == [1, 2]
    await until(lambda: len(scene.targets.received) == 3)
    assert (scene.targets.accepted("bot"), scene.targets.accepted("dwh")) == (["m1", "m2"], ["m2"])


async def test_an_unrouted_event_is_stored(scene: Scene) -> None:
    answer = await scene.post(b"task[add][0][id]=7")
    assert (answer.status, answer.body["events"], answer.body["deliveries"]) == (200, 1, 0)
    assert await scene.relay.store.show(answer.body["webhook"])


async def test_a_route_with_several_targets_is_counted_once(scene: Scene) -> None:
    await scene.post(form(LEAD, WON))
    [kept] = [each for each in scene.facts.signals if isinstance(each, WebhookStored)]
    assert [each.routes for each in kept.routed] == [("all",), ("all", "won")]


async def test_each_token_of_a_source_is_good(scene: Scene) -> None:
    assert [(await scene.post(form(LEAD), token=token)).status for token in (TOKEN, OTHER_TOKEN)] == [200, 200]


async def test_equal_bodies_without_a_time_are_not_duplicates(scene: Scene) -> None:
    first, second = await scene.post(form(LEAD)), await scene.post(form(LEAD))
    assert first.body["webhook"] < second.body["webhook"]
    await until(lambda: len(scene.targets.received) == 2)


@pytest.mark.parametrize(
    "headers",
    [FORM, {"content-type": "text/plain"}, {"content-type": "application/json"}, {"content-type": "image/png"}],
    ids=["form", "text", "JSON", "an image"],
)
async def test_a_form_is_read_whatever_it_is_called(headers: dict[str, str], scene: Scene) -> None:
    assert (await scene.post(form(LEAD), headers=headers)).body["events"] == 1


async def test_a_form_without_a_content_type_is_read(scene: Scene) -> None:
    body = form(LEAD)
    head = await scene.raw(b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert head.startswith(b"HTTP/1.1 200 ")
    await until(lambda: scene.targets.accepted("bot") == ["m1"])


async def test_json_of_the_same_shape_makes_the_same_event(scene: Scene) -> None:
    document = {"leads": {"status": [LEAD]}, "account": {"id": 30770011, "subdomain": "romashka"}}
    await scene.post(json.dumps(document).encode(), headers={"content-type": "application/json"})
    await scene.post(form(LEAD))
    await until(lambda: len(scene.targets.received) == 2)
    one, other = (json.loads(each.body) for each in scene.targets.received)
    assert one | {"id": "", "timestamp": ""} == other | {"id": "", "timestamp": ""}


async def test_what_amocrm_says_of_the_request_is_kept(scene: Scene) -> None:
    headers = FORM | {"x-amocrm-requestid": "6f2f7c0e-0000-4000-8000-000000000001"}
    answer = await scene.post(form(LEAD), headers=headers)
    shown = await scene.relay.store.show(answer.body["webhook"])
    assert shown
    assert (shown.webhook.request_id, shown.webhook.content_type) == (
        headers["x-amocrm-requestid"],
        FORM["content-type"],
    )


@pytest.mark.parametrize("name", [b"Content-Type", b"X-Amocrm-Requestid"])
async def test_a_header_that_is_no_text_costs_no_webhook(name: bytes, scene: Scene) -> None:
    body = form(LEAD)
    head = await scene.raw(name + b": \xff\xfe;\r\n", b"Content-Length: %d\r\n\r\n" % len(body), body)
    assert head.startswith(b"HTTP/1.1 200 ")
    await until(lambda: scene.targets.accepted("bot") == ["m1"])


async def test_a_wrong_token_takes_the_same_work_for_any_source_or_none(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests: list[list[str]] = []
    digest = config._digest

    def noted(path: str) -> bytes:
        digests[-1].append(path)
        return digest(path)

    assert scene.relay.reloader.config.source_at("/hooks/crm/x") is None  # the table is made
    monkeypatch.setattr(config, "_digest", noted)
    for source, token in [("crm", "wrong"), ("shop", "wrong"), ("shop", OTHER_TOKEN), ("no", TOKEN), ("no", "wrong")]:
        digests.append([])
        assert (await scene.post(form(LEAD), source=source, token=token)).status == 404
        assert set(digests[-1]) == {f"/hooks/{source}/{token}"}, "the whole path is looked up, and by its digest alone"
    assert len({len(each) for each in digests}) == 1


# ---- 200, unparsed


@pytest.mark.parametrize(
    "body",
    [b"hello", b"\x00\xff\xfe", b'{"leads":', b"[1, 2]", b"leads[status][0]=7", b"a" * 10_000],
    ids=["a word", "no text", "half of a JSON", "a list", "no fields", "a long word"],
)
async def test_an_unreadable_body_is_stored_raw_and_listed(body: bytes, scene: Scene) -> None:
    answer = await scene.post(body)
    assert (answer.status, answer.body["events"], answer.body["deliveries"]) == (200, 0, 0)
    [unparsed] = await scene.relay.store.unparsed(limit=10)
    assert (unparsed.id, unparsed.body, unparsed.unparsed) == (answer.body["webhook"], body, answer.body["unparsed"])
    [kept] = [each for each in scene.facts.signals if isinstance(each, WebhookStored)]
    assert kept.webhook.unparsed


AMOCRM = [
    {"x-amocrm-requestid": "6f2f7c0e-0000-4000-8000-000000000001"},
    {"user-agent": "amoCRM-Webhooks/3.0"},
    {"user-agent": "amoCRM-WebHook-client/1.0"},
]


@pytest.mark.parametrize("headers", AMOCRM)
async def test_an_empty_body_from_amocrm_is_stored_as_unparsed(headers: dict[str, str], scene: Scene) -> None:
    """A proxy that strips bodies must not look healthy."""
    answer = await scene.post(b"", headers=FORM | headers)
    assert (answer.status, answer.body["unparsed"]) == (200, "empty body")
    assert [each.body for each in await scene.relay.store.unparsed(limit=10)] == [b""]


async def test_a_compressed_body_is_kept_compressed(scene: Scene) -> None:
    body = gzip.compress(form(LEAD))
    answer = await scene.post(body, headers=FORM | {"content-encoding": "gzip"})
    assert answer.status == 200
    assert answer.body["unparsed"]
    assert [each.body for each in await scene.relay.store.unparsed(limit=10)] == [body]


async def test_a_fault_of_ours_loses_no_webhook(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("broken for the test")

    monkeypatch.setattr(events, "read", broken)
    answer = await scene.post(form(LEAD))
    assert answer.status == 200
    assert "ZeroDivisionError" in answer.body["unparsed"]
    assert [each.body for each in await scene.relay.store.unparsed(limit=10)] == [form(LEAD)]


# ---- 200, a probe


@pytest.mark.parametrize("path", ["", "/", "?try=1"])
async def test_an_empty_body_from_another_client_is_a_probe_and_not_stored(path: str, scene: Scene) -> None:
    async with scene.session.post(scene.hook() + path, headers=FORM) as response:
        assert (response.status, await response.json()) == (200, {"probe": True})
    assert [each for each in scene.facts.signals if isinstance(each, WebhookStored | Probed | WebhookRejected)] == [
        Probed(source="crm", remote="127.0.0.1")
    ]
    status = await scene.relay.store.status()
    assert (status.last_at, status.unparsed) == (None, 0)


async def test_a_chunked_probe_is_one_too(scene: Scene) -> None:
    for piece in (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"\r\n"):
        assert (await scene.raw(piece)).startswith(b"HTTP/1.1 200 ")
    assert [each for each in scene.facts.signals if isinstance(each, WebhookStored | WebhookRejected)] == []


async def test_a_probe_needs_the_token(scene: Scene) -> None:
    assert (await scene.post(b"", token="wrong")).status == 404
    assert scene.facts.refusals() == [("-", "unauthorized")]


# ---- 404, 405, 403, 413


async def test_an_unknown_source_and_a_wrong_token_are_answered_alike(scene: Scene) -> None:
    answers = [
        await scene.post(form(LEAD), source=source, token=token)
        for source, token in [
            ("crm", "wrong"),
            ("nobody", TOKEN),
            ("nobody", "wrong"),
            ("-", TOKEN),
            ("crm", TOKEN + "0"),
        ]
    ]
    assert {each.status for each in answers} == {404}
    assert {json.dumps(each.body) for each in answers} == {'{"error": "not found"}'}
    assert len({tuple(name for name in each.headers) for each in answers}) == 1
    assert len({each.headers["content-length"] for each in answers}) == 1
    assert scene.facts.refusals() == [("-", "unauthorized")] * 5
    assert not await scene.kept()


@pytest.mark.parametrize(("source", "token"), [("crm", "wrong"), ("nobody", TOKEN)])
async def test_a_stranger_is_answered_before_any_of_the_body_came(source: str, token: str, scene: Scene) -> None:
    head = await scene.raw(b"Content-Length: 1000000\r\n\r\n", source=source, token=token)
    assert head.startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize("path", ["/", "/hooks", "/hooks/crm", f"/hooks/crm/{TOKEN}/more", "/metrics", "/readyz"])
async def test_other_paths_are_not_found(path: str, scene: Scene) -> None:
    async with scene.session.post(url(scene.relay.listening) + path, data=form(LEAD)) as response:
        assert await Answer.of(response) == Answer(status=404, body={"error": "not found"}, headers=response.headers)


@pytest.mark.parametrize("asked", [b"CONNECT relay:443", b"OPTIONS *", b"GET http://other/hooks"])
async def test_what_has_no_path_is_not_found_in_the_same_words(asked: bytes, scene: Scene) -> None:
    async with scene.connected() as (reader, writer):
        writer.write(asked + b" HTTP/1.1\r\nHost: relay\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 404 ")
        assert await reader.readexactly(21) == b'{"error":"not found"}'


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("token", [TOKEN, "wrong"])
async def test_only_post_is_allowed_whoever_asks(method: str, token: str, scene: Scene) -> None:
    async with scene.session.request(method, scene.hook(token=token), data=form(LEAD)) as response:
        assert (response.status, response.headers["allow"]) == (405, "POST")
    assert not await scene.kept()


async def test_a_foreign_account_is_rejected_and_not_stored(scene: Scene) -> None:
    answer = await scene.post(form(LEAD, account={"id": 7, "subdomain": "stranger"}), source="shop")
    assert answer.status == 403
    assert scene.facts.refusals() == [("shop", "refused_account")]
    assert not await scene.kept()


async def test_no_account_is_a_foreign_account(scene: Scene) -> None:
    assert (await scene.post(form(LEAD, account={}), source="shop")).status == 403


@pytest.mark.parametrize("account", [{"id": 30770011, "subdomain": "renamed"}, {"id": 8, "subdomain": "romashka"}])
async def test_an_account_is_known_by_its_id_or_its_subdomain(account: dict[str, object], scene: Scene) -> None:
    assert (await scene.post(form(LEAD, account=account), source="shop")).status == 200


async def test_an_unparsed_webhook_has_no_account_and_is_stored(scene: Scene) -> None:
    assert (await scene.post(b"hello", source="shop")).status == 200


async def test_a_body_as_large_as_allowed_is_stored(scene: Scene) -> None:
    assert (await scene.post(b"x" * MAX_BODY)).status == 200


async def test_a_larger_body_is_rejected(scene: Scene) -> None:
    answer = await scene.post(b"x" * (MAX_BODY + 1))
    assert answer.status == 413
    assert str(MAX_BODY) in answer.body["error"]
    assert scene.facts.refusals() == [("crm", "too_large")]
    assert not await scene.kept()


async def test_a_larger_content_length_is_rejected_before_the_body(scene: Scene) -> None:
    head = await scene.raw(b"Content-Length: 99999999999\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")


async def test_a_larger_chunked_body_is_rejected(scene: Scene) -> None:
    chunk = b"1000\r\n" + b"x" * 0x1000 + b"\r\n"
    head = await scene.raw(b"Transfer-Encoding: chunked\r\n\r\n", chunk * (MAX_BODY // 0x1000 + 1), b"0\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert scene.facts.refusals() == [("crm", "too_large")]


# ---- large ones, which are understood beside the event loop


@pytest.mark.usefixtures("large")
async def test_a_large_body_is_decoded_in_a_thread_and_leased_in_the_event_loop(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease, leased, planned = Dispatcher.lease, set(), set()

    def leasing(*what: Any) -> Any:
        leased.add(threading.get_ident())
        return lease(*what)

    def planning(*what: Any, **more: Any) -> Any:
        planned.add(threading.get_ident())
        return plan(*what, **more)

    monkeypatch.setattr(Dispatcher, "lease", leasing)
    monkeypatch.setattr(decode, "plan", planning)
    assert (await scene.post(form(LEAD, WON))).body["deliveries"] == 3
    await until(lambda: len(scene.targets.received) == 3)
    assert leased == {threading.get_ident()}, "a lane lives in one event loop"
    assert planned
    assert threading.get_ident() not in planned
