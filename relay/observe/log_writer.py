"""Lines -> a file, a terminal, a pipe or a socket; beside whoever speaks, for the one who is to read may hang."""

import os
import select
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Protocol

PIECE = 64 * 1024  # bytes that are written at one go, and what the last line of them takes
MOST_WAITING = 1024 * 1024  # bytes; of what comes beyond, only the number is told
GATHER = 0.01  # seconds that a line may wait for others: to wake the thread for each costs more than the line
AT_THE_END = 1.0  # seconds for what waits then


class File(Protocol):
    """Anything with a descriptor; what Python itself buffers of it is not used."""

    def fileno(self) -> int:
        """The descriptor; ValueError once it is closed."""


class LogWriter:
    """Writes what it is told, from any thread: at once or, within `beside`, soon and without a wait for anybody.

    What cannot be written is lost: no delivery may fail over its log line. `line_of_lost(number)` tells how many were,
    before the next one.
    """

    def __init__(self, file: File) -> None:
        self.line_of_lost: Callable[[int], str] = "{} lines lost".format
        self._file = file
        self._lock = threading.RLock()  # the garbage collector may have something to say at any point of our own
        self._waiting = bytearray()
        self._lost = 0
        self._told: dict[bytes, int] = {}  # a line of lost ones that waits -> how many it tells of
        self._cut = False  # the last line that was written is not whole
        self._writing = False
        self._thread: threading.Thread | None = None
        self._wakes: SimpleQueue[bool] = SimpleQueue()
        self._woken = False

    def write(self, line: str) -> None:
        """A line, without its end."""
        with self._lock:
            self._put(line)
            if not self._thread:
                self._write()
            elif not self._woken:
                self._woken = True
                self._wakes.put(True)

    @contextmanager
    def beside(self) -> Iterator[None]:
        """A thread writes, for as long as the block lasts; then what waits has `AT_THE_END`."""
        self._thread = threading.Thread(target=self._run, name="relay-log", daemon=True)  # it may hang with the reader
        self._thread.start()
        try:
            yield
        finally:
            self._wakes.put(False)
            self._thread.join(AT_THE_END)
            if not self._thread.is_alive():
                self._thread = None

    def _put(self, line: str) -> None:
        if len(self._waiting) > MOST_WAITING:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0  # first: what comes next may have the garbage collector speak
            line_of_lost = self.line_of_lost(lost)
            self._told[_encoded(line_of_lost)] = lost
            self._put(line_of_lost)
        self._waiting += _encoded(line)

    def _run(self) -> None:
        goes_on = True
        while goes_on:
            goes_on = self._wakes.get()
            if goes_on:
                select.select((), (), (), GATHER)  # relative: time.sleep waits until an instant of a clock
            self._write()

    def _write(self) -> None:
        """All that waits; what comes from this very thread meanwhile is part of it."""
        if self._writing:
            return
        self._writing = True
        try:
            while piece := self._take():
                self._write_piece(piece)
        finally:
            self._writing = False

    def _take(self) -> bytes:
        """Whole lines."""
        with self._lock:
            self._woken = False
            end = self._waiting.find(b"\n", PIECE) + 1 or len(self._waiting)
            piece = bytes(self._waiting[:end])
            del self._waiting[:end]
            return piece

    def _write_piece(self, piece: bytes) -> None:
        left = b"\n" + piece if self._cut else piece
        try:
            while left:
                written = _write_some(self._file.fileno(), left)
                self._cut = not left[:written].endswith(b"\n")
                left = left[written:]
        except (OSError, ValueError):  # ValueError: the file is closed
            with self._lock:
                self._lost += sum(self._told.get(line, 1) for line in left.lstrip(b"\n").splitlines(keepends=True))
        if self._told:
            with self._lock:
                self._told = {line: lost for line, lost in self._told.items() if line not in piece}


def _encoded(line: str) -> bytes:
    return line.encode(errors="backslashreplace") + b"\n"


def _write_some(descriptor: int, piece: bytes) -> int:
    """How many bytes were; waits for room, also where somebody has told the file not to."""
    while True:
        try:
            return os.write(descriptor, piece)
        except BlockingIOError:
            poll = select.poll()
            poll.register(descriptor, select.POLLOUT)
            poll.poll()
