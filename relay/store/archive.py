"""Webhooks that a purge is about to delete -> gzipped lines of JSON, one file a day, on disk before they are deleted.

A file is a row of complete gzip members, which gunzip and zcat read as one. While one is appended the folder holds a
mark; a mark that is found means that somebody died meanwhile, and what follows the last complete member is cut off.
Nothing is lost by that: the webhooks are still in the store. Those that died between archive and deletion are in it
twice.
"""

import asyncio
import fcntl
import gzip
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from relay.errors import ArchiveFailed
from relay.os_errors import write_problem
from relay.store.records import WebhookRecord
from relay.store.webhook_lines import webhook_line

SUFFIX = ".ndjson.gz"
MARK = ".writing"
LEVEL = 6  # of compression
MEMBER = 1024 * 1024  # bytes of bodies that make a member
BLOCK = 1024 * 1024  # bytes read, or decompressed, at once
_GZIP = 31  # zlib's `wbits` of a gzip member


class ArchiveFolder:
    """The archive in one folder, which is made if its parent is there; for one purge, or several at a time."""

    def __init__(self, path: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.path = path
        self._now = now

    async def add(self, webhooks: Sequence[WebhookRecord]) -> None:
        """Write webhooks to the file of today (UTC); they are on disk once this returns.

        Raises ArchiveFailed: then the file is as it was before. What is large blocks a thread, not the event loop.
        """
        await asyncio.to_thread(self._add, webhooks)

    def _add(self, webhooks: Sequence[WebhookRecord]) -> None:
        member = gzip.compress(b"".join(map(webhook_line, webhooks)), LEVEL)
        file = self.path / f"{self._now().astimezone(UTC):%Y-%m-%d}{SUFFIX}"
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            append(file, member)
        except OSError as error:
            said = write_problem(file, error)
            raise ArchiveFailed(f"the archive cannot be written, so nothing is purged: {said}") from error


def append(file: Path, member: bytes) -> None:
    """Append one gzip member, and have it on disk; OSError: the file is as it was, or will be at the next call."""
    with locked(file.parent) as folder:
        mend(file.parent)
        written = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(written).st_size
            mark = file.with_name(file.name + MARK)
            mark.touch(mode=0o600)
            os.fsync(folder)  # the names of both
            try:
                _write(written, member)
                os.fsync(written)
            except OSError:
                os.ftruncate(written, size)
                os.fsync(written)
                mark.unlink()
                raise
            mark.unlink()
        finally:
            os.close(written)


def _write(to: int, member: bytes) -> None:
    left = memoryview(member)
    while left:
        left = left[os.write(to, left) :]


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Keep other processes from writing in the folder meanwhile; yields its descriptor, to fsync."""
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield opened
    finally:
        os.close(opened)


def mend(folder: Path) -> None:
    """Cut off what a process that died has left of a member, in a folder that is `locked`."""
    for mark in folder.glob(f"*{SUFFIX}{MARK}"):
        file = mark.with_name(mark.name.removesuffix(MARK))
        with suppress(FileNotFoundError):
            os.truncate(file, complete(file))
        mark.unlink()


def complete(file: Path) -> int:
    """Return how many bytes of the file are complete members; reads all of it."""
    end = 0
    with file.open("rb") as opened:
        while True:
            opened.seek(end)
            member = zlib.decompressobj(_GZIP)
            with suppress(zlib.error):
                _read_member(member, iter(partial(opened.read, BLOCK), b""))
            if not member.eof:
                return end
            end = opened.tell() - len(member.unused_data)


def _read_member(member: "zlib._Decompress", blocks: Iterable[bytes]) -> None:
    """Decompress until the member ends; what comes of it is dropped, block by block."""
    for block in blocks:
        left = block
        while left and not member.eof:
            member.decompress(left, BLOCK)
            left = member.unconsumed_tail
        if member.eof:
            return
