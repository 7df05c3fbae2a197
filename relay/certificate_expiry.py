"""A certificate, DER -> when it ends (RFC 5280, 4.1.2.5); the standard library tells that of verified peers alone."""

from datetime import UTC, datetime
from typing import NamedTuple

SEQUENCE, EXPLICIT_0, UTC_TIME, GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18


class _Element(NamedTuple):
    tag: int
    content: bytes
    rest: bytes
    """What follows it."""


def ends_at(der: bytes) -> datetime:
    """Return `notAfter`; ValueError for bytes that are no certificate."""
    try:
        fields = _of(SEQUENCE, _of(SEQUENCE, der).content).content  # Certificate, TBSCertificate
        if _element(fields).tag == EXPLICIT_0:  # version
            fields = _element(fields).rest
        for _skipped in ("serialNumber", "signature", "issuer"):
            fields = _element(fields).rest
        not_before = _element(_of(SEQUENCE, fields).content)
        return _time(_element(not_before.rest))
    except IndexError:
        raise ValueError("not a certificate") from None


def _of(tag: int, data: bytes) -> _Element:
    found = _element(data)
    if found.tag != tag:
        raise ValueError("not a certificate")
    return found


def _element(data: bytes) -> _Element:
    length, begin = data[1], 2
    if length >= 0x80:  # so many bytes of it follow
        begin += length - 0x80
        length = int.from_bytes(data[2:begin], "big")
    return _Element(data[0], data[begin : begin + length], data[begin + length :])


def _time(element: _Element) -> datetime:
    text = element.content.decode("ascii")
    if element.tag == UTC_TIME:  # two digits of a year, of 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
