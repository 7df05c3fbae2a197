"""The line of a delivered attempt, made in one step, is the one that the log makes of its fields."""

import logging
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.model import Delivered, Reason
from relay.observe.attempt_line import delivered_line, fields
from relay.observe.log import Log, Style
from relay.signals import Attempted
from tests.observe.conftest import NOON, attempted
from tests.observe.session import ODD, session

STYLES: list[Style] = ["text", "json"]
SECONDS = NOON.timestamp()
usual = st.sampled_from(["leads", "4831596", "data-warehouse", "019ab000-0000-7000-8000-000000000001"])
odd = st.one_of(
    st.sampled_from(["two words", "a=b", "it's", *ODD]), st.text(st.characters(max_codepoint=127)), st.text()
)
texts = st.one_of(usual, usual, odd)  # often only one is odd
durations = st.one_of(st.integers(0, 10_000), st.integers(-1, 10**15)).map(
    lambda micros: timedelta(microseconds=micros)
)


def in_one_step(style: Style, signal: Attempted) -> str | None:
    return delivered_line(style)("2026-11-22T12:00:00.000Z", signal)


def field_by_field(style: Style, signal: Attempted) -> str:
    log = Log(lambda _line: None, style, logging.INFO, lambda: SECONDS)
    return log.line(logging.INFO, "attempt", fields(signal))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("detail", ["", '{"ok":true}', "d" * 900])
def test_the_line_of_almost_every_attempt_is_made_in_one_step(style: Style, detail: str) -> None:
    signal = attempted(detail=detail)
    assert in_one_step(style, signal) == field_by_field(style, signal)
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-800000000000000a-00"
    traced = replace(signal, delivery=replace(signal.delivery, trace=trace))
    line = in_one_step(style, traced)
    assert line == field_by_field(style, traced)
    assert line and {"text": " trace_id=4bf9", "json": ',"trace_id":"4bf9'}[style] in line


@pytest.mark.parametrize("style", STYLES)
def test_the_line_of_an_attempt_in_a_batch_says_how_many_went_together(style: Style) -> None:
    alone = attempted()
    signal = replace(alone, outcome=replace(alone.outcome, batch=100))
    assert in_one_step(style, signal) is None
    said = {"text": " batch=100", "json": '"batch":100'}[style]
    assert said in field_by_field(style, signal)
    assert "batch" not in field_by_field(style, alone)


@pytest.mark.parametrize("style", STYLES)
def test_the_delivered_attempts_of_a_session_are_the_same_lines(style: Style) -> None:
    delivered = [each for each in session(1_000) if isinstance(each, Attempted) and isinstance(each.verdict, Delivered)]
    made = [(line, field_by_field(style, each)) for each in delivered if (line := in_one_step(style, each))]
    assert len(made) > 50, "most have an odd name"
    assert [line for line, _ in made] == [line for _, line in made]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("name", ["target", "event_id", "entity", "entity_id"])
def test_one_odd_character_anywhere_makes_no_other_line(style: Style, name: str) -> None:
    common = attempted()
    for text in ["", *(f"{chr(code)}a" for code in range(0x180)), "\u2028", "\u202e", "\ud800", "\U0001f600"]:
        signal = replace(common, delivery=replace(common.delivery, **{name: text}))
        assert in_one_step(style, signal) in (None, field_by_field(style, signal))


@pytest.mark.parametrize("style", STYLES)
@given(
    names=st.tuples(texts, texts, texts, texts),
    detail=texts,
    took=durations,
    attempt=st.integers(1, 10**6),
    status=st.one_of(st.integers(200, 299), st.none()),
    reason=st.sampled_from([Reason.OK, Reason.OK, Reason.REDIRECT]),
    replay=st.booleans(),
)
def test_whatever_the_fields_hold_it_is_the_same_line_or_none(
    style: Style,
    names: tuple[str, str, str, str],
    detail: str,
    took: timedelta,
    attempt: int,
    status: int | None,
    reason: Reason,
    replay: bool,
) -> None:
    common = attempted()
    target, event_id, entity, entity_id = names
    delivery = replace(
        common.delivery,
        target=target, event_id=event_id, entity=entity, entity_id=entity_id, attempt=attempt, replay=replay,
    )  # fmt: skip
    outcome = replace(common.outcome, reason=reason, took=took, status=status, detail=detail)
    signal = replace(common, delivery=delivery, outcome=outcome)
    assert in_one_step(style, signal) in (None, field_by_field(style, signal))
