"""Processes -> seconds of the processor, of all threads or thread by thread: on Linux in nanoseconds (schedstat)."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

LOOP = "loop thread"
STORE = "store thread"
LOG = "log writer"
OTHERS = "other threads"
THREADS = (LOOP, STORE, LOG, OTHERS)
NAMES = {"relay-store": STORE, "relay-log": LOG}
"""As the kernel knows them, if the relay runs by named_threads.py."""


def cpu_seconds(pids: Sequence[int]) -> float:
    """Of all threads there are; where there is no schedstat in hundredths of a second."""
    return sum(map(_of_process, pids))


def cpu_by_thread(pids: Sequence[int]) -> dict[str, float]:
    """Of each of THREADS; nothing where the kernel does not count threads one by one."""
    spent: dict[str, float] = defaultdict(float)
    for pid in pids:
        for task in tasks(pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
                spent[thread_name(task, pid)] += _scheduled(task) / 1e9
    return spent


def per_unit(before: Mapping[str, float], after: Mapping[str, float], units: float) -> dict[str, float]:
    """Microseconds of each thread for each of so many."""
    return {name: (after[name] - before.get(name, 0.0)) / units * 1e6 for name in THREADS if name in after}


def tasks(pid: int) -> list[Path]:
    """A folder for each thread."""
    folder = Path(f"/proc/{pid}/task")
    return [*folder.iterdir()] if (folder / str(pid) / "schedstat").exists() else []


def thread_name(task: Path, pid: int) -> str:
    """One of THREADS: the first thread of a process runs its loop."""
    if task.name == str(pid):
        return LOOP
    return NAMES.get((task / "comm").read_text().strip(), OTHERS)


def _of_process(pid: int) -> float:
    try:
        return sum(_scheduled(task) for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9
    except FileNotFoundError:  # no schedstat on this system
        times = psutil.Process(pid).cpu_times()
        return times.user + times.system


def _scheduled(task: Path) -> int:
    """Nanoseconds on a processor (Documentation/scheduler/sched-stats.rst)."""
    return int((task / "schedstat").read_bytes().split()[0])
