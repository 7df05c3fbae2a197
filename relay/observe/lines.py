"""Lines -> a file, a terminal, a pipe or a socket that somebody reads, and that must hold nothing up if nobody does."""

import asyncio
import os
import select
import threading
from collections.abc import Callable
from typing import Protocol

PIECE = select.PIPE_BUF  # bytes; if a pipe has room at all, it has room for so many
MOST_WAITING = 1024 * 1024  # bytes; of what comes beyond, only the number is told
AGAIN = 0.2  # seconds until the file is looked at again that took no more


class File(Protocol):
    """Anything with a descriptor; what Python itself buffers of it is not used."""

    def fileno(self) -> int:
        """The descriptor; ValueError once it is closed."""


class Lines:
    """Writes what it is told, from any thread. What cannot be written is lost: no delivery may fail over its log line.

    What is no trouble and is said in an event loop is written once the loop comes round, all of a turn together. While
    nobody reads, lines wait in memory; `lost(number)` is the line that tells how many found no room there. What waits
    when the process ends is lost.
    """

    def __init__(self, file: File, *, lost: Callable[[int], str]) -> None:
        self._file = file
        self._said_of_lost = lost
        self._lock = threading.RLock()  # the garbage collector may have something to say at any point of our own
        self._waiting = bytearray()
        self._lost = 0
        self._due = False
        self._writing = False

    def say(self, line: str) -> None:
        """Soon; at once where there is no event loop."""
        with self._lock:
            self._put(line)
            if (loop := _loop()) is None:
                self._write()
            elif not self._due:
                self._due = True
                loop.call_soon(self._come_round)

    def say_now(self, line: str) -> None:
        """Behind those that wait."""
        with self._lock:
            self._put(line)
            self._write()

    debug = info = say  # the names structlog calls
    warning = error = critical = say_now

    def _put(self, line: str) -> None:
        if len(self._waiting) > MOST_WAITING:
            self._lost += 1
            return
        if self._lost:
            lost, self._lost = self._lost, 0
            self._put(self._said_of_lost(lost))
        self._waiting += line.encode(errors="backslashreplace") + b"\n"

    def _come_round(self) -> None:
        with self._lock:
            self._due = False
            self._write()

    def _write(self) -> None:
        if self._writing:
            return  # this very thread is about to
        self._writing = True
        try:
            while self._waiting and (written := self._write_piece()):
                del self._waiting[:written]
        finally:
            self._writing = False
        if self._waiting and not self._due and (loop := _loop()):
            self._due = True
            loop.call_later(AGAIN, self._come_round)

    def _write_piece(self) -> int:
        """How many bytes are dealt with; none while the file takes no more."""
        try:
            descriptor = self._file.fileno()
            if not _takes_more(descriptor):
                return 0
            return os.write(descriptor, self._waiting[:PIECE])
        except BlockingIOError:
            return 0  # others write to it, too
        except (OSError, ValueError):  # ValueError: the file is closed
            return len(self._waiting)


def _loop() -> asyncio.AbstractEventLoop | None:
    """That of this thread, if one runs in it."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _takes_more(descriptor: int) -> bool:
    """Also one that is broken: to write to it tells how."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
