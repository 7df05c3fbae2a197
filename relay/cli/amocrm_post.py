"""A webhook and an address -> one POST as amoCRM makes it, and what the relay answered."""

from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection, RemoteDisconnected
from ssl import SSLCertVerificationError
from time import perf_counter
from urllib.parse import urlsplit
from uuid import uuid4

from relay.cli import NotDone
from relay.os_errors import os_error_text
from relay.printable import printable

TIMEOUT = 10  # seconds
UNTRUSTED = {2, 18, 19, 20, 21}  # OpenSSL's codes: the authority is unknown, or the certificate is self-signed
CONNECTIONS = {"http": HTTPConnection, "https": HTTPSConnection}


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAnswer:
    """What the relay answered, and after how many seconds."""

    status: int
    body: bytes
    took: float

    @property
    def good(self) -> bool:
        """True for the status that amoCRM counts as received."""
        return self.status == 200

    @property
    def duplicate(self) -> bool:
        """True if an equal webhook was stored before."""
        return self.good and b'"duplicate":true' in self.body


def headers() -> dict[str, str]:
    """What amoCRM sends besides the length, as captured: the content type has no charset, the id is new each time."""
    return {
        "User-Agent": "amoCRM-Webhooks/3.0",
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Amocrm-Requestid": str(uuid4()),
        "Accept-Encoding": "gzip",
    }


def post(url: str, sent: Mapping[str, str], body: bytes) -> RelayAnswer:
    """Post with the headers `sent` alone; NotDone says why there was no answer."""
    parts = urlsplit(url)
    connection = CONNECTIONS[parts.scheme](parts.hostname or "", parts.port, timeout=TIMEOUT)
    start = perf_counter()
    try:
        connection.putrequest("POST", _path(url), skip_accept_encoding=True)
        for name, value in sent.items():
            connection.putheader(name, value)
        connection.endheaders(body)
        response: HTTPResponse = connection.getresponse()
        return RelayAnswer(status=response.status, body=response.read(), took=perf_counter() - start)
    except (OSError, HTTPException) as error:
        raise NotDone(_why_no_answer(error, parts.scheme, f"{parts.hostname}:{connection.port}")) from None
    finally:
        connection.close()


def _why_no_answer(error: OSError | HTTPException, scheme: str, at: str) -> str:
    match error:
        case SSLCertVerificationError():
            if error.verify_code in UNTRUSTED:
                return f"{at}: its certificate is not trusted: set SSL_CERT_FILE to the file of its authority"
            return f"{at}: its certificate does not fit: {printable(error.verify_message)}"
        case RemoteDisconnected() | ConnectionResetError():
            hint = ": does it speak TLS? Then name --url https://…" if scheme == "http" else ""
            return f"{at} closed the connection without an answer{hint}"
    why = os_error_text(error) if isinstance(error, OSError) else str(error) or type(error).__name__
    return f"no answer from {at}: {printable(why).lower()}. Is the relay up?"


def _path(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
