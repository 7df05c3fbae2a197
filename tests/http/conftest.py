"""Every test of targets is run with both clients."""

from tests.clients import client, new_client, sender  # noqa: F401  fixtures
