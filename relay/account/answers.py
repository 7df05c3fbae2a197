"""An answer of amoCRM's API -> its JSON, None if there is nothing, or an error that says what to do. Pure.

"Error codes" and "Limits" of amoCRM's and Kommo's documentation (2026). Any body may be something else than JSON: a
page of a proxy before them, of another host, or nginx's own for 403 and 429. What a 403 means its body alone tells.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import orjson

from relay.errors import AccountAway, AccountError, Blocked, Forbidden, RequestRefused, TokenRefused, Unpaid
from relay.model import Json, Secret
from relay.printable import printable

_REQUEST = re.compile(r" \(request [^)]*\)")
MAX_SAID = 200  # characters of an answer that are shown
ADDRESS_NOT_LISTED = 113  # amoCRM's code of an error
LONGEST_PAUSE = 3600.0  # seconds that an answer may ask for


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer, read to its end. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)

    def without(self, secret: Secret) -> "Answer":
        """Return it with `***` for each time that it repeats this secret."""
        hidden = secret.reveal()
        headers = {name: value.replace(hidden, "***") for name, value in self.headers.items()}
        return replace(self, headers=headers, body=self.body.replace(hidden.encode(), b"***"))

    def document(self) -> dict[str, Json] | None:
        """The JSON object in the body; None if there is none."""
        try:
            document = orjson.loads(self.body)
        except ValueError:
            return None
        return document if isinstance(document, dict) else None


@dataclass(frozen=True, slots=True)
class TooMany:
    """Too many requests: `pause` seconds were asked for, if any."""

    pause: float | None


def read(answer: Answer, what: str) -> Mapping[str, Json] | TooMany | None:
    """Return what it holds; None for 204 and for a success without a body. `what` was asked for, for errors.

    Raises an AccountError.
    """
    if answer.status == 204 or (answer.status in (200, 201, 202) and not answer.body.strip()):
        return None
    document = answer.document()
    if answer.status == 429 or (answer.status == 403 and document and "retry_after" in document):
        return TooMany(_pause(answer, document or {}))
    if answer.status not in (200, 201, 202):
        raise _error(answer, document, what)
    if document is None:
        raise AccountAway(f"{what}: answered {answer.status} with something else than JSON{_request(answer)}")
    return document


def _error(answer: Answer, document: dict[str, Json] | None, what: str) -> AccountError:
    status = answer.status
    said = f"{what}: answered {status}{_detail(document or {})}{_request(answer)}"
    if status >= 500:
        return AccountAway(said)
    match status:
        case 401:
            return TokenRefused(f"{said}: the token is wrong, has expired or was revoked")
        case 402:
            return Unpaid(f"{said}: the account is not paid for")
        case 403 if document is None:
            return Blocked(f"{said}, and no reason: amoCRM blocks the account's API, and its support alone ends that")
        case 403 if _code(document) == ADDRESS_NOT_LISTED:
            return Forbidden(f"{said}: this machine's address is not in the account's list of allowed ones")
        case 403:
            return Forbidden(f"{said}: the token's user or integration has no right to this")
        case _ if 300 <= status < 400:
            return RequestRefused(f"{said}, a redirect, which is not followed: is host the account's own?", status)
        case 404 if document is None:
            return RequestRefused(f"{said}: is there an account at this host?", status)
        case _:
            return RequestRefused(said, status)


def _pause(answer: Answer, document: Mapping[str, Json]) -> float | None:
    for asked in (answer.headers.get("retry-after"), document.get("retry_after")):
        try:
            return min(max(float(str(asked)), 0.0), LONGEST_PAUSE)
        except ValueError:
            continue  # none, or a date, which nobody has seen there
    return None


def _code(document: Mapping[str, Json] | None) -> int | None:
    """The code of an error, which the older shape has one level deeper."""
    document = document or {}
    inner = document.get("response")
    for each in (document, inner if isinstance(inner, dict) else {}):
        for key in ("error_code", "code"):
            if str(each.get(key, "")).isdecimal():
                return int(each[key])
    return None


def _detail(document: Mapping[str, Json]) -> str:
    """`: Invalid params passed to filter`, with the places that are wrong; nothing if the body does not say."""
    said = [document[key] for key in ("hint", "detail") if document.get(key)] or [document.get("title")]
    said = [text for text in said if text]
    return f": {'; '.join(_shortened(text) for text in [*said, *_places(document)])}" if said else ""


def _places(document: Mapping[str, Json]) -> list[str]:
    """`settings.0: NotSupportedChoice`."""
    lists = document.get("validation-errors")
    groups = [each.get("errors") for each in lists if isinstance(each, dict)] if isinstance(lists, list) else []
    errors = [each for group in groups if isinstance(group, list) for each in group if isinstance(each, dict)]
    return [f"{each.get('path')}: {each.get('code') or each.get('detail')}" for each in errors]


def _request(answer: Answer) -> str:
    number = answer.headers.get("x-request-id")
    return f" (request {_shortened(number)})" if number else ""


def without_request(text: str) -> str:
    """The text of an error without the id of its request: the same for each request that fails so."""
    return _REQUEST.sub("", text)


def _shortened(text: Json) -> str:
    return printable(" ".join(str(text).split()))[:MAX_SAID]
