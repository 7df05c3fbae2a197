"""The store's audit -> a log line for each act of an operator."""

import asyncio
from collections.abc import Sequence

from relay.errors import StoreBusy
from relay.signals import Emit, OperatorActed
from relay.store.contract import MaintenanceStore
from relay.store.records import AuditEntry

AUDIT_EVERY = 0.5  # seconds: with the time to read and to log, within one
MAX_ARGUMENTS = 500  # characters


async def log_audit(store: MaintenanceStore, emit: Emit) -> None:
    """Emit each entry that the audit gains from now on, for ever."""
    reported = _Reported(emit)
    seen: str | None = None
    while True:
        try:
            seen, entries = await store.audit_changes(seen)
            reported.update(entries)
        except StoreBusy:
            pass  # again at the next turn
        except Exception:  # noqa: BLE001  an audit row that the disk corrupted must not end the relay
            seen = None
        await asyncio.sleep(AUDIT_EVERY)


class _Reported:
    """Audit entries that may still grow: a replay or a purge adds to `count` for as long as it runs."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._counts: dict[str, int] = {}  # by id, as emitted
        self._latest: dict[str, AuditEntry] = {}

    def update(self, entries: Sequence[AuditEntry]) -> None:
        """Emit new entries at once, and those that stopped growing once more if they grew after the first time."""
        for entry in entries:
            self._latest[entry.id] = entry
            if entry.id not in self._counts:
                self._counts[entry.id] = entry.count
                self._emit(_fact(entry))
        for id_ in self._latest.keys() - {entry.id for entry in entries}:
            if (entry := self._latest.pop(id_)).count != self._counts.pop(id_):
                self._emit(_fact(entry))


def _fact(entry: AuditEntry) -> OperatorActed:
    asked = entry.asked[:MAX_ARGUMENTS] or None
    return OperatorActed(command=entry.command, who=entry.who, count=entry.count, asked=asked)
