"""The daemon's notifications: signals in, messages out, at least once; nothing waits for it.

What is told, and what is to be told, is in a file of this relay's own (the database may be what is away); counts of
what is in the database go into a report beside the store, which all relays read.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from relay.errors import StoreError
from relay.http.client import Client
from relay.model import Json
from relay.model.notify import REPORT, Notify
from relay.notify import state_file
from relay.notify.digest import BLIP, Digest, Entry
from relay.notify.ledger import Ledger
from relay.notify.notification import notification
from relay.notify.receivers.receiver import Receiver
from relay.notify.receivers.reply import Reply, Result
from relay.notify.texts import Speaker
from relay.signals import Emit, Notice, Notified, Signal
from relay.store.records import SpoolState, Status

TICK = 1.0  # seconds
GATHER_EVERY = timedelta(seconds=10)
GATHER_WITHIN = 3.0  # seconds: a store that hangs must not keep it from being told
AWAY = timedelta(minutes=1)
"""After so long without the database a relay tells for itself what it counts."""
CLOSE_WITHIN = 2.0  # seconds of a stop for what is being sent


class NotifyStore(Protocol):
    """What notifications need of the store."""

    def clock(self) -> datetime:
        """See `contract.DeliveryStore.clock`."""
        ...

    def leads(self) -> bool:
        """See `contract.MaintenanceStore.leads`."""
        ...

    async def status(self) -> Status:
        """See `contract.MaintenanceStore.status`."""
        ...

    def spool(self) -> SpoolState | None:
        """See `contract.OwnedStore.spool`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What a notifier is given. `folder`: where its file is. `console`: the address of the console, empty without one.

    `host`: what messages begin with, unless the routes give the installation a name.
    `local`: an instant in the zone of the relay.
    """

    store: NotifyStore
    relay: str
    host: str
    folder: Path
    console: str
    emit: Emit
    clock: Callable[[], datetime]
    new_client: Callable[[], Client]
    local: Callable[[datetime], datetime] = lambda at: at.astimezone()


class Notifier:
    """Lives in one event loop; any thread may hand it signals."""

    def __init__(self, given: Dependencies, receivers: Sequence[Notify]) -> None:
        self._given = given
        self._ledger = _ledger(given, receivers)
        self._receivers: dict[str, Receiver] = {}
        self._sending: set[asyncio.Task[None]] = set()
        self._stored: Json = None
        self._gathered_at: datetime | None = None
        self._began = False
        self._failed = ""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._retired: list[Receiver] = []
        self.use(receivers)

    def __call__(self, signal: Signal) -> None:
        """Take a signal. Never raises."""
        if not self._ledger.concerns(signal):
            return
        if threading.get_ident() != self._thread:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._take, signal)
        else:
            self._take(signal)

    def use(self, receivers: Sequence[Notify]) -> None:
        """Notify these from now on."""
        kept = {name: each for name, each in self._receivers.items() if each.of in receivers}
        self._retired += [each for name, each in self._receivers.items() if name not in kept]
        given = self._given
        self._receivers = {
            each.name: kept.get(each.name) or Receiver(each, clock=given.clock, new_client=given.new_client)
            for each in receivers
        }
        self._ledger.use(receivers)

    def report(self) -> Json:
        """What this relay publishes beside the store; None until it knows what the process before has published."""
        return self._ledger.counts.report() if self._began else None

    async def run(self) -> None:
        """Send what is due, for ever."""
        while True:
            await self._turn()
            await asyncio.sleep(TICK)

    async def close(self) -> None:
        """Let what is being sent end, and store what is not sent."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=CLOSE_WITHIN)
        for task in self._sending:
            task.cancel()
        self._store()
        for each in (*self._receivers.values(), *self._retired):
            await each.close()

    def _take(self, signal: Signal) -> None:
        try:
            self._ledger.on(signal, self._given.clock())
        except Exception as error:  # noqa: BLE001  a fault here must not stop what has emitted the signal
            self._fault(error)

    def _fault(self, error: Exception) -> None:
        said = repr(error)
        if said != self._failed:
            self._failed = said
            self._given.emit(Notice(level="error", text="internal error: notifications go on", fields={"error": said}))

    async def _turn(self) -> None:
        now = self._given.clock()
        try:
            await self._gather(now)
        except Exception as error:  # noqa: BLE001  what other relays report must not keep its own from being told
            self._fault(error)
        try:
            self._ledger.look(now)
            self._send(now)
            self._store()
            await self._close_retired()
        except Exception as error:  # noqa: BLE001  a fault here must not stop a relay that delivers
            self._fault(error)

    # ---- what relays that share the store tell each other

    async def _gather(self, now: datetime) -> None:
        spool = self._given.store.spool()
        if spool and (spool.direct or (not spool.forwarding and now - spool.since > BLIP)):
            self._ledger.spool(direct=spool.direct, now=now)
        if self._gathered_at and now - self._gathered_at < GATHER_EVERY and spool:
            return
        away = spool is not None and not spool.direct and now - spool.since > AWAY
        if not self._began:
            await self._begin()
        if not self._began and not away:
            return
        self._gathered_at = now
        relay = self._given.relay
        if spool is None or away:
            self._ledger.gather({relay: self._ledger.counts.report()}, now)
        elif self._given.store.leads():
            with suppress(StoreError, TimeoutError):
                reports = await self._reports()
                self._ledger.gather({**reports, relay: self._ledger.counts.report()}, now)

    async def _begin(self) -> None:
        """Go on from what the process before has published."""
        with suppress(StoreError, TimeoutError):
            found = await self._reports()
            self._began = True
            if before := found.get(self._given.relay):
                self._ledger.counts.begin(before)

    async def _reports(self) -> Mapping[str, Json]:
        async with asyncio.timeout(GATHER_WITHIN):
            reports = (await self._given.store.status()).reports
        return {name.removeprefix(REPORT): each.value for name, each in reports.items() if name.startswith(REPORT)}

    # ---- sending

    def _send(self, now: datetime) -> None:
        for digest, entries in self._ledger.due(now, self._given.local):
            task = self._loop.create_task(self._send_to(digest, entries, now))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_to(self, digest: Digest, entries: Sequence[Entry], now: datetime) -> None:
        given, of = self._given, digest.receiver
        speaker = Speaker(
            language=of.language,
            name=of.installation or given.host,
            relay=given.relay,
            local=given.local,
            links=bool(given.console),
        )
        try:
            said = notification(entries, speaker, console=given.console, now=now)
            reply = await self._receivers[of.name].send(said)
        except Exception as error:  # noqa: BLE001  one message that cannot be made must not stop the others
            reply = Reply(result=Result.REFUSED, detail=f"internal error: {error!r}")
        lines = len(entries)
        outcome: str = reply.result
        match reply.result:
            case Result.SENT:
                digest.sent(given.clock())
            case Result.RETRY:
                if lost := digest.failed(given.clock(), asked=reply.asked):
                    given.emit(_notified(of.name, "dropped", lost, reply))
            case Result.REFUSED:
                lines = digest.refused(given.clock())
        given.emit(_notified(of.name, outcome, lines, reply))

    async def _close_retired(self) -> None:
        if not self._sending:
            retired, self._retired = self._retired, []
            for each in retired:
                await each.close()

    def _store(self) -> None:
        """Write what has changed; a folder that cannot be written costs what a restart forgets."""
        value = self._ledger.stored()
        if value != self._stored:
            with suppress(OSError):
                state_file.write(self._given.folder, value)
                self._stored = value


def _ledger(given: Dependencies, receivers: Sequence[Notify]) -> Ledger:
    """Go on from what the process before has stored, or begin anew if another version has, or a person."""
    stored, now = state_file.read(given.folder), given.clock()
    try:
        ledger = Ledger(given.relay, now, stored)
        ledger.use(receivers)
    except (AttributeError, KeyError, TypeError, ValueError):
        return Ledger(given.relay, now)
    return ledger


def _notified(receiver: str, outcome: str, lines: int, reply: Reply) -> Notified:
    return Notified(
        receiver=receiver, outcome=outcome, lines=lines, detail="" if reply.result is Result.SENT else reply.detail
    )
