"""Flags: the text of an address or a duration, and what misuse is told."""

from datetime import timedelta

import click
import pytest

from relay.cli.values import Address, address, duration


@pytest.mark.parametrize("text", ["127.0.0.1:8080", "[::1]:0", "localhost:65535"])
def test_an_address_is_written_as_it_was_read(text: str) -> None:
    assert str(address(text)) == text


def test_an_ipv6_host_loses_its_brackets() -> None:
    assert address("[::1]:8080") == Address("::1", 8080)


@pytest.mark.parametrize(
    "text", ["", "8080", ":8080", "localhost", "localhost:", "h:65536", "h:-1", "h:²", "::1:80", "[]:80"]
)
def test_what_is_no_address_is_told_how_one_looks(text: str) -> None:
    with pytest.raises(click.BadParameter, match=r"not an address like 127\.0\.0\.1:8080"):
        address(text)


def test_a_duration_is_written_as_in_the_routes_file() -> None:
    assert duration("200ms") == timedelta(milliseconds=200)
    with pytest.raises(click.BadParameter, match="'2' must be a duration like 200ms"):
        duration("2")
