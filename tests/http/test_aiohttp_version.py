"""`relay.http.aiohttp_version`: which aiohttp may be used."""

import pytest

from relay.errors import ConfigurationError
from relay.http.aiohttp_version import check_aiohttp


def test_the_installed_one_may() -> None:
    check_aiohttp()


@pytest.mark.parametrize("version", ["3.14.5", "3.14.10", "3.14.6rc1"])
def test_newer_ones_of_the_same_series_may(version: str) -> None:
    check_aiohttp(version)


@pytest.mark.parametrize("version", ["3.15.0", "4.0.0", "3.15.0rc1"])
def test_those_of_a_newer_series_may_not(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"newer than this relay knows: install the newest 3\.14"):
        check_aiohttp(version)


@pytest.mark.parametrize("version", ["3.14.4", "3.9.5", "2.99.99"])
def test_older_ones_may_not(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has known holes: install 3\.14\.5 or newer"):
        check_aiohttp(version)
