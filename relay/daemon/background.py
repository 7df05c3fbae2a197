"""Endless loops of the daemon -> tasks; if one ends, the relay stops, for half a relay would look healthy."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack

from relay.errors import StoreFailed
from relay.signals import Emit, Notice, StoreGaveUp


def run_in_background(
    loops: Iterable[Coroutine[None, None, None]],
    stack: AsyncExitStack,
    *,
    failed: Callable[[], bool],
    emit: Emit,
    end: Callable[[], None],
) -> None:
    """Start them as tasks, which `stack` cancels. `end` is called when one has ended by itself.

    `failed`: whether the relay stops for a failure already, which was emitted then.
    """

    def on_ended(task: asyncio.Task[None]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if not isinstance(error, StoreFailed):
            emit(Notice(level="error", text="internal error: the relay stops", fields={"error": repr(error)}))
        elif not failed():  # of a read: of a commit that failed the store has emitted it itself
            emit(StoreGaveUp(error=str(error)))
        end()

    for each in loops:
        task = asyncio.get_running_loop().create_task(each)
        task.add_done_callback(on_ended)
        stack.callback(task.cancel)
