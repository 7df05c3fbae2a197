"""Protobuf's wire format, for what is new in every span: its own classes take three times as long.

https://protobuf.dev/programming-guides/encoding/; field numbers are those of opentelemetry/proto/trace/v1/trace.proto.
"""

from functools import cache, lru_cache
from struct import Struct

_HEAD = Struct("<2s16s2s8s").pack  # trace_id = 1, span_id = 2
_PARENT = Struct("<2s8s").pack  # parent_span_id = 4
_TIMES = Struct("<sQsQ").pack  # start_time_unix_nano = 7, end_time_unix_nano = 8
_SHORT = 100  # bytes of a text whose lengths, and those around it, take one byte each


def delimited(field: int, content: bytes) -> bytes:
    """Encode a field of a message as its number, its length and itself."""
    return bytes((field << 3 | 2,)) + _varint(len(content)) + content


def ids_and_times(trace: str, span: str, parent: str, start: int, end: int) -> bytes:
    """Encode those of a `Span`: ids in hexadecimal, an empty one for no parent, and nanoseconds since 1970."""
    head = _HEAD(b"\x0a\x10", bytes.fromhex(trace), b"\x12\x08", bytes.fromhex(span))
    between = _PARENT(b"\x22\x08", bytes.fromhex(parent)) if parent else b""
    return head + between + _TIMES(b"\x39", start, b"\x41", end)


def text(key: str, value: str) -> bytes:
    """Encode an attribute of a `Span`, or of any message that has them in field 9."""
    name, content = _key(key), value.encode()
    size = len(content)
    if size < _SHORT and len(name) < 20:
        return b"\x4a%c%b\x12%c\x0a%c%b" % (len(name) + size + 4, name, size + 2, size, content)
    return delimited(9, name + delimited(2, delimited(1, content)))


@lru_cache(maxsize=4_096)
def number(key: str, value: int) -> bytes:
    """Encode an attribute that is not negative: most are small, or sizes that come again."""
    return delimited(9, _key(key) + delimited(2, b"\x18" + _varint(value)))


@cache
def _key(key: str) -> bytes:
    return delimited(1, key.encode())


def _varint(value: int) -> bytes:
    """Encode seven bits a byte, the lowest first."""
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
