"""A file that says how far a clock is off -> variables that make a process believe it."""

from pathlib import Path

from tests.tools import without


def lies(clock: Path) -> dict[str, str]:
    """Variables for a process whose wall clock is off by what `clock` says, `+1h`; its monotonic clock is not."""
    return {
        "LD_PRELOAD": str(_library()),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_CACHE_DURATION": "1",  # seconds; read at every call, the file shows two threads two clocks
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def _library() -> Path:
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    return (
        found[0] if found else Path(without("libfaketime is not installed; on Debian and Ubuntu: apt install faketime"))
    )
