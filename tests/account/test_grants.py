import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from relay.account.answers import Answer
from relay.account.grants import authorize_link, by_code, by_refresh, read_grant
from relay.errors import AccountAway, Blocked, RateLimited, TokenRefused
from relay.model import Account, OAuthGrant, Secret
from relay.store.account_records import Grant

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OAUTH = OAuthGrant(client_id="c1", client_secret=Secret("canary"), redirect_uri="https://a.example/")
GIVEN = {"token_type": "Bearer", "expires_in": 86400, "access_token": "a.b.c", "refresh_token": "def502"}


def answered(status: int, body: Any) -> Grant:
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_grant(Answer(status=status, body=whole), now=NOW, generation=4)


def test_both_bodies_name_the_integration() -> None:
    integration = {"client_id": "c1", "client_secret": "canary", "redirect_uri": "https://a.example/"}
    assert by_code(OAUTH, "xyz") == {**integration, "grant_type": "authorization_code", "code": "xyz"}
    grant = answered(200, GIVEN)
    assert by_refresh(OAUTH, grant) == {**integration, "grant_type": "refresh_token", "refresh_token": "def502"}


def test_a_grant_is_read_with_its_life() -> None:
    assert answered(200, GIVEN) == Grant(
        access=Secret("a.b.c"),
        refresh=Secret("def502"),
        obtained_at=NOW,
        expires_at=NOW + timedelta(days=1),
        generation=4,
    )


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [("600", 600), (0, 1), (-5, 1), (1e30, 30 * 86400), ("soon", 86400), (None, 86400), ([1], 86400)],
)
def test_an_odd_life_is_bounded(expires_in: Any, life: int) -> None:
    found = answered(200, GIVEN | {"expires_in": expires_in})
    assert found.expires_at - found.obtained_at == timedelta(seconds=life)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (401, {"hint": "Token has been revoked", "status": 401}, TokenRefused),
        (400, {"hint": "Check the `redirect_uri` parameter"}, TokenRefused),
        (404, {"title": "Not found"}, TokenRefused),
        (429, b"<html>", RateLimited),
        (403, b"<html>", Blocked),
        (502, b"<html>", AccountAway),
        (200, b"<html>", AccountAway),
        (200, {"access_token": "a.b.c"}, AccountAway),
        (200, GIVEN | {"refresh_token": "two words"}, AccountAway),
        (204, b"", AccountAway),
    ],
)
def test_what_is_no_grant_is_an_error(status: int, body: Any, error: type[Exception]) -> None:
    with pytest.raises(error) as raised:
        answered(status, body)
    assert type(raised.value) is error
    assert "a.b.c" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "page"),
    [
        ("example.amocrm.ru", "https://www.amocrm.ru/oauth"),
        ("example.amocrm.com", "https://www.amocrm.com/oauth"),
        ("example.kommo.com", "https://www.kommo.com/oauth"),
        ("127.0.0.1:8090", "http://127.0.0.1:8090/oauth"),
    ],
)
def test_access_is_granted_on_the_vendors_page(host: str, page: str) -> None:
    link = urlsplit(authorize_link(Account(name="main", host=host, oauth=OAUTH), OAUTH, "s7"))
    assert f"{link.scheme}://{link.netloc}{link.path}" == page
    assert parse_qs(link.query) == {"client_id": ["c1"], "state": ["s7"], "mode": ["popup"]}
