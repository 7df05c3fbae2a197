"""Run `relay …` with threads that the kernel knows by name: `python named_threads.py …`, for any tree on PYTHONPATH.

Without it /proc calls each thread `python`: CPython 3.14 is the first that passes a thread's name on.
"""

import ctypes
import runpy
import sys
import threading

PR_SET_NAME = 15  # prctl(2); 15 bytes of the name are kept
run = threading.Thread.run


def run_named(thread: threading.Thread) -> None:
    """Replace Thread.run: it is the first of a thread that runs in it."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, thread.name.encode()[:15])
    run(thread)


if __name__ == "__main__":
    threading.Thread.run = run_named  # type: ignore[method-assign]
    sys.argv[0] = "relay"
    runpy.run_module("relay", run_name="__main__", alter_sys=True)
