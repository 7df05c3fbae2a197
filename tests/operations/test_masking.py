"""What of a reason and of a match a viewer sees: closed words and ids, and no text of strangers."""

import pytest

from relay.operations.documents.routes import ConditionDocument
from relay.operations.masking import mask, mask_reason


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("", ""),
        ("400", "400"),
        ("4xx 400", "4xx 400"),
        ("5xx 503 Ann's order", "5xx 503 ***"),
        ("timeout", "timeout"),
        ("timeout after Ann", "timeout ***"),
        ("answered 400, which is in dead_on", "answered 400, which is in dead_on"),
        ("8 attempts failed, the last one: answered 503", "8 attempts failed, the last one: answered 503"),
        (
            "older than max_age after 8 attempts, the last one: tls",
            "older than max_age after 8 attempts, the last one: tls",
        ),
        ("asked by Retry-After to wait 20 s: 429 slow down, Ann", "asked by Retry-After to wait 20 s: 429 ***"),
        ("the request cannot be made: no header Ann", "the request cannot be made: ***"),
        ("cannot be rendered, Ann", "cannot be rendered, ***"),
        ("79161234567", "***"),
        ("4001", "***"),
        ("Ann timeout", "***"),
    ],
)
def test_of_a_reason_its_kind_and_status_are_shown(reason: str, shown: str) -> None:
    assert mask_reason(reason) == shown


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("entity", "leads", "leads"),
        ("action", "status", "status"),
        ("pipeline", "752662", "752662"),
        ("data.status_id", "142", "142"),
        ("stage", "752662/142", "752662/142"),
        ("status_id", "Ann", "***"),
        ("data.entity", "Ann", "***"),
        ("name", "Ann", "***"),
        ("custom_fields.id", "79161234567", "***"),
        ("query.id", "79161234567", "***"),
    ],
)
def test_of_a_match_closed_words_and_ids_are_shown(field: str, value: str, shown: str) -> None:
    check = ConditionDocument(field=field, condition="x", values=(value,), held=True)
    assert mask(check).values == (shown,)
