"""Relays are upgraded one after the other, under load: the schema grows, then what nobody uses is dropped."""

import sys
from collections.abc import Sequence
from pathlib import Path
from signal import SIGTERM

import pytest

from tests.chaos import later
from tests.chaos.conftest import Report
from tests.chaos.relays import DRAINED_WITHIN, Relays, campaign
from tests.chaos.sabotage import sabotaged
from tests.chaos.scale import at_length
from tests.chaos.seen import Seen
from tests.postgres import Cluster

WEBHOOKS = at_length(4000, briefly=50)
"""Sent between two steps."""


@pytest.mark.timeout(240)
async def test_a_rolling_upgrade_loses_and_repeats_nothing(
    tmp_path: Path, server: Cluster, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, schemas = await upgraded(tmp_path, server, monkeypatch, to=(sys.executable, later.__file__))
    report("rolling upgrade", f"schema after each relay {schemas}: {seen}")
    seen.assert_nothing_went_wrong()
    seen.assert_nothing_was_repeated()
    assert schemas == [later.NEWEST + 1, later.NEWEST + 2], "nothing is dropped while an older one lives"


@pytest.mark.timeout(240)
async def test_an_upgrade_after_which_older_relays_cannot_write_is_found_guilty(
    tmp_path: Path, server: Cluster, report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, _ = await upgraded(tmp_path, server, monkeypatch, to=sabotaged("upgrades_for_itself"), within=5)
    report("rolling upgrade", f"sabotaged, the older ones cannot write: {seen}")
    assert seen.findings.lost


async def upgraded(
    folder: Path,
    server: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    *,
    to: Sequence[str],
    within: float = DRAINED_WITHIN,
) -> tuple[Seen, list[int]]:
    """What was seen, and the schema after each relay's upgrade."""
    schemas = []

    async def upgrades(made: Relays) -> None:
        for relay in made.relays.values():
            await made.sent(WEBHOOKS)
            relay.signal(SIGTERM)
            assert await relay.ended() == 0
            monkeypatch.setattr(relay, "_command", to)
            await relay.start()
            await made.all_deliver()
            schemas.append(schema(server, made.database))

    return await campaign(folder, server, upgrades, within=within), schemas


def schema(server: Cluster, database: str) -> int:
    """Of the database."""
    with server.admin(database) as connection:
        [found] = connection.execute("select schema from relay_meta").fetchone() or ()
        return int(found)
