"""What operators do beside the daemon -> a line in its log within a second, and one more when it has taken its time."""

import asyncio
from collections.abc import Sequence

from relay.errors import StoreBusy
from relay.signals import Emit, OperatorActed
from relay.store.contract import AuditEntry, Store

EVERY = 0.5  # seconds: with what it takes to read and to log, within one
MOST_ASKED = 500  # characters


async def keep_telling(store: Store, emit: Emit) -> None:
    """For ever, of what is done from now on; cancelled by whoever runs it."""
    growing = _Growing(emit)
    seen: int | None = None
    while True:
        try:
            seen, found = await store.acts(seen)
            growing.look(found)
        except StoreBusy:
            pass  # again in a moment
        except Exception:  # noqa: BLE001  a line of the audit that a disk has changed must not end the relay
            seen = None
        await asyncio.sleep(EVERY)


class _Growing:
    """Acts that may be under way yet: a replay or a purge counts on for as long as it lasts."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._told: dict[str, int] = {}  # by id, the count that was told
        self._now: dict[str, AuditEntry] = {}

    def look(self, found: Sequence[AuditEntry]) -> None:
        """Tell of new ones at once, and of those that have stopped growing if they have grown since."""
        for act in found:
            self._now[act.id] = act
            if act.id not in self._told:
                self._tell(act)
        for id_ in self._now.keys() - {act.id for act in found}:
            if (act := self._now.pop(id_)).count != self._told.pop(id_):
                self._emit(_fact(act))

    def _tell(self, act: AuditEntry) -> None:
        self._told[act.id] = act.count
        self._emit(_fact(act))


def _fact(act: AuditEntry) -> OperatorActed:
    return OperatorActed(command=act.command, who=act.who, count=act.count, asked=act.asked[:MOST_ASKED] or None)
