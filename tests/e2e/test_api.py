"""The API of a live relay, asked everything that its own description allows and much that it does not: schemathesis."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.processes import RelayProcess, running
from tests.e2e.sender import post, post_lead
from tests.e2e.targets import listening, refusing, well
from tests.e2e.test_acts import ROUTES

TOKEN = "canary-of-the-api-0123456789"
SCHEMATHESIS = (
    sys.executable, "-m", "schemathesis.cli", "run",
    "--header", f"Authorization: Bearer {TOKEN}",
    "--checks", "all",
    # a name that fits its schema need not be anybody's; who guesses tokens is locked out, see tests/admin/test_auth.py
    "--exclude-checks", "positive_data_acceptance,ignored_auth,missing_required_header",
    "--exclude-path", "/tail",  # it has no end
    "--mode", "all",
    "--max-examples", "25",
    "--seed", "1",
    "--workers", "1",
    "--request-timeout", "30",
    "--suppress-health-check", "all",
    "--generation-database", "none",
    "--no-color",
)  # fmt: skip


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    """One that has delivered, given up and not understood something."""
    async with listening(good=well, bad=refusing(1)) as targets:
        routes = ROUTES.format(good=targets.url("good"), bad=targets.url("bad"))
        async with running(tmp_path, routes, RELAY_ADMIN_TOKEN=TOKEN) as relay:
            await post_lead(relay.hook, "m1")
            assert (await post(relay.hook, b"no events"))["unparsed"]
            await relay.drained()
            yield relay


@pytest.mark.timeout(600)
async def test_the_api_does_what_its_description_says_whatever_it_is_asked(relay: RelayProcess, tmp_path: Path) -> None:
    asked = await asyncio.create_subprocess_exec(
        *SCHEMATHESIS,
        f"{relay.admin}/api/v1/openapi.json",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asked.communicate()
    assert asked.returncode == 0, said.decode()[-8000:]
    await post_lead(relay.hook, "m2")  # and it still takes webhooks
