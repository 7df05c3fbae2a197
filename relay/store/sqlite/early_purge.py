"""Make room on a disk that fills up: delete delivered history before its retention ends, oldest first, as needed.

What is pending, dead, unparsed or unrouted stays; and all that cannot be archived, if there is an archive.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from relay.errors import ArchiveFailed, StoreBusy
from relay.model import Retention
from relay.signals import DiskSpace, Emit, PurgedEarly, PurgeStopped
from relay.store.archive import ArchiveFolder
from relay.store.sqlite.disk import MEBIBYTE, Space
from relay.store.sqlite.purge import START, ages, archived, delete, look
from relay.store.sqlite.sql import Run
from relay.store.sqlite.writer import room

ROOM = 16 * MEBIBYTE  # to have in the file, for the webhooks until the next look
ROOM_TO_WORK = 2 * MEBIBYTE  # of it, for settling pending deliveries: webhooks leave it alone
PAGE = 1_000  # webhooks looked at in one read
PAGES = 20  # in one look: much may be pending that was there before what is delivered
EVERY = 1.0  # seconds
TOLD_EVERY = 60.0

_DELIVERED = Retention(delivered=timedelta(), dead=None, unrouted=None, unparsed=None)


async def keep_room(space: Space, *, purge: Callable[[], Awaitable[int]], emit: Emit) -> None:
    """Watch the free space for ever, and purge early when it is low; the caller cancels it."""
    gone, stopped, told_at = 0, "", -TOLD_EVERY
    while True:
        with suppress(OSError):  # a disk that cannot be looked at will fail the writer
            await asyncio.to_thread(space.look)
        if space.level <= DiskSpace.LOW:
            try:
                gone += await purge()
            except StoreBusy:
                pass  # again at the next look
            except ArchiveFailed as error:
                stopped = str(error)
        if (gone or stopped) and monotonic() >= told_at + TOLD_EVERY:
            if gone:
                emit(PurgedEarly(webhooks=gone))
            if stopped:
                emit(PurgeStopped(error=stopped))
            gone, stopped, told_at = 0, "", monotonic()
        await asyncio.sleep(EVERY)


class EarlyPurge:
    """Walks the webhooks of one store from the oldest on; each call goes on where the last one stopped."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write
        self._after = START

    async def purge_early(self, now: datetime, archive: ArchiveFolder | None) -> int:
        """Delete until there is `ROOM`, or enough rows were read for now; return how many webhooks.

        Raises ArchiveFailed: what cannot be archived stays.
        """
        before, gone = ages(_DELIVERED, now), 0
        for _ in range(PAGES):
            if await self._read(room) >= ROOM:
                break
            last, page = await self._read(partial(look, before=before, after=self._after, limit=PAGE))
            if archive:
                await archived(self._read, page, archive)
            gone += (await delete(self._write, page, before, None)).total()
            self._after = last or START  # at the end: once more from the start, the next time
            if last is None:
                break
        return gone
