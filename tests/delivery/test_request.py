"""`relay.delivery.request`: the very request that a target gets."""

from base64 import b64encode
from dataclasses import replace
from datetime import datetime

import orjson
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from relay import __version__
from relay.delivery.batch import as_one
from relay.delivery.payload import Original
from relay.delivery.request import Renderer, render, render_raw
from relay.model import Format, Method, Secret
from relay.model.trace import attempt_span_id
from tests.delivery.conftest import NOON, PAYLOAD, delivery, target
from tests.delivery.test_raw import HOOK

OLD, NEW = (b64encode(bytes([n]) * 32).decode() for n in (7, 8))


def test_the_headers_are_these_and_no_others() -> None:
    request = render(delivery(attempt=3), target(), now=NOON)
    assert request.url == "https://bot.example/in"
    assert request.all_headers == {
        "content-type": "application/json",
        "user-agent": f"amocrm-relay/{__version__}",
        "webhook-id": "0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b13",
        "webhook-timestamp": "1795348800",
        "relay-attempt": "3",
    }


@pytest.mark.parametrize("method", Method)
def test_the_method_is_the_targets(method: Method) -> None:
    assert render(delivery(), target(method=method), now=NOON).method == method.value


@pytest.mark.parametrize(
    ("format_", "content_type"),
    [
        (Format.JSON, "application/json"),
        (Format.CLOUDEVENTS, "application/cloudevents+json; charset=utf-8"),
        (Format.FORM, "application/x-www-form-urlencoded"),
    ],
)
def test_the_content_type_is_that_of_the_format(format_: Format, content_type: str) -> None:
    sent = Original(body=b"leads[add][0][id]=7")
    request = render(delivery(), target(format=format_), now=NOON, original=sent)
    assert request.all_headers["content-type"] == content_type


def test_what_a_target_gets_in_every_request_is_one_object() -> None:
    """The client writes it into bytes once."""
    renderer = Renderer(target(headers={"webhook-id": Secret("ours"), "X-Key": Secret("k")}))
    first, second = [renderer.render(delivery(attempt=n), now=NOON) for n in (1, 2)]
    assert first.headers is second.headers
    assert not first.headers.keys() & first.own_headers.keys(), "no name is written twice"
    assert first.all_headers["webhook-id"] == "ours"


def test_the_body_is_the_payload_byte_for_byte() -> None:
    odd = b'{"id" : "x",  "n":1e2, "\xd0\x96":9223372036854775807}'
    assert render(delivery(payload=odd), target(), now=NOON).body == odd


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("https://bot.example/in", "https://bot.example/in?try=%2f1&a=b+c"),
        ("https://bot.example/in?key=k", "https://bot.example/in?key=k&try=%2f1&a=b+c"),
        ("https://bot.example/in?", "https://bot.example/in?try=%2f1&a=b+c"),
        ("https://bot.example/in?key=k&", "https://bot.example/in?key=k&try=%2f1&a=b+c"),
    ],
)
def test_the_query_of_a_webhook_goes_on_as_it_came_with_amocrms_own_form_alone(url: str, sent_to: str) -> None:
    sent = Original(body=b"leads[add][0][id]=7", query="try=%2f1&a=b+c")
    assert render(delivery(), target(url=url, format=Format.FORM), now=NOON, original=sent).url == sent_to
    for other in (Format.JSON, Format.CLOUDEVENTS):
        assert render(delivery(), target(url=url, format=other), now=NOON, original=sent).url == url
    without = Original(body=sent.body)
    assert render(delivery(), target(url=url, format=Format.FORM), now=NOON, original=without).url == url


def test_every_attempt_has_the_same_id_and_its_own_number() -> None:
    requests = [render(delivery(attempt=n), target(), now=NOON) for n in (1, 2, 3)]
    assert len({request.all_headers["webhook-id"] for request in requests}) == 1
    assert [request.all_headers["relay-attempt"] for request in requests] == ["1", "2", "3"]


def test_every_attempt_sends_the_trace_of_its_webhook_with_a_parent_of_its_own() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-800000000000000a-00"
    sent = [render(delivery(attempt=n, trace=trace), target(), now=NOON).all_headers["traceparent"] for n in (1, 2)]
    assert {each[:35] for each in sent} == {"00-4bf92f3577b34da6a3ce929d0e0e4736"}
    assert {each[52:] for each in sent} == {"-00"}
    assert len({each[36:52] for each in sent} | {"800000000000000a"}) == 3
    raw = render_raw(delivery(attempt=2, trace=trace, payload=b""), target(), HOOK, now=NOON)
    assert raw.all_headers["traceparent"] == sent[1]


def test_a_batch_sends_the_trace_of_its_first_event_with_a_parent_of_its_own() -> None:
    traces = [f"00-4bf92f3577b34da6a3ce929d0e0e473{n}-800000000000000a-01" for n in (1, 2)]
    batch = [delivery(event_id=f"019ab000-0000-7000-8000-00000000000{n}", trace=traces[n]) for n in (0, 1)]
    sent = render(as_one(batch), target(), now=NOON).all_headers["traceparent"]
    assert (sent[:36], sent[52:]) == (traces[0][:36], "-01")
    assert sent[36:52] not in {attempt_span_id(each.event_id, "bot", 1) for each in batch}


def test_a_targets_own_traceparent_replaces_ours() -> None:
    own = {"Traceparent": Secret("00-ours")}
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-800000000000000a-01"
    headers = render(delivery(trace=trace), target(headers=own), now=NOON).all_headers
    assert headers["traceparent"] == "00-ours"


def test_a_replay_says_so() -> None:
    assert render(delivery(replay=True), target(), now=NOON).all_headers["relay-replay"] == "true"


def test_the_targets_own_headers_are_added_and_win_whatever_their_case() -> None:
    own = {"Authorization": Secret("Bearer b0a7"), "User-Agent": Secret("northwind")}
    headers = render(delivery(), target(headers=own), now=NOON).all_headers
    assert headers["authorization"] == "Bearer b0a7"
    assert [value for name, value in headers.items() if name.lower() == "user-agent"] == ["northwind"]


def test_a_request_prints_no_secret() -> None:
    guarded = target(url="https://bot.example/canary", headers={"Authorization": Secret("canary")})
    assert "canary" not in repr(render(delivery(), guarded, now=NOON))


def test_what_may_be_secret_is_listed_for_the_answer_longest_first() -> None:
    url = "https://bot.example/hooks/0123456789abcdef?key=canary-1&v=2"
    headers = {"Authorization": Secret("Bearer canary-22"), "X-Version": Secret("3")}
    secrets = render(delivery(), target(url=url, headers=headers), now=NOON).secrets
    assert secrets == tuple(sorted(secrets, key=len, reverse=True))
    plain = {"Bearer canary-22", "canary-22", "key=canary-1&v=2", "canary-1", "0123456789abcdef"}
    encoded = {"Bearer%20canary-22", "key%3Dcanary-1%26v%3D2", "key%3dcanary-1%26v%3d2"}
    assert {*secrets} == plain | encoded


# ---- signatures


def signed(*secrets: str, **changes: object) -> tuple[bytes, dict[str, str]]:
    request = render(delivery(**changes), target(secrets=tuple(map(Secret, secrets))), now=datetime.now(NOON.tzinfo))
    return request.body, dict(request.all_headers)


@pytest.mark.parametrize("prefix", ["", "whsec_"])
def test_the_public_library_accepts_the_signature(prefix: str) -> None:
    body, headers = signed(prefix + NEW)
    assert Webhook(prefix + NEW).verify(body, headers) == orjson.loads(body)


def test_while_secrets_rotate_both_are_accepted_and_no_third() -> None:
    body, headers = signed(NEW, OLD)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (NEW, OLD):
        Webhook(secret).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(b64encode(b"somebody else's secret!!").decode()).verify(body, headers)


@pytest.mark.parametrize("changed", ["body", "webhook-id", "webhook-timestamp"])
def test_what_is_signed_cannot_be_changed(changed: str) -> None:
    body, headers = signed(NEW)
    if changed == "body":
        body += b" "
    else:
        headers[changed] = headers[changed][:-1] + ("1" if headers[changed][-1] == "0" else "0")
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)


@pytest.mark.parametrize("format_", Format)
def test_every_format_is_signed_as_it_is_sent(format_: Format) -> None:
    signing = target(secrets=(Secret(NEW),), format=format_)
    request = render(delivery(), signing, now=datetime.now(NOON.tzinfo), original=Original(body=b"leads%5Badd%5D=1"))
    unsigned = replace(signing, secrets=())
    assert request.body == render(delivery(), unsigned, now=NOON, original=Original(body=b"leads%5Badd%5D=1")).body
    assert b"v1," in request.all_headers["webhook-signature"].encode()
    verify_bytes(request.body, dict(request.all_headers))


def verify_bytes(body: bytes, headers: dict[str, str]) -> None:
    """`verify` also reads the body as JSON, which a form is not: compare what it would have computed."""
    webhook = Webhook(NEW)
    at = datetime.fromtimestamp(int(headers["webhook-timestamp"]), tz=NOON.tzinfo)
    assert webhook.sign(headers["webhook-id"], at, body.decode()) == headers["webhook-signature"]


# ---- CloudEvents 1.0, https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md


def test_a_cloudevent_in_structured_mode_carries_the_event() -> None:
    request = render(delivery(), target(format=Format.CLOUDEVENTS), now=NOON)
    assert request.all_headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    event = orjson.loads(request.body)
    assert event == {
        "specversion": "1.0",
        "id": "0199b3d0-1f2e-7a61-9c55-4d0e8f7a2b13",
        "source": "/amocrm/crm",
        "type": "com.amocrm.leads.status",
        "time": "2026-11-22T12:00:00.000Z",
        "datacontenttype": "application/json",
        "data": orjson.loads(PAYLOAD),
    }


def test_the_source_of_a_cloudevent_is_a_uri_reference() -> None:
    odd = orjson.dumps(orjson.loads(PAYLOAD) | {"source": "склад 1/2"})
    request = render(delivery(payload=odd), target(format=Format.CLOUDEVENTS), now=NOON)
    source = orjson.loads(request.body)["source"]
    assert source == "/amocrm/%D1%81%D0%BA%D0%BB%D0%B0%D0%B4%201%2F2"
