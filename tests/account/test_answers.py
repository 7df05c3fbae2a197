"""What each answer of amoCRM's API means, by the bodies that it and what stands before it were seen to send."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account.answers import MAX_SAID, Answer, TooMany, read
from relay.errors import AccountAway, AccountError, Blocked, Forbidden, RequestRefused, TokenRefused, Unpaid
from relay.model import Secret

NGINX = b"<html>\r\n<head><title>403 Forbidden</title></head>\r\n<body>nginx</body></html>"
NOT_SUPPORTED = {
    "validation-errors": [
        {"request_id": "0", "errors": [{"code": "NotSupportedChoice", "path": "settings.0", "detail": "no"}]}
    ],
    "title": "Bad Request",
    "type": "https://httpstatus.es/400",
    "status": 400,
    "detail": "Request validation failed",
}
REVOKED = {"hint": "Token has been revoked", "title": "Unauthorized", "status": 401, "detail": ""}


def answered(status: int, body: Any = b"", **headers: str) -> Any:
    whole = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read(
        Answer(status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}, body=whole), "GET /x"
    )


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_success_is_its_json(status: int) -> None:
    assert answered(status, {"_page": 1}) == {"_page": 1}


@pytest.mark.parametrize(("status", "body"), [(204, b""), (200, b""), (202, b" \n"), (204, b"<html>")])
def test_nothing_is_none_and_never_read_as_json(status: int, body: bytes) -> None:
    assert answered(status, body) is None


@pytest.mark.parametrize(
    ("status", "body", "error", "said"),
    [
        (200, NGINX, AccountAway, "answered 200 with something else than JSON"),
        (200, b'{"_embedded": {"events": [', AccountAway, "answered 200 with something else than JSON"),
        (200, [1], AccountAway, "answered 200 with something else than JSON"),
        (500, {"title": "ErrInternalServer", "trace_id": "7"}, AccountAway, "answered 500: ErrInternalServer"),
        (502, NGINX, AccountAway, "answered 502"),
        (504, b"", AccountAway, "answered 504"),
        (401, REVOKED, TokenRefused, "Token has been revoked: the token is wrong, has expired or was revoked"),
        (402, {"title": "Payment Required"}, Unpaid, "the account is not paid for"),
        (403, NGINX, Blocked, "its support alone ends that"),
        (403, b"", Blocked, "its support alone ends that"),
        (403, {"title": "Forbidden", "detail": "Invalid scope"}, Forbidden, "Invalid scope: the token's user"),
        (403, {"response": {"error": "IP", "error_code": "113"}}, Forbidden, "not in the account's list"),
        (403, {"error_code": 113}, Forbidden, "not in the account's list"),
        (400, NOT_SUPPORTED, RequestRefused, "Request validation failed; settings.0: NotSupportedChoice"),
        (404, NGINX, RequestRefused, "is there an account at this host?"),
        (404, {"detail": "Cannot GET https://…"}, RequestRefused, "answered 404: Cannot GET https://…"),
        (422, {"detail": "Limit of 250 per page"}, RequestRefused, "answered 422: Limit of 250 per page"),
        (405, NGINX, RequestRefused, "answered 405"),
        (302, b"", RequestRefused, "a redirect, which is not followed"),
        (304, b"", RequestRefused, "answered 304"),
        (203, {"a": 1}, RequestRefused, "answered 203"),
    ],
)
def test_an_error_is_told_by_status_and_body(status: int, body: Any, error: type[AccountError], said: str) -> None:
    with pytest.raises(error) as raised:
        answered(status, body)
    assert type(raised.value) is error
    assert said in str(raised.value)
    assert str(raised.value).startswith("GET /x: answered ")


def test_what_is_refused_has_its_status() -> None:
    with pytest.raises(RequestRefused) as raised:
        answered(400, {"detail": "Invalid params passed to filter"})
    assert raised.value.status == 400


@pytest.mark.parametrize(
    ("status", "body", "headers", "pause"),
    [
        (429, NGINX, {}, None),
        (429, {"title": "Too Many Requests"}, {}, None),
        (429, {"retry_after": 300}, {}, 300.0),
        (429, NGINX, {"retry_after": "7"}, 7.0),
        (429, NGINX, {"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (429, {"retry_after": "soon"}, {}, None),
        (429, {"retry_after": -1}, {}, 0.0),
        (429, {"retry_after": 1e9}, {}, 3600.0),
        (403, {"retry_after": 300, "title": "Forbidden"}, {}, 300.0),
    ],
)
def test_too_many_requests_are_a_pause(status: int, body: Any, headers: dict[str, str], pause: float | None) -> None:
    assert answered(status, body, **headers) == TooMany(pause)


def test_an_error_names_the_request_for_amocrms_support() -> None:
    with pytest.raises(AccountAway, match=r"\(request 5b2c\)"):
        answered(500, b"", x_request_id="5b2c")


def test_what_an_answer_says_is_one_short_line_without_the_token() -> None:
    answer = Answer(status=400, body=json.dumps({"detail": "canary\n\u001b[31m" + "x" * 999}).encode())
    with pytest.raises(RequestRefused) as raised:
        read(answer.without(Secret("canary")), "GET /x")
    said = str(raised.value)
    assert "canary" not in said
    assert "***" in said
    assert said.isprintable()
    assert len(said) < MAX_SAID + 100


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["detail", "title", "hint", "retry_after", "validation-errors", "errors", "path", "response",
                         "error_code", "code"]), inner, max_size=5),
)  # fmt: skip


@given(st.integers(100, 599), st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_whatever_is_answered_is_json_or_nothing_or_an_error_of_ours(status: int, body: bytes) -> None:
    try:
        answered(status, body)
    except AccountError as error:
        assert str(error).isprintable()
