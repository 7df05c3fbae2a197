"""What is encoded by hand reads as what was meant, by protobuf's own classes, whatever its length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from relay.observe import wire
from tests.observe.collector import plain

ODD_LENGTHS = [0, 1, 99, 100, 101, 119, 127, 128, 16_383, 16_384, 100_000]


@pytest.mark.parametrize("length", ODD_LENGTHS)
@pytest.mark.parametrize("key", ["k", "messaging.message.id", "k" * 130])
def test_a_text_of_any_length_is_read_as_it_is(key: str, length: int) -> None:
    assert plain(Span.FromString(wire.text(key, "ё" * length)).attributes) == {key: "ё" * length}
    assert plain(Span.FromString(wire.text(key, "a" * length)).attributes) == {key: "a" * length}


@given(texts=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8"))))
def test_texts_beside_each_other_are_read_as_they_are(texts: dict[str, str]) -> None:
    encoded = b"".join(wire.text(key, value) for key, value in texts.items())
    assert plain(Span.FromString(encoded).attributes) == texts


@given(value=st.integers(0, 2**63 - 1))
def test_a_number_is_read_as_it_is(value: int) -> None:
    assert plain(Span.FromString(wire.number("k", value)).attributes) == {"k": value}


@given(ids=st.tuples(st.binary(min_size=16, max_size=16), *[st.binary(min_size=8, max_size=8)] * 2))
def test_ids_and_times_are_read_as_they_are(ids: tuple[bytes, bytes, bytes]) -> None:
    trace, span, parent = ids
    read = Span.FromString(wire.ids_and_times(trace.hex(), span.hex(), parent.hex(), 7, 2**64 - 1))
    assert (read.trace_id, read.span_id, read.parent_span_id) == ids
    assert (read.start_time_unix_nano, read.end_time_unix_nano) == (7, 2**64 - 1)
    assert Span.FromString(wire.ids_and_times(trace.hex(), span.hex(), "", 7, 8)).parent_span_id == b""
