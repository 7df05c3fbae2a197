"""Background loops of the daemon: audit entries -> log lines; its own reports -> the store, which commands read."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from relay.errors import StoreBusy
from relay.model import Json
from relay.signals import Emit, OperatorActed
from relay.store.contract import MaintenanceStore
from relay.store.records import AuditEntry

AUDIT_EVERY = 0.5  # seconds: with the time to read and to log, within one
MAX_ARGUMENTS = 500  # characters
PUBLISH_EVERY = 1.0  # seconds


async def log_audit(store: MaintenanceStore, emit: Emit) -> None:
    """Emit each entry that the audit gains from now on, for ever."""
    reported = _Reported(emit)
    seen: str | None = None
    while True:
        try:
            seen, entries = await store.acts(seen)
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


async def publish_reports(
    store: MaintenanceStore, reports: Mapping[str, Callable[[], Json]], *, clock: Callable[[], datetime]
) -> None:
    """Store each report under its name when it has changed, for ever.

    A report that is None is skipped: the store keeps the one of the daemon before, if any.
    """
    published: dict[str, Json] = {}
    while True:
        for name, report in reports.items():
            value = report()
            if value is not None and (name not in published or published[name] != value):
                with suppress(StoreBusy):  # again at the next turn
                    await store.publish(name, value, now=clock())
                    published[name] = value
        await asyncio.sleep(PUBLISH_EVERY)
