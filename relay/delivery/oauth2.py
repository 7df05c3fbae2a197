"""Client credentials -> the request for an access token; its answer -> the token, or why there is none. Pure.

RFC 6749 §4.4 (client credentials), §2.3.1 (credentials by HTTP Basic), §5.1 (the answer); RFC 6750 (bearer tokens).
An answer is read as tolerantly as real servers need, and no text of it reaches the outside without being masked.
"""

import base64
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from urllib.parse import quote_plus, urlencode

from relay.delivery.answer import Answer
from relay.delivery.masks import masked, spellings
from relay.delivery.request import USER_AGENT, secret_texts
from relay.http.request import Request
from relay.model import ClientAuth, Json, OAuth2, Secret

LONGEST_LIFE = timedelta(days=1)
"""A token that is said to live longer is renewed after this all the same."""
EARLIEST = timedelta(minutes=1)
"""How long before its end a token is renewed, at most: of a short life a tenth."""
MAX_TOKEN = 16 * 1024  # characters; most servers accept no longer header
MAX_SAID = 200  # characters of an error that are shown

_TOKEN = re.compile(r"[\x21-\x7e]+")
_NUMBER = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An access token. `life` counts from the request for it; None: it is used until a 401.

    `remark`: what was odd about the answer.
    """

    text: str = field(repr=False)
    life: timedelta | None
    secrets: tuple[str, ...] = field(repr=False)
    remark: str = ""

    def authorize(self, request: Request) -> Request:
        """Return the request with this token, which is masked in its answer."""
        return replace(
            request,
            own_headers={**request.own_headers, "authorization": f"Bearer {self.text}"},
            secrets=tuple(sorted({*request.secrets, *self.secrets}, key=len, reverse=True)),
        )

    @property
    def renewed_after(self) -> timedelta | None:
        """The age at which another is fetched, while this one is still valid."""
        return None if self.life is None else self.life - min(EARLIEST, self.life / 10)


@dataclass(frozen=True, slots=True)
class NoToken:
    """Why there is no token: one line without secrets."""

    why: str


def token_request(settings: OAuth2, hidden: Iterable[Secret] = ()) -> Request:
    """Build the request for a token; what may be secret in it, and what else is `hidden`, is masked in its answer."""
    id_, secret = settings.client_id.reveal(), settings.client_secret.reveal()
    form = {"grant_type": "client_credentials"}
    if settings.scope:
        form["scope"] = settings.scope
    headers = {
        "user-agent": USER_AGENT,
        "accept": "application/json",
        "content-type": "application/x-www-form-urlencoded",
    }
    if settings.auth is ClientAuth.BASIC:
        headers["authorization"] = f"Basic {_basic(id_, secret)}"
    else:
        form |= {"client_id": id_, "client_secret": secret}
    of_url = secret_texts(settings.token_url, ())
    secrets = spellings((secret, quote_plus(secret), _basic(id_, secret), *(each.reveal() for each in hidden), *of_url))
    return Request(url=settings.token_url, headers=headers, body=urlencode(form).encode(), secrets=secrets)


def token_of(answer: Answer, secrets: Sequence[str]) -> Token | NoToken:
    """Read the answer of the token endpoint; `secrets` are masked in what is said of it."""
    if not 200 <= answer.status <= 299:
        return NoToken(f"it answered {answer.status}{_error(answer, secrets)}")
    if answer.flaw:
        return NoToken(f"it answered {answer.status}, and {answer.flaw}")
    document = _document(answer)
    if document is None:
        return NoToken(f"it answered {answer.status} with a body that is no JSON object")
    text = document.get("access_token")
    if not isinstance(text, str) or not text:
        return NoToken(f"it answered {answer.status} without an access_token{_error(answer, secrets)}")
    if len(text) > MAX_TOKEN or not _TOKEN.fullmatch(text):
        return NoToken("its access_token is too long or has characters that a header cannot carry")
    if not str(document.get("token_type") or "bearer").lower().startswith("bearer"):
        return NoToken("its token_type is not Bearer")
    life, remark = _life(document.get("expires_in"))
    return Token(text=text, life=life, secrets=spellings((text,)), remark=remark)


def _life(expires_in: Json) -> tuple[timedelta | None, str]:
    """Read seconds, a number or, as some servers have it, a text; None and a remark for what cannot be meant."""
    if expires_in is None:
        return None, ""
    text = str(expires_in).strip() if isinstance(expires_in, int | float | str) else ""
    seconds = float(text) if _NUMBER.fullmatch(text) else 0.0
    if not seconds:
        return None, "its expires_in is not a number of seconds above 0: the token is used until a 401"
    return timedelta(seconds=min(seconds, LONGEST_LIFE.total_seconds())), ""


def _document(answer: Answer) -> dict[str, Json] | None:
    try:
        document = answer.json()
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _error(answer: Answer, secrets: Sequence[str]) -> str:
    """`: invalid_client (no such client)`, as RFC 6749 §5.2 has it; nothing if the body says nothing of the kind."""
    document = _document(answer) or {}
    values = (document.get("error"), document.get("error_description"))
    said = [" ".join(masked(each, secrets).split())[:MAX_SAID] for each in values if isinstance(each, str)]
    return f": {' - '.join(said)}" if said else ""


def _basic(id_: str, secret: str) -> str:
    """Both encoded as in a form, then joined and in base64 (RFC 6749 §2.3.1)."""
    return base64.b64encode(f"{quote_plus(id_)}:{quote_plus(secret)}".encode()).decode()
