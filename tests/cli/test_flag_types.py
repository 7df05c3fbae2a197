"""Flags: the text of an address or a duration, and what misuse is told."""

from datetime import timedelta

import click
import pytest

from relay.cli.flag_types import Address, Whole, address, duration
from tests.cli.conftest import Run


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:0", "localhost:65535"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(address(text)) == text


def test_an_ipv6_host_loses_its_brackets() -> None:
    assert address("[::1]:8080") == Address("::1", 8080)


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "localhost", "localhost:", "h:65536", "h:-1", "h:²", "::1:80", "[]:80"]
)
def test_what_is_no_address_gets_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not an address like 127\.0\.0\.1:8080"):
        address(text)


def test_a_duration_is_written_as_in_the_routes_file() -> None:
    assert duration("200ms") == timedelta(milliseconds=200)
    with pytest.raises(click.BadParameter, match="'2' must be a duration like 200ms"):
        duration("2")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["run", "--max-body", "4MB"], "'--max-body': '4MB' must be bytes, 1024 to 268435456"),
        (["run", "--max-body", "1"], "'--max-body': '1' must be bytes, 1024 to 268435456"),
        (["run", "--ballast", "-1"], "'--ballast': '-1' must be bytes, 0 or more"),
        (["list", "--limit", "all"], "'--limit': 'all' must be a whole number, 1 to 10000"),
        (["sink", "--status", "600"], "'--status': '600' must be a status, 200 to 599"),
    ],
)
def test_what_is_no_such_number_is_refused_with_what_is_expected(run: Run, command: list[str], told: str) -> None:
    ended = run(*command)
    assert (ended.exit_code, ended.stderr.splitlines()[-1]) == (2, f"Error: Invalid value for {told}")


def test_a_whole_number_is_one() -> None:
    assert [Whole(0, 9).convert(text, None, None) for text in ("0", "9")] == [0, 9]
