"""A disk that fills up -> delivered history deleted before its time, the oldest first, as far as room is needed.

What is pending, dead, unparsed or taken by no route stays: only what has arrived may go.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from relay.errors import StoreBusy
from relay.model import Retention
from relay.signals import DiskSpace, Emit, PurgedEarly
from relay.store.disk import MEBIBYTE
from relay.store.sqlite.purge import START, ages, delete, look
from relay.store.sqlite.query import Run
from relay.store.sqlite.space import Space
from relay.store.sqlite.writer import room

ROOM = 16 * MEBIBYTE  # to have in the file, for the webhooks until the next look
ROOM_TO_WORK = 2 * MEBIBYTE  # of it, for what is owed already: webhooks leave it alone
PAGE = 1_000  # webhooks looked at in one read
PAGES = 20  # in one look: much may be pending that was there before what is delivered
EVERY = 1.0  # seconds
TOLD_EVERY = 60.0

_DELIVERED = Retention(delivered=timedelta(), dead=None, unrouted=None, unparsed=None)


async def keep_room(space: Space, *, shed: Callable[[], Awaitable[int]], emit: Emit) -> None:
    """For ever: look how much room there is, and shed when it is little; cancelled by whoever runs it."""
    gone, told_at = 0, -TOLD_EVERY
    while True:
        with suppress(OSError):  # a disk that cannot be looked at will fail the writer
            await asyncio.to_thread(space.look)
        if space.level <= DiskSpace.LOW:
            with suppress(StoreBusy):  # again at the next look
                gone += await shed()
        if gone and monotonic() >= told_at + TOLD_EVERY:
            emit(PurgedEarly(webhooks=gone))
            gone, told_at = 0, monotonic()
        await asyncio.sleep(EVERY)


class Shedder:
    """Goes through the webhooks of one store from the oldest on, and each time goes on where it stopped."""

    def __init__(self, read: Run, write: Run) -> None:
        self._read = read
        self._write = write
        self._after = START

    async def shed(self, now: datetime) -> int:
        """Until there is `ROOM`, or enough was looked at for now; how many webhooks went."""
        before, gone = ages(_DELIVERED, now), 0
        for _ in range(PAGES):
            if await self._read(room) >= ROOM:
                break
            last, page = await self._read(partial(look, before=before, after=self._after, limit=PAGE))
            gone += (await delete(self._write, page, before, None)).total()
            self._after = last or START  # at the end: once more from the start, the next time
            if last is None:
                break
        return gone
