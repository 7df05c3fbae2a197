"""`python -m tests.chaos.killed_writing NUMBER FILE …`: `relay …` that its NUMBER-th write of a heal run kills.

Writes and syncs of the database's files count, from the first commit of a scan on; writes in a row are one, as none of
them counts before they are synced. One that ends by itself leaves in FILE how many there were; with 0 every one does.
"""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any
from unittest.mock import patch

from relay.cli import main
from relay.store.sqlite.healing import SqliteHealing
from tests.chaos.faulty import Disk, attached


@dataclass(kw_only=True)
class DeadlyDisk(Disk):
    """No call fails; the `kills`-th one ends the process before it is made."""

    kills: int
    counts: bool = False
    number: int = 0
    last: str = ""

    def call(self, kind: str) -> bool:
        if self.counts and (kind, self.last) != ("write", "write"):
            self.number += 1
            if self.number == self.kills:
                os.kill(os.getpid(), SIGKILL)
        self.last = kind
        return super().call(kind)


def run() -> None:
    """Run the relay that the arguments say."""
    number, file = sys.argv[1:3]
    del sys.argv[1:3]
    disk = DeadlyDisk(kills=int(number))
    record_heal: Callable[..., Awaitable[Any]] = SqliteHealing.record_heal

    async def counted(*arguments: Any, **more: Any) -> Any:
        disk.counts = True
        return await record_heal(*arguments, **more)

    with attached(disk), patch.object(SqliteHealing, "record_heal", counted):
        try:
            main()
        finally:
            Path(file).write_text(str(disk.number))


if __name__ == "__main__":
    run()
