"""`relay.model.trace`: which traceparent is valid, and the ids that are made where none came."""

from uuid import UUID

import pytest
from uuid_utils import uuid7

from relay.model import Webhook
from relay.model.trace import (
    attempt_span_id,
    attempt_traceparent,
    is_sampled,
    parse_traceparent,
    span_id,
    trace_id,
    webhook_trace,
)
from tests.store.conftest import NOON

ID = "019ab000-0001-7000-8000-00000000000a"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CAME = f"00-{TRACE}-{PARENT}-01"
EVENT = "019ab000-0001-7000-8000-0000000000ee"


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (CAME, CAME),
        (f"00-{TRACE}-{PARENT}-00", f"00-{TRACE}-{PARENT}-00"),
        (f"00-{TRACE}-{PARENT}-03", f"00-{TRACE}-{PARENT}-03"),
        (f"00-{TRACE}-{PARENT}-ff", f"00-{TRACE}-{PARENT}-03"),  # flags that nobody knows yet
        (f"cc-{TRACE}-{PARENT}-01", CAME),  # a later version reads like this one
        (f"cc-{TRACE}-{PARENT}-01-what-the-future-will-be-like", CAME),
    ],
)
def test_a_valid_traceparent_is_read_as_version_00(header: str, read: str) -> None:
    assert parse_traceparent(header) == read


@pytest.mark.parametrize(
    "header",
    [
        "",
        CAME[:-1],
        f"{CAME}0",
        f"{CAME}-",
        f"{CAME}-more",  # version 00 has nothing more
        f"ff-{TRACE}-{PARENT}-01",
        f"cc-{TRACE}-{PARENT}-01.more",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        CAME.upper(),
        f"00-{TRACE[:-1]}A-{PARENT}-01",
        f"00-{TRACE[:-1]}g-{PARENT}-01",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}0-{PARENT}-01",
        f"0-{TRACE}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-1",
        f"00-{TRACE}-{PARENT}-0g",
        f"00_{TRACE}_{PARENT}_01",
        f" {CAME}",
        f"{CAME}\n",
        f"{CAME},{CAME}",
        f"00-{TRACE[:-1]}٣-{PARENT}-01",  # a digit, but of no ASCII
    ],
)
def test_an_invalid_traceparent_is_as_none(header: str) -> None:
    assert parse_traceparent(header) == ""
    assert webhook_trace(ID, header) == webhook_trace(ID)


def test_without_a_traceparent_the_trace_id_is_the_webhooks_id() -> None:
    made = webhook_trace(ID)
    assert made == "00-019ab00000017000800000000000000a-800000000000000a-01"
    assert UUID(trace_id(made)) == UUID(ID)
    assert is_sampled(made)
    assert Webhook(id=ID, source="crm", received_at=NOON, body=b"").trace == made


def test_a_traceparent_that_came_gives_trace_id_and_flags_and_the_webhook_its_span() -> None:
    assert webhook_trace(ID, CAME) == f"00-{TRACE}-800000000000000a-01"
    assert webhook_trace(ID, f"00-{TRACE}-{PARENT}-00") == f"00-{TRACE}-800000000000000a-00"
    assert not is_sampled(f"00-{TRACE}-{PARENT}-02")
    assert not is_sampled("")
    assert Webhook(id=ID, source="crm", received_at=NOON, body=b"", traceparent=CAME).trace == webhook_trace(ID, CAME)


@pytest.mark.parametrize("id_", ["", "webhook-0001", "\ud800", "ё", ID.upper(), f"{ID}\r\nx: y"])
def test_whatever_a_webhooks_id_looks_like_its_trace_is_valid(id_: str) -> None:
    assert parse_traceparent(webhook_trace(id_))
    assert webhook_trace(id_) == webhook_trace(id_)


def test_each_attempt_has_a_span_of_its_own_that_everybody_finds() -> None:
    asked = [(EVENT, "bot", 1), (EVENT, "bot", 2), (EVENT, "dwh", 1), (str(uuid7()), "bot", 1), ("\ud800", "ё", 1)]
    spans = [attempt_span_id(*each) for each in asked]
    assert len({*spans}) == len(spans)
    assert [attempt_span_id(*each) for each in asked] == spans
    trace = webhook_trace(ID, CAME)
    for each, span in zip(asked, spans, strict=True):
        sent = attempt_traceparent(trace, *each)
        assert sent == f"00-{TRACE}-{span}-01" == parse_traceparent(sent)
        assert span_id(trace) != span


def test_attempts_of_the_events_of_one_webhook_share_no_span() -> None:
    events = [f"{EVENT[:-4]}{number:04x}" for number in range(100)]
    spans = {
        attempt_span_id(each, target, n) for each in events for target in ("bot", "bot1", "dwh") for n in range(30)
    }
    assert len(spans) == 100 * 3 * 30
