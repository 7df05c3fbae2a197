"""What is sent to an account's token endpoint, and what its answers mean. Pure.

amoCRM's and Kommo's "OAuth 2.0" (2026): JSON both ways; a code works once within 20 minutes, a refresh token once
within three months; an access token lives for a day.
"""

import re
from datetime import datetime, timedelta
from urllib.parse import urlencode

from relay.account.answers import Answer, TooMany, read
from relay.account.tokens import expiry
from relay.errors import AccountAway, RateLimited
from relay.model import Account, Json, OAuthGrant, Secret
from relay.store.account_records import Grant

ENDPOINT = "/oauth2/access_token"
LIFE = timedelta(days=90)
"""Of a refresh token that nobody uses."""
SHORTEST = timedelta(seconds=1)
LONGEST = timedelta(days=30)

_TOKEN = re.compile(r"[\x21-\x7e]{1,16384}")


def by_code(oauth: OAuthGrant, code: str) -> Json:
    """The body that exchanges the code of a redirect."""
    return {**_integration(oauth), "grant_type": "authorization_code", "code": code}


def by_refresh(oauth: OAuthGrant, grant: Grant) -> Json:
    """The body that exchanges a refresh token."""
    return {**_integration(oauth), "grant_type": "refresh_token", "refresh_token": grant.refresh.reveal()}


def _integration(oauth: OAuthGrant) -> dict[str, Json]:
    return {
        "client_id": oauth.client_id,
        "client_secret": oauth.client_secret.reveal(),
        "redirect_uri": oauth.redirect_uri,
    }


def read_grant(answer: Answer, *, now: datetime, generation: int) -> Grant:
    """Read an answer to either body, asked `now`. TokenRefused if the code or token is not accepted, or AccountAway."""
    what = f"POST {ENDPOINT}"
    if answer.status in (400, 404) and answer.document() is not None:
        answer = Answer(status=401, headers=answer.headers, body=answer.body)  # a refusal, by other words
    document = read(answer, what)
    if isinstance(document, TooMany):
        raise RateLimited(f"{what}: answered {answer.status}: too many requests")
    if document is None:
        raise AccountAway(f"{what}: answered {answer.status} without a token")
    access, refresh = (_token(document.get(key)) for key in ("access_token", "refresh_token"))
    if access is None or refresh is None:
        raise AccountAway(f"{what}: answered {answer.status} without a token")
    life = _life(document.get("expires_in"), access, now)
    return Grant(access=access, refresh=refresh, obtained_at=now, expires_at=now + life, generation=generation)


def _token(text: Json) -> Secret | None:
    return Secret(text) if isinstance(text, str) and _TOKEN.fullmatch(text) else None


def _life(expires_in: Json, access: Secret, now: datetime) -> timedelta:
    try:
        return max(timedelta(seconds=min(float(expires_in), LONGEST.total_seconds())), SHORTEST)
    except (TypeError, ValueError, OverflowError):
        ends = expiry(access)
        return max(ends - now, SHORTEST) if ends else timedelta(days=1)


# ---- where a person grants access


def authorize_link(account: Account, oauth: OAuthGrant, state: str) -> str:
    """The page where an administrator grants access; amoCRM redirects to `redirect_uri` with the code then."""
    host = account.host if ":" in account.host else f"www.{account.host.partition('.')[2]}"
    query = {"client_id": oauth.client_id, "state": state, "mode": "popup"}
    return f"{account.url.partition('://')[0]}://{host}/oauth?{urlencode(query)}"
