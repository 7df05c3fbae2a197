import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.account.tokens import LongLivedToken, expiry
from relay.model import Secret


def jwt(claims: Any) -> Secret:
    middle = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Secret(f"eyJhbGciOiJSUzI1NiJ9.{middle}.c2lnbmF0dXJl")


def test_the_end_of_a_token_is_read_from_it() -> None:
    token = LongLivedToken(jwt({"aud": "c1", "exp": 1_800_000_000}))
    assert token.expires_at == datetime(2027, 1, 15, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize("claims", [{}, {"exp": "soon"}, {"exp": None}, {"exp": 1e30}, {"exp": -1e30}, [1], 5, None])
def test_a_token_without_a_readable_end_is_one_all_the_same(claims: Any) -> None:
    assert expiry(jwt(claims)) is None


@given(st.text())
def test_any_text_may_be_a_token(text: str) -> None:
    expiry(Secret(text))
