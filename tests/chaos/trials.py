"""A sabotaged relay -> whether any of a few trials finds it guilty.

A self-proof shows that its campaign can find a fault. Where that takes a coincidence, as a kill between two calls, one
trial may miss it on a machine that is quick, slow or busy; a relay without the fault is guilty in none. The campaigns
of the relay itself have one trial each.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

from tests.chaos.scale import SEED

TRIALS = 4


async def found_guilty(folder: Path, trial: Callable[[Path, int], Awaitable[object]]) -> bool:
    """Call `trial` with a new folder and another seed, until it returns what is true, at most `TRIALS` times."""
    for number in range(TRIALS):
        made = folder / f"trial-{number}"
        made.mkdir()
        if await trial(made, SEED + number):
            return True
    return False
