"""Requests that are rendered of the event, until they are settled: what cannot be rendered, and what is mended."""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from relay.delivery.batch import as_one
from relay.delivery.circuit import Circuit
from relay.delivery.masks import masked
from relay.delivery.payload import Original
from relay.delivery.request import Renderer
from relay.delivery.template_renderer import TemplateRenderer, new_renderer
from relay.delivery.verdicts import Verdicts
from relay.errors import TemplateFailed
from relay.model import Batch, Dead, Format, Health, Reason, RetryAt, Secret, State, Target, Webhook
from relay.model.templates import Context, event_context
from relay.signals import CircuitClosed, CircuitOpened
from relay.store.records import Filter
from relay.store.sqlite.store import SqliteStore
from tests.delivery.bench import Bench, act, event_id, now
from tests.delivery.conftest import NOON, PAYLOAD, Receiver, delivery, every, outcome, target
from tests.store.conftest import Kind, kind  # noqa: F401  a fixture


@dataclass(frozen=True)
class Text:
    """A template: `text` with the event in it, or a failure where its data have the field `poison`."""

    text: str
    fields: frozenset[str] = frozenset()

    def render(self, context: Context) -> str:
        data = context.get("data", {})
        if "poison" in data:
            raise TemplateFailed("the output is over 1,000,000 bytes")
        return self.text.format(id=data.get("id", ""), source=context.get("source", ""))


@dataclass(frozen=True)
class Body:
    text: Text
    content_type: str = "application/json"
    fields: frozenset[str] = frozenset()

    def render(self, context: Context) -> bytes:
        return self.text.render(context).encode()


@dataclass(frozen=True)
class Constant:
    content_type: str = "text/plain"
    fields: frozenset[str] = frozenset()

    def render(self, context: Context) -> bytes:
        return b"mended"


@dataclass(frozen=True)
class Fails:
    place: str
    content_type: str = "text/plain"
    fields: frozenset[str] = frozenset()

    def render(self, context: Context) -> bytes:
        raise TemplateFailed("too long", self.place)


@dataclass(frozen=True)
class Rows:
    content_type: str = "text/csv"
    fields: frozenset[str] = frozenset()

    def render(self, context: Context) -> bytes:
        return b"".join(
            b"%s\n" % LEAD.text.render(event)[1:-1].encode() for event in map(event_context, context["events"])
        )


LEAD, MENDED = Body(Text("[{id}]")), Constant()


# ---- one request


def test_a_target_without_templates_is_rendered_as_it_always_was() -> None:
    assert type(new_renderer(target(query={"k": Secret("v")}))) is Renderer
    for rendered in (
        {"body": LEAD},
        {"query": {"k": Text("")}},
        {"url_template": Text("")},
        {"header_templates": {"X": Text("")}},
    ):
        assert type(new_renderer(target(**rendered))) is TemplateRenderer


def test_a_body_is_sent_in_the_place_of_the_event_with_its_own_type_and_signed() -> None:
    signed = target(body=LEAD, format=Format.FORM, secrets=(Secret("MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz"),))
    renderer = new_renderer(signed)
    assert not renderer.needs_original
    requests = [renderer.render(delivery(attempt=n, replay=n == 2), now=NOON) for n in (1, 2)]
    first, second = (request.all_headers for request in requests)
    assert [request.body for request in requests] == [b"[510073]", b"[510073]"]
    assert (first["content-type"], first["relay-attempt"], second["relay-attempt"]) == ("application/json", "1", "2")
    assert (second["relay-replay"], first["webhook-id"]) == ("true", delivery().event_id)
    plain = Renderer(target(secrets=signed.secrets)).render(delivery(payload=b"[510073]"), now=NOON)
    assert first["webhook-signature"] == plain.all_headers["webhook-signature"]
    assert requests[0].headers is requests[1].headers, "the client writes it into bytes once"


def test_a_text_goes_out_as_what_the_target_says_it_is() -> None:
    text = Body(Text("{id};x"), content_type="text/plain; charset=utf-8")
    for given, sent in ((None, "text/plain; charset=utf-8"), ("text/csv", "text/csv")):
        request = new_renderer(target(body=text, content_type=given)).render(delivery(), now=NOON)
        assert (request.body, request.all_headers["content-type"]) == (b"510073;x", sent)


def test_parameters_are_appended_and_escaped_in_their_order() -> None:
    query = {"b": Text("{id}&c=1"), "key": Secret("k /?"), "имя": Text("")}
    rendered = new_renderer(target(url="https://bot.example/in?a=1", query=query)).render(delivery(), now=NOON)
    assert rendered.url == "https://bot.example/in?a=1&b=510073%26c%3D1&key=k%20%2F%3F&%D0%B8%D0%BC%D1%8F="
    assert rendered.body == PAYLOAD
    constant = new_renderer(target(query={"key": Secret("k /?")})).render(delivery(), now=NOON)
    assert constant.url == "https://bot.example/in?key=k%20%2F%3F"


def test_url_and_headers_are_rendered_and_the_query_of_a_form_follows() -> None:
    own = target(
        format=Format.FORM,
        url_template=Text("https://bot.example/leads/{id}?a=1"),
        headers={"X-Key": Secret("k")},
        header_templates={"User-Agent": Text(" {source} ")},
    )
    renderer = new_renderer(own)
    assert renderer.needs_original
    request = renderer.render(delivery(), now=NOON, original=Original(body=b"x=1", query="try=1"))
    assert (request.url, request.body) == ("https://bot.example/leads/510073?a=1&try=1", b"x=1")
    assert (request.all_headers["user-agent"], request.all_headers["x-key"]) == ("crm", "k")
    assert not request.headers.keys() & request.own_headers.keys(), "no name is written twice"


def test_a_template_of_traceparent_replaces_ours_as_a_constant_does() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-800000000000000a-01"
    own = target(header_templates={"Traceparent": Text("00-{source}")})
    assert new_renderer(own).render(delivery(trace=trace), now=NOON).all_headers["traceparent"] == "00-crm"


def test_a_batch_is_rendered_of_its_events() -> None:
    own = target(body=Rows(), batch=Batch())
    request = new_renderer(own).render(as_one([delivery(), delivery()]), now=NOON)
    assert (request.body, request.all_headers["content-type"]) == (b"510073\n510073\n", "text/csv")


def test_an_unparsed_webhook_goes_out_as_it_came_and_the_rest_is_rendered_of_what_there_is() -> None:
    own = target(
        body=LEAD,
        url_template=Text("https://bot.example/{source}/{id}"),
        query={"a": Text("{id}")},
        header_templates={"X-Source": Text("{source}")},
    )
    unread = Webhook(
        id="w", source="crm", received_at=NOON, body=b"odd", content_type="a/b", query="try=1", unparsed="no events"
    )
    request = new_renderer(own).render_raw(delivery(payload=b""), unread, now=NOON)
    assert (request.url, request.body) == ("https://bot.example/crm/?a=&try=1", b"odd")
    headers = request.all_headers
    assert (headers["content-type"], headers["x-source"], headers["relay-unparsed"]) == ("a/b", "crm", "no events")


def test_an_unparsed_webhook_is_the_only_event_of_a_batch_to_its_templates() -> None:
    class First(Text):
        def render(self, context: Context) -> str:
            return str([each["source"] for each in context["events"]])

    own = target(batch=Batch(), header_templates={"X-Sources": First("")})
    unread = Webhook(id="w", source="crm", received_at=NOON, body=b"odd", unparsed="no events")
    request = new_renderer(own).render_raw(delivery(payload=b""), unread, now=NOON)
    assert (request.body, request.all_headers["x-sources"]) == (b"odd", "['crm']")


POISON = orjson.dumps({"data": {"poison": 1}})


@pytest.mark.parametrize(
    ("which", "template"),
    [
        ("body", {"body": LEAD}),
        ("url", {"url_template": Text("https://bot.example/")}),
        ("query.lead", {"query": {"lead": Text("")}}),
        ("headers.x-lead", {"header_templates": {"X-Lead": Text("")}}),
    ],
)
def test_a_failure_says_which_template_it_was(which: str, template: dict[str, Any]) -> None:
    with pytest.raises(TemplateFailed, match=f"^{which}: the output is over 1,000,000 bytes$"):
        new_renderer(target(**template)).render(delivery(payload=POISON), now=NOON)


@pytest.mark.parametrize(
    ("place", "said"), [("text", "body.text: too long"), ("[1].a", "body[1].a: too long"), ("", "body: too long")]
)
def test_a_failure_in_a_body_says_at_which_key(place: str, said: str) -> None:
    with pytest.raises(TemplateFailed, match=f"^{re.escape(said)}$"):
        new_renderer(target(body=Fails(place))).render(delivery(), now=NOON)


def test_what_may_be_secret_in_a_query_or_a_template_is_masked_in_an_answer() -> None:
    own = target(query={"key": Secret("canary key"), "lead": Text("{id}")}, hidden=(Secret("canary/hidden"),))
    secrets = new_renderer(own).render(delivery(), now=NOON).secrets
    assert {"canary key", "canary%20key", "canary/hidden", "canary%2Fhidden"} <= {*secrets}


@pytest.mark.parametrize("ascii_", [True, False])
@pytest.mark.parametrize("slash", ["/", "\\/"])
def test_a_secret_of_a_body_is_masked_as_json_has_it(ascii_: bool, slash: str) -> None:
    secret = 'a "canary"/слово\\n'
    own = target(body=Constant(), hidden=(Secret(secret),))
    echo = json.dumps({"key": secret}, ensure_ascii=ascii_).replace("/", slash)
    assert masked(echo, new_renderer(own).render(delivery(), now=NOON).secrets) == '{"key": "***"}'


# ---- what cannot be rendered


Start = Callable[..., Awaitable[Receiver]]


class StoreBench(Bench):
    """A bench on a store of any kind."""

    def __init__(self, store_kind: Kind, folder: Path, *targets: Target) -> None:
        super().__init__(folder, *targets)
        self._kind, self._folder = store_kind, folder

    def _open(self) -> SqliteStore:
        return cast(SqliteStore, self._kind.open_store(self._folder, now(), self.on_signal))


def to(receiver: Receiver, **changes: Any) -> Target:
    settings = {"body": LEAD, "retry": every(20), "breaker_failures": 3, "concurrency": 1}
    return target(url=receiver.url, **settings | changes)


async def kept(bench: Bench, numbers: Iterable[int], *, poisoned: bool = True) -> None:
    for number in numbers:
        data = {"id": number} | ({"poison": 1} if poisoned else {})
        await bench.keep([number], payload=orjson.dumps({"data": data}))


async def test_what_cannot_be_rendered_is_dead_at_once_and_can_be_replayed_once_it_can(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await kept(bench, [1])
        await bench.until_attempted(1)
        record = await bench.delivery(1)
        why = "cannot be rendered, body: the output is over 1,000,000 bytes"
        assert (record.state, record.why) == (State.DEAD, why)
        assert [(each.reason, each.status) for each in record.attempts] == [(Reason.TEMPLATE, None)]
        assert receiver.requests == []
        bench.use(to(receiver, body=MENDED))
        await bench.store.replay(Filter(event_ids=(event_id(1),)), act())
        await bench.until_none_pending()
    assert [(request.body, request.replay) for request in receiver.requests] == [(b"mended", True)]


async def test_an_event_that_cannot_be_rendered_holds_up_none_that_can(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        for number in range(1, 21, 2):
            await kept(bench, [number])
            await kept(bench, [number + 1], poisoned=False)
        await bench.until_none_pending()
        dead = [each.event_id for each in await bench.deliveries(states=(State.DEAD,))]
        assert dead == [event_id(number) for number in range(1, 21, 2)]
    assert len(receiver.requests) == 10
    assert bench.circuits == []


@pytest.mark.parametrize("concurrency", [1, 8])
async def test_so_many_in_a_row_hold_the_target_and_a_mended_template_gets_the_rest(
    tmp_path: Path,
    receivers: Start,
    kind: Kind,  # noqa: F811  the fixture
    concurrency: int,
) -> None:
    """What is pending is rendered by the template of its attempt: nothing that was rendered is stored."""
    receiver = await receivers()
    async with StoreBench(kind, tmp_path, to(receiver, concurrency=concurrency)) as bench:
        await kept(bench, range(1, 9))
        await bench.until_attempted(3 + 3)  # those that open the circuit, and three probes
        states = Counter(each.state for each in await bench.deliveries())
        assert states == {State.DEAD: 3, State.PENDING: 5}, "a probe ends none"
        [opened] = bench.circuits
        assert isinstance(opened, CircuitOpened)
        assert (opened.failures, opened.detail) == (3, "template body: the output is over 1,000,000 bytes")
        bench.use(to(receiver, body=MENDED, concurrency=concurrency))
        await bench.until_none_pending()
    assert [request.body for request in receiver.requests] == [b"mended"] * 5
    assert [type(each) for each in bench.circuits] == [CircuitOpened, CircuitClosed]
    assert {each.outcome.reason for each in bench.attempted[:6]} == {Reason.TEMPLATE}


async def test_a_restart_and_a_reload_end_no_delivery_more(
    tmp_path: Path,
    receivers: Start,
    kind: Kind,  # noqa: F811  the fixture
) -> None:
    receiver = await receivers()
    async with StoreBench(kind, tmp_path, to(receiver)) as bench:
        await kept(bench, range(1, 9))
        await bench.until_reported("bot", Health.OPEN)
    async with StoreBench(kind, tmp_path, to(receiver)) as bench:
        await bench.until_attempted(3)
        bench.use(to(receiver, header_templates={"X-Lead": Text("")}))  # no better
        await bench.until_attempted(6)
        states = Counter(each.state for each in await bench.deliveries())
        assert states == {State.DEAD: 3, State.PENDING: 5}
        bench.use(to(receiver, body=MENDED))
        await bench.until_none_pending()
    assert [request.body for request in receiver.requests] == [b"mended"] * 5
    assert [type(each) for each in bench.circuits] == [CircuitOpened, CircuitClosed]
    assert bench.circuits[0].detail == "template body: the output is over 1,000,000 bytes"


async def test_of_a_batch_that_cannot_be_rendered_only_the_cause_is_dead(tmp_path: Path, receivers: Start) -> None:
    receiver = await receivers()
    batch = Batch(most=8, within=timedelta(seconds=30))
    async with Bench(tmp_path, to(receiver, body=Rows(), batch=batch)) as bench:
        for number in range(1, 9):
            await kept(bench, [number], poisoned=number == 6)
        await bench.until_none_pending()
        dead = [each.event_id for each in await bench.deliveries(states=(State.DEAD,))]
        [reason] = {each.reason for each in (await bench.delivery(6)).attempts}
    assert (dead, reason) == ([event_id(6)], Reason.TEMPLATE)
    assert sorted(b"".join(request.body for request in receiver.requests).split()) == [
        b"%d" % n for n in (1, 2, 3, 4, 5, 7, 8)
    ]


async def test_while_it_is_held_another_delivery_is_tried_each_time_until_one_can_be_rendered(
    tmp_path: Path, receivers: Start
) -> None:
    receiver = await receivers()
    async with Bench(tmp_path, to(receiver)) as bench:
        await kept(bench, range(1, 7))  # three open the circuit, three are probes
        await kept(bench, [7], poisoned=False)
        await bench.until(lambda: bool(receiver.requests))
        await bench.until_none_pending()
        dead = {each.event_id for each in await bench.deliveries(states=(State.DEAD,))}
    assert [request.event_id for request in receiver.requests] == [event_id(7)]
    assert dead == {event_id(number) for number in range(1, 7)}, "once it is closed each ends at its next attempt"
    assert [type(each) for each in bench.circuits[:2]] == [CircuitOpened, CircuitClosed]


def test_an_attempt_that_ends_while_the_circuit_is_open_ends_no_delivery() -> None:
    circuit = Circuit(emit=lambda _signal: None, clock=lambda: NOON, changed=lambda _event: None)
    verdicts = Verdicts(circuit, clock=lambda: NOON, wake_at=lambda _at: None)
    failed, own = outcome(Reason.TEMPLATE, detail="body: too large"), target(breaker_failures=2)
    made = [verdicts.of([delivery()], failed, own, probe=False, here=True)[0] for _ in range(3)]
    assert [type(each) for each in made] == [Dead, Dead, RetryAt], "the second one opened it"
    assert circuit.health is Health.OPEN
