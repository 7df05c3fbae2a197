"""`relay.admin.console.lengths`: lengths of time as people write them, in both languages."""

from datetime import UTC, datetime

import pytest

from relay.admin.console import moments
from relay.admin.console.lengths import LONGEST, shortened
from relay.operations.reading import InvalidParameters


@pytest.mark.parametrize(
    ("written", "short"),
    [
        ("2 сек", "2s"),
        ("5 минут", "5m"),
        ("1 минуту", "1m"),
        ("2 часа назад", "2h"),
        ("3 дня", "3d"),
        ("1 ч 30 мин.", "1h30m"),
        ("1,5 часа", "1.5h"),
        ("500 мс", "500ms"),
        ("неделя", "неделя"),
        ("1 неделю", "1w"),
        ("2 sec", "2s"),
        ("5 Minutes ago", "5m"),
        ("3 days", "3d"),
        ("1h30m", "1h30m"),
        ("20:40", "20:40"),
        ("5 лет", "5 лет"),
        ("2 sect", "2 sect"),
        ("5", "5"),
    ],
)
def test_a_length_is_read_as_people_write_it(written: str, short: str) -> None:
    assert shortened(written) == short


def test_a_long_text_is_not_taken_apart() -> None:
    long = "1 s" * LONGEST
    assert shortened(long) == long


def test_a_long_text_is_no_time_whatever_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moments, "is_age", lambda _text: pytest.fail("it was looked through"))
    with pytest.raises(InvalidParameters):
        moments.read({"since": ["1s" * LONGEST]}, datetime(2026, 11, 30, tzinfo=UTC))
