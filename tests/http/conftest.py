"""Every test of targets is run with both clients, every test of listeners with both protocols."""

import pytest

from relay.http.aiohttp_version import Variant
from tests.clients import client, new_client, sender

__all__ = ["client", "new_client", "sender"]


@pytest.fixture(params=Variant)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Which of the two protocols serves."""
    chosen: Variant = request.param
    return chosen
