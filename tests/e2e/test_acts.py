"""What operators do beside a running daemon is a line in its log within a second, and is in the audit."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e.processes import RELAY, RelayProcess, run, running
from tests.e2e.sender import post, post_lead
from tests.e2e.targets import listening, refusing, well

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
targets:
  good: {{url: "{good}"}}
  bad: {{url: "{bad}", retry: {{initial: 50ms, attempts: 1}}}}
routes:
  - {{name: all, match: {{entity: leads}}, to: [good, bad]}}
"""

LINE = "done by an operator"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    async with listening(good=well, bad=refusing(1)) as targets:
        routes = ROUTES.format(good=targets.url("good"), bad=targets.url("bad"))
        async with running(tmp_path, routes) as relay:
            await post_lead(relay.hook, "m1")
            await relay.drained()
            yield relay


async def order(relay: RelayProcess, *arguments: str, good: bool = True) -> None:
    store = f"--store=sqlite:///{relay.store}"
    code, _, complaint = await run(*RELAY, *arguments, store, RELAY_CONFIG=str(relay.routes))
    assert code == 0 or not good, complaint


async def last(relay: RelayProcess, number: int) -> dict[str, Any]:
    """The line of the number-th act, which is the last one so far; the audit says the same."""
    line = (await relay.said(LINE, number))[-1]
    [act] = await relay.command("audit", "--limit=1")
    assert (line["command"], line["who"], line["count"]) == (act["command"], act["who"], act["count"])
    return line


async def test_each_act_is_a_line_of_the_daemon_and_in_the_audit(relay: RelayProcess, tmp_path: Path) -> None:
    await order(relay, "pause", "good", "--reason", "new disk")
    paused = await last(relay, 1)
    assert (paused["level"], paused["command"], paused["asked"]) == ("info", "pause", "target=good reason=new disk")
    await order(relay, "resume", "good")
    assert (await last(relay, 2))["command"] == "resume"
    await order(relay, "replay", "--target", "good", "--state", "delivered")
    replayed = await last(relay, 3)
    assert (replayed["command"], replayed["count"], replayed["asked"]) == ("replay", 1, "states=delivered target=good")
    await relay.drained()
    await order(relay, "backup", str(tmp_path / "copy.db"))
    copied = await last(relay, 4)
    assert (copied["command"], copied["count"], copied["asked"]) == ("backup", 1, f"file={tmp_path / 'copy.db'}")
    await order(relay, "purge", "--older-than", "1ms", "--state", "dead", "--state", "delivered")
    assert (await last(relay, 5))["command"] == "purge"
    assert len(relay.lines(LINE)) == 5, "and nothing else"


async def test_a_reparse_is_one_act_that_counts_its_webhooks(relay: RelayProcess) -> None:
    for name in ("Анна", "Яна"):
        body = urlencode({"leads[add][0][id]": "7", "leads[add][0][name]": name}, encoding="cp1251")
        assert (await post(relay.hook, body.encode()))["unparsed"]
    await order(relay, "reparse", "--charset", "cp1251")
    line = await last(relay, 1)
    assert (line["command"], line["count"], line["asked"]) == ("reparse", 2, "charset=cp1251")
    await order(relay, "reparse", "--dry-run")
    assert len(await relay.command("audit")) == 1, "what changed nothing is not audited"
