"""One way to write an instant: RFC 3339, UTC, milliseconds."""

import ast
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.rfc3339 import rfc3339, rfc3339_of_seconds
from tests.syntax import parsed

ROOT = Path(__file__).resolve().parent.parent
FORM = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
OFFSETS = st.integers(min_value=-14 * 60, max_value=14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
INSTANTS = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2999, 1, 1), timezones=OFFSETS)  # noqa: DTZ001


@given(INSTANTS)
def test_it_is_utc_to_the_millisecond_and_reads_back_as_the_same_instant(at: datetime) -> None:
    text = rfc3339(at)
    assert FORM.fullmatch(text)
    assert timedelta() <= at - datetime.fromisoformat(text) < timedelta(milliseconds=1)


@given(INSTANTS)
def test_it_is_what_isoformat_writes(at: datetime) -> None:
    assert rfc3339(at) == at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@given(st.integers(min_value=0, max_value=4_000_000_000_000))
@example(1_001)  # 1.001 * 1_000 is 1000.9999999999999
def test_seconds_and_datetimes_of_one_instant_have_one_text(ms: int) -> None:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
    assert rfc3339_of_seconds(at.timestamp()) == rfc3339(at)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.0, "1970-01-01T00:00:00.000Z"), (1_764_000_000.9999, "2025-11-24T16:00:00.999Z")]
)
def test_milliseconds_are_cut_not_rounded(seconds: float, text: str) -> None:
    assert rfc3339_of_seconds(seconds) == text
    assert rfc3339(datetime.fromtimestamp(seconds, UTC)) == text


OTHER_FORMS = {
    "relay/admin/console/moments.py",
    "relay/cli/sink.py",
    "relay/cli/times.py",
    "relay/routes/template/filters.py",
}
"""Times for people, in the machine's zone; an address of the console keeps the zone of the browser that made it; the
sink's `at` has had microseconds and an offset from the start; the filter `date` writes what a template asks for."""


def test_nothing_else_formats_an_instant_for_programs() -> None:
    formats = {"isoformat", "strftime"}
    for path in sorted((ROOT / "relay").rglob("*.py")):
        name = path.relative_to(ROOT).as_posix()
        calls = {
            node.func.attr
            for node in ast.walk(parsed(path))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        }
        assert name in OTHER_FORMS | {"relay/rfc3339.py"} or not calls & formats, f"{name}: use relay.rfc3339"
