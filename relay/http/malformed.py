"""Bytes that are not HTTP, or not a request that we accept -> the status of the response, and a diagnosis."""

import re
import ssl
from http import HTTPStatus
from typing import NamedTuple

import orjson
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

from relay.http.machine_limits import MAX_FIELD, MAX_HEAD, MAX_LINE

MAX_REASON = 200

_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_REQUEST_LINE = re.compile(rb"\s*([A-Za-z]{1,20}) +([^\s?#]*)")
_WHOLE_LINE = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP/1\.[01]\r")
_ORIGIN = re.compile(r"\A[A-Za-z]+://[^/]*")
_PLAIN_HTTP = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"}  # OpenSSL's names for what it took for HTTP


class MalformedRequest(NamedTuple):
    """What arrived in place of a request: the status of the response, and what is wrong.

    `other_protocol`: it is another protocol, which no scanner speaks to us: somebody configured it. `method` and `path`
    are those of its request line, empty if it has none.
    """

    status: int
    problem: str
    other_protocol: bool = False
    method: str = ""
    path: str = ""


def diagnose(head: bytes, error: BaseException | None) -> MalformedRequest:
    """Diagnose a head that the parser rejected with `error`; None: that is longer than MAX_HEAD."""
    if problem := _other_protocol(head):
        return MalformedRequest(400, problem, other_protocol=True)
    status, problem = _fault(head, error)
    line = _REQUEST_LINE.match(head)
    if not line:
        return MalformedRequest(status, problem)
    path = _ORIGIN.sub("", line[2].decode(errors="replace"), count=1)
    return MalformedRequest(status, problem, method=line[1].decode(), path=path)


def diagnose_handshake(error: OSError) -> MalformedRequest | None:
    """Diagnose what arrived in place of a TLS handshake, as far as OpenSSL says; None if it was TLS, or nothing."""
    if not isinstance(error, ssl.SSLError):
        return None
    if error.reason in _PLAIN_HTTP:
        problem = "plain HTTP on the port for TLS: write https:// into the address, or into the proxy's upstream"
        return MalformedRequest(400, problem, other_protocol=True)
    return MalformedRequest(400, "not TLS") if error.reason == "WRONG_VERSION_NUMBER" else None


def error_response(status: int) -> bytes:
    """The whole response to a malformed request, the last one of its connection."""
    line = HTTPStatus(status)
    body = orjson.dumps({"error": line.phrase.lower()})
    head = (
        f"HTTP/1.1 {line.value} {line.phrase}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body


def _other_protocol(head: bytes) -> str | None:
    if head.startswith(b"\x16\x03"):
        return "TLS on a port without it: write http:// into the proxy's upstream, or start with --tls-cert, --tls-key"
    if head.startswith((b"PROXY ", _PROXY_V2)):
        return (
            "the PROXY protocol, which the relay does not speak: switch it off at the balancer,"
            " and have it say X-Forwarded-For to --trusted-proxy"
        )
    if head.startswith(b"PRI * HTTP/2"):
        return "HTTP/2 without TLS, which the relay does not speak: set the proxy's upstream to HTTP/1.1"
    return None


def _fault(head: bytes, error: BaseException | None) -> tuple[int, str]:
    line = head.lstrip(b"\r\n").partition(b"\n")[0]
    if error is None or isinstance(error, LineTooLong):
        if len(line) > MAX_LINE:
            return 414, f"the request line is longer than {MAX_LINE} bytes"
        if error is None:
            return 431, f"the headers take more than {MAX_HEAD} bytes"
        return 431, f"a header is longer than {MAX_FIELD} bytes"
    if isinstance(error, BadHttpMethod) and _WHOLE_LINE.fullmatch(line):
        return 400, "what follows its body is no request: is its Content-Length too small?"
    if not line.isascii():
        return 400, "the request line has bytes that are not ASCII: escape them, like %D0%90"
    if len(line.split()) > 3:
        return 400, "the request line has a blank in its address: escape it, as %20"
    return 400, f"the request cannot be read: {_parser_message(error)}"


def _parser_message(error: BaseException) -> str:
    """The parser's message, without the bytes that it repeats, which may have a token in them."""
    text, place, _ = str(getattr(error, "message", "")).partition("\n\n")
    if isinstance(error, InvalidURLError) and not place:  # then its message is the address itself
        return "its address is no URL"
    text = re.split(r"\bb['\"]|\bbytearray", text)[0]
    return " ".join(text.split()).rstrip(":")[:MAX_REASON] or type(error).__name__
