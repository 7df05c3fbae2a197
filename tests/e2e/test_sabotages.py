"""tests/chaos/sabotages: each relay with a broken promise starts, so what it replaces is still there."""

from pathlib import Path

import pytest

from tests.chaos.sabotage import sabotaged
from tests.e2e.processes import run

SABOTAGES = sorted(path.stem for path in (Path(__file__).parents[1] / "chaos" / "sabotages").glob("*.py"))


@pytest.mark.parametrize("name", SABOTAGES)
async def test_a_sabotage_still_finds_what_it_breaks(name: str) -> None:
    code, printed, complaint = await run(*sabotaged(name), "--version")
    assert code == 0, complaint
    assert printed.startswith("relay ")
