"""`relay.delivery.oauth2`: the request for a token, and every answer to it."""

import base64
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.delivery.answer import Answer
from relay.delivery.oauth2 import (
    LONGEST_LIFE,
    MAX_SAID,
    MAX_TOKEN,
    NoToken,
    Token,
    token_of,
    token_request,
)
from relay.http.request import Request
from relay.model import ClientAuth, OAuth2, Secret

UNFIT = "its access_token is too long or has characters that a header cannot carry"
ID, SECRET = "relay:1", "canary+of/a secret"


def settings(**more: Any) -> OAuth2:
    given = {"token_url": "https://id.example/token", "client_id": Secret(ID), "client_secret": Secret(SECRET)}
    return OAuth2(**{**given, **more})


def said(body: object, status: int = 200, flaw: str = "", **headers: str) -> Token | NoToken:
    raw = body if isinstance(body, bytes) else orjson.dumps(body)
    return token_of(Answer(status=status, headers=headers, body=raw, flaw=flaw), token_request(settings()).secrets)


def token(**document: object) -> Token:
    found = said({"access_token": "abc", **document})
    assert isinstance(found, Token)
    return found


def why(body: object, status: int = 200, flaw: str = "", **headers: str) -> str:
    found = said(body, status, flaw, **headers)
    assert isinstance(found, NoToken)
    assert SECRET not in found.why
    return found.why


# ---- the request


def test_the_credentials_go_by_basic_each_encoded_as_in_a_form() -> None:
    request = token_request(settings(scope="read write"))
    encoded = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert [unquote_plus(part) for part in encoded.split(":")] == [ID, SECRET]
    assert parse_qs(request.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["read write"]}
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


def test_they_go_in_the_body_for_servers_that_read_them_there_alone() -> None:
    request = token_request(settings(auth=ClientAuth.BODY))
    assert "authorization" not in request.headers
    form = {"grant_type": ["client_credentials"], "client_id": [ID], "client_secret": [SECRET]}
    assert parse_qs(request.body.decode()) == form


def test_nothing_prints_them() -> None:
    shown = f"{settings()!r} {token_request(settings())!r} {token()!r}"
    assert not [text for text in (SECRET, "id.example", "abc", ID) if text in shown]


# ---- the token


@pytest.mark.parametrize(
    ("expires_in", "life"),
    [
        (3600, 3600),
        ("3600", 3600),
        (" 3600 ", 3600),
        (3599.5, 3599.5),
        (1, 1),
        (10**9, LONGEST_LIFE.total_seconds()),
        (10**19, LONGEST_LIFE.total_seconds()),
        (1e300, LONGEST_LIFE.total_seconds()),
        ("9" * 30, LONGEST_LIFE.total_seconds()),
    ],
)
def test_it_lives_as_long_as_the_server_says_but_no_longer_than_a_day(expires_in: object, life: float) -> None:
    assert (token(expires_in=expires_in).life, token(expires_in=expires_in).remark) == (timedelta(seconds=life), "")


def test_without_a_word_about_its_life_it_is_used_until_a_401() -> None:
    assert (token().life, token().renewed_after, token().remark) == (None, None, "")


@pytest.mark.parametrize("odd", [-1, 0, "-1", "soon", "", "1h", True, [3600], {}, "1e5000", "٣٦٠٠"])
def test_a_life_that_cannot_be_meant_is_remarked_upon(odd: object) -> None:
    found = token(expires_in=odd)
    assert found.life is None
    assert found.remark == "its expires_in is not a number of seconds above 0: the token is used until a 401"


@pytest.mark.parametrize(("life", "after"), [(3600, 3540), (600, 540), (100, 90), (1, 0.9)])
def test_it_is_renewed_a_minute_or_a_tenth_of_its_life_before_its_end(life: int, after: float) -> None:
    assert token(expires_in=life).renewed_after == timedelta(seconds=after)


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BearerToken", None, ""])
def test_a_bearer_token_is_one_by_whatever_name(kind: str | None) -> None:
    assert token(token_type=kind).text == "abc"


def test_a_byte_order_mark_before_it_is_skipped() -> None:
    assert isinstance(said(b'\xef\xbb\xbf{"access_token": "abc"}'), Token)


def test_a_request_carries_it_and_masks_it() -> None:
    plain = Request(url="https://bot.example/in", headers={}, body=b"{}", own_headers={"a": "b"}, secrets=("b",))
    sent = token(access_token="a/b+c").authorize(plain)
    assert sent.own_headers == {"a": "b", "authorization": "Bearer a/b+c"}
    assert {"a/b+c", "a\\/b+c", "a%2Fb%2Bc", "a%2fb%2bc", "b"} == {*sent.secrets}
    assert [*sent.secrets] == sorted(sent.secrets, key=len, reverse=True)


# ---- no token


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"<html>Sign in</html>", "it answered 200 with a body that is no JSON object"),
        (b"", "it answered 200 with a body that is no JSON object"),
        (b"[]", "it answered 200 with a body that is no JSON object"),
        (b'"abc"', "it answered 200 with a body that is no JSON object"),
        (b"[" * 60_000, "it answered 200 with a body that is no JSON object"),
        (b'{"access_token": "\xff"}', "it answered 200 with a body that is no JSON object"),
        ({}, "it answered 200 without an access_token"),
        ({"access_token": ""}, "it answered 200 without an access_token"),
        ({"access_token": 7}, "it answered 200 without an access_token"),
        ({"error": "invalid_client"}, "it answered 200 without an access_token: invalid_client"),
        ({"access_token": "a\r\nX-Evil: 1"}, UNFIT),
        ({"access_token": "токен"}, UNFIT),
        ({"access_token": "a" * (MAX_TOKEN + 1)}, UNFIT),
        ({"access_token": "abc", "token_type": "mac"}, "its token_type is not Bearer"),
        ({"access_token": "abc", "token_type": ["Bearer"]}, "its token_type is not Bearer"),
    ],
)  # fmt: skip
def test_an_answer_without_a_usable_token_is_one_line(body: object, line: str) -> None:
    assert why(body) == line


@pytest.mark.parametrize(
    ("status", "body", "line"),
    [
        (400, {"error": "invalid_scope"}, "it answered 400: invalid_scope"),
        (401, {"error": "no", "error_description": "No  such\nclient"}, "it answered 401: no - No such client"),
        (302, b"", "it answered 302"),
        (500, b"<html>", "it answered 500"),
        (500, {"error": {"code": 7}}, "it answered 500"),
        (401, {"access_token": "abc"}, "it answered 401"),
    ],
)  # fmt: skip
def test_another_status_is_told_with_the_error_of_rfc_6749(status: int, body: object, line: str) -> None:
    assert why(body, status) == line


def test_a_body_that_is_not_whole_is_none() -> None:
    assert why({"access_token": "abc"}, flaw="its body broke off") == "it answered 200, and its body broke off"
    assert (
        why({"access_token": "abc"}, **{"content-encoding": "gzip"})
        == "it answered 200 with a body that is no JSON object"
    )


def test_an_error_that_repeats_the_url_is_told_without_what_may_be_secret_in_it() -> None:
    path = "/tenant-canary-0123456789/token?code=canary-code"
    request = token_request(settings(token_url=f"https://id.example{path}"))
    body = orjson.dumps({"error": "invalid_request", "error_description": f"nothing at {path}"})
    found = token_of(Answer(status=404, headers={}, body=body), request.secrets)
    assert found == NoToken("it answered 404: invalid_request - nothing at /***/token?***")


def test_an_error_that_repeats_the_credentials_is_told_without_them() -> None:
    [basic] = [value for name, value in token_request(settings()).headers.items() if name == "authorization"]
    for spelling in (SECRET, "canary%2Bof%2Fa+secret", "canary%2Bof%2Fa%20secret", basic, "canary+of\\/a secret"):
        line = why({"error": "x" * (MAX_SAID - 5) + spelling, "error_description": f"no {spelling}"}, 400)
        assert "canary" not in line
        assert basic.removeprefix("Basic ") not in line
        assert line.endswith(("- no ***", "- no Basic ***"))


@given(
    st.recursive(st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=9), st.lists, max_leaves=5)
)
def test_whatever_stands_where_the_token_should_there_is_an_answer(value: Any) -> None:
    for key in ("access_token", "token_type", "expires_in", "error"):
        found = said({"access_token": "abc", key: value})
        assert isinstance(found, NoToken) or found.text


@given(st.binary(max_size=200), st.integers(100, 599))
def test_any_bytes_are_an_answer(body: bytes, status: int) -> None:
    assert isinstance(said(body, status), Token | NoToken)
