"""Name of a file in `sabotages` -> the command of a relay that breaks this one promise; its campaign must fail."""

import sys
from pathlib import Path


def sabotaged(name: str) -> tuple[str, ...]:
    """Return the command to run in the place of `processes.RELAY`."""
    return (sys.executable, str(Path(__file__).with_name("sabotages") / f"{name}.py"))
