"""Fixtures: a relay in this process, and both servers that it may run on."""

import aiohttp
import pytest

from relay.http import small_posts
from relay.http.aiohttp_version import Variant
from relay.ingest import decode
from tests.scene import limits, scene

__all__ = ["limits", "scene"]


@pytest.fixture(params=Variant)
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Variant:
    """Which of the two: the plain one serves on a release of aiohttp that is not known."""
    chosen: Variant = request.param
    if chosen is Variant.PLAIN:
        monkeypatch.setattr(aiohttp, "__version__", "3.15.0")
    return chosen


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bodies of more than 100 bytes are large, for the listener and for the decoder."""
    monkeypatch.setattr(small_posts, "SMALL", 100)
    monkeypatch.setattr(decode, "LARGE", 100)
