"""Lines -> a file, a terminal, a pipe or a socket; by a thread of its own, for a reader that hangs blocks a write."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol

CHUNK = 64 * 1024  # bytes of one write, rounded up to a whole line
MAX_PENDING = 1024 * 1024  # bytes; further lines are dropped and counted
GATHER = 0.025  # seconds that a line may wait for others: to wake the thread costs more than a line
CLOSE_TIMEOUT = 1.0  # seconds for what is pending at the end


class File(Protocol):
    """Anything with a descriptor; Python's buffer of it is bypassed."""

    def fileno(self) -> int:
        """The descriptor; ValueError once it is closed."""


class LogWriter:
    """Write lines from any thread: at once or, within `in_background`, soon and without blocking the caller.

    Lines that cannot be written are dropped: no delivery may fail over its log line. `line_of_lost(number)`, which says
    how many were, precedes the next line.
    """

    def __init__(self, file: File) -> None:
        self.line_of_lost: Callable[[int], str] = "{} lines lost".format
        self._file = file
        # reentrant: the garbage collector may run anywhere in here, and a finalizer may log
        self._lock = threading.RLock()
        self._pending = bytearray()
        self._lost = 0
        self._reports: dict[bytes, int] = {}  # a pending line of lost ones -> the number in it
        self._cut = False  # whether the last write ended within a line
        self._writing = False
        self._thread: threading.Thread | None = None
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._wake_queued = False

    def write(self, line: str) -> None:
        """Write a line, given without its end."""
        with self._lock:
            self._put(line)
            if not self._thread:
                self._write()
            elif not self._wake_queued:
                self._wake_queued = True
                self._wakes.put(True)

    @contextmanager
    def in_background(self) -> Iterator[None]:
        """Write from a thread for as long as the block lasts; what is pending then has `CLOSE_TIMEOUT`."""
        self._thread = threading.Thread(target=self._run, name="relay-log", daemon=True)  # it may hang with the reader
        self._thread.start()
        try:
            yield
        finally:
            self._wakes.put(False)
            self._thread.join(CLOSE_TIMEOUT)
            if not self._thread.is_alive():
                self._thread = None

    def _put(self, line: str) -> None:
        if len(self._pending) > MAX_PENDING:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0  # first: the next line may run the garbage collector, which may log
            line_of_lost = self.line_of_lost(lost)
            self._reports[_encoded(line_of_lost)] = lost
            self._put(line_of_lost)
        self._pending += _encoded(line)

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = self._wakes.get()
            if goes_on:
                select.select((), (), (), GATHER)  # relative: time.sleep waits until an instant of a clock
            self._write()

    def _write(self) -> None:
        """Write all that is pending, also what this very thread adds meanwhile."""
        if self._writing:
            return
        self._writing = True
        try:
            while chunk := self._take():
                self._write_chunk(chunk)
        finally:
            self._writing = False

    def _take(self) -> bytes:
        """Take whole lines, about a chunk."""
        with self._lock:
            self._wake_queued = False
            end = self._pending.find(b"\n", CHUNK) + 1 or len(self._pending)
            chunk = bytes(self._pending[:end])
            del self._pending[:end]
            return chunk

    def _write_chunk(self, chunk: bytes) -> None:
        left = b"\n" + chunk if self._cut else chunk
        try:
            while left:
                written = _write_some(self._file.fileno(), left)
                self._cut = not left[:written].endswith(b"\n")
                left = left[written:]
        except (OSError, ValueError):  # ValueError: the file is closed
            with self._lock:
                self._lost += sum(self._reports.get(line, 1) for line in left.lstrip(b"\n").splitlines(keepends=True))
        if self._reports:
            with self._lock:
                self._reports = {line: lost for line, lost in self._reports.items() if line not in chunk}


def _encoded(line: str) -> bytes:
    return line.encode(errors="backslashreplace") + b"\n"


def _write_some(descriptor: int, chunk: bytes) -> int:
    """Write and return how many bytes were; waits for room also where another process made the file non-blocking."""
    while True:
        try:
            return os.write(descriptor, chunk)
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
