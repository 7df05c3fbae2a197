"""The environment -> how much of each campaign is run, and by which dice.

RELAY_CHAOS_SCALE multiplies its size: 0.1 in `make test`, 1 in `make chaos`, more before a release. RELAY_CHAOS_SEED
repeats a run whose table named that seed, as far as a machine can.
"""

import os
from random import randrange

SCALE = float(os.environ.get("RELAY_CHAOS_SCALE", "0.1"))
SEED = int(os.environ.get("RELAY_CHAOS_SEED", randrange(1_000_000)))


def scaled(number: float, *, least: int = 1) -> int:
    """What is `number` at scale 1, and never below `least`: a campaign of nothing proves nothing."""
    return max(least, round(number * SCALE))
