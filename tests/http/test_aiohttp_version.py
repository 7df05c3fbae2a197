"""`relay.http.aiohttp_version`: which aiohttp may be used, and what runs on it."""

import aiohttp
import pytest
from aiohttp import http_parser

from relay.errors import ConfigurationError
from relay.http.aiohttp_version import Variant, Variants, choose_variants

FAST = Variants(client=Variant.FAST, server=Variant.FAST)


def test_the_installed_one_is_known() -> None:
    assert choose_variants() == FAST


@pytest.mark.parametrize("version", ["3.14.5", "3.14.10", "3.14.6rc1"])
def test_newer_ones_of_the_same_series_are_known(version: str) -> None:
    assert choose_variants(version=version) == FAST


def test_the_plain_client_may_be_asked_for() -> None:
    assert choose_variants(Variant.PLAIN) == Variants(client=Variant.PLAIN, server=Variant.FAST)


@pytest.mark.parametrize("version", ["3.15.0", "3.15.0rc1", "3.100.0"])
@pytest.mark.parametrize("asked", Variant)
def test_on_a_newer_minor_version_both_plain_halves_run_with_a_warning(
    version: str, asked: Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aiohttp, "__version__", version)
    chosen = choose_variants(asked)
    assert (chosen.client, chosen.server) == (Variant.PLAIN, Variant.PLAIN)
    assert chosen.warning == f"aiohttp {version} is newer than 3.14: its plain client and server run, slower"


@pytest.mark.parametrize("version", ["4.0.0", "4.0.0a1"])
def test_those_of_a_newer_major_version_may_not(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"newer than this relay knows: install the newest 3\.14"):
        choose_variants(version=version)


@pytest.mark.parametrize("version", ["3.14.4", "3.9.5", "2.99.99"])
def test_older_ones_may_not(version: str) -> None:
    with pytest.raises(ConfigurationError, match=r"has known holes: install 3\.14\.5 or newer"):
        choose_variants(version=version)


@pytest.mark.parametrize("version", ["3.14.5", "3.15.0"])
def test_none_may_without_its_c_parser(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(ConfigurationError, match=r"runs without its C parser: install a binary wheel"):
        choose_variants(version=version)
