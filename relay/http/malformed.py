"""Bytes that are no HTTP, or no request that we take -> the status to answer, and what was sent in its place."""

import re
import ssl
from typing import NamedTuple

from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

MAX_LINE = 8190  # bytes of a request line
MAX_FIELD = 8190  # bytes of a header
MAX_HEAD = 16 * 1024  # bytes of a request line and headers that are not complete yet
MAX_REASON = 200

_PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_REQUEST_LINE = re.compile(rb"\s*([A-Za-z]{1,20}) +([^\s?#]*)")
_WHOLE_LINE = re.compile(rb"(?:GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) \S+ HTTP/1\.[01]\r")
_ORIGIN = re.compile(r"\A[A-Za-z]+://[^/]*")
_PLAIN_HTTP = {"HTTP_REQUEST", "HTTPS_PROXY_REQUEST"}  # OpenSSL's names for what it took for HTTP


class MalformedRequest(NamedTuple):
    """What came in the place of a request. `foreign`: it is another protocol, which nobody speaks to us by chance.

    `method` and `path` are those of its request line, empty if it has none.
    """

    status: int
    problem: str
    other_protocol: bool = False
    method: str = ""
    path: str = ""


def diagnose(head: bytes, error: BaseException | None) -> MalformedRequest:
    """Of a head, up to where the parser gave up, or became too long if there is no error."""
    if foreign := _other_protocol(head):
        return MalformedRequest(400, foreign, other_protocol=True)
    status, wrong = _fault(head, error)
    line = _REQUEST_LINE.match(head)
    if not line:
        return MalformedRequest(status, wrong)
    path = _ORIGIN.sub("", line[2].decode(errors="replace"), count=1)
    return MalformedRequest(status, wrong, method=line[1].decode(), path=path)


def diagnose_handshake(error: OSError) -> MalformedRequest | None:
    """What was sent in the place of a handshake, as far as OpenSSL tells; None if it was TLS, or nothing came."""
    if not isinstance(error, ssl.SSLError):
        return None
    if error.reason in _PLAIN_HTTP:
        wrong = "plain HTTP on the port for TLS: write https:// into the address, or into the proxy's upstream"
        return MalformedRequest(400, wrong, other_protocol=True)
    return MalformedRequest(400, "no TLS") if error.reason == "WRONG_VERSION_NUMBER" else None


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
    return 400, f"the request cannot be read: {_reason(error)}"


def _reason(error: BaseException) -> str:
    """The parser's words, without the bytes that it repeats, which may have a token in them."""
    said, place, _ = str(getattr(error, "message", "")).partition("\n\n")
    if isinstance(error, InvalidURLError) and not place:  # then its words are the address itself
        return "its address is no URL"
    said = re.split(r"\bb['\"]|\bbytearray", said)[0]
    return " ".join(said.split()).rstrip(":")[:MAX_REASON] or type(error).__name__
