"""Environment -> size and random seed of every campaign.

RELAY_CHAOS_SCALE multiplies the sizes: 1 in `make chaos`, 0.1 where pytest is run by hand, more before a release.
RELAY_CHAOS_AT_LENGTH=1 is for the campaigns of several relays, whose faults take long: two hours, by hand.
RELAY_CHAOS_SEED repeats the run whose table shows that seed, as far as a machine can.
"""

import os
from random import randrange

SCALE = float(os.environ.get("RELAY_CHAOS_SCALE", "0.1"))
AT_LENGTH = os.environ.get("RELAY_CHAOS_AT_LENGTH", "") == "1"
SEED = int(os.environ.get("RELAY_CHAOS_SEED", randrange(1_000_000)))


def scaled(number: float, *, least: int = 1) -> int:
    """Scale `number`, the size at scale 1, but not below `least`: an empty campaign proves nothing."""
    return max(least, round(number * SCALE))


def at_length(number: int, *, briefly: int) -> int:
    """Return the count, or the seconds, of a run by hand at length, else what shows the same `briefly`."""
    return number if AT_LENGTH else briefly
