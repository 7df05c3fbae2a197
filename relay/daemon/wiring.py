"""The composition root: settings -> a running relay, built in one order and taken down in the reverse.

store ─▶ committer ─▶ private listener ─▶ public listener ─▶ lanes     start, in this order
store ◀─ committer ◀─ private listener ◀─ public listener ◀─ lanes     stop: no new attempt, no new webhook, close

Intake stops after deliveries: amoCRM waits 2 s for a reply, and an attempt in flight may take longer to end.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from uuid_utils import uuid7

from relay.account.heal.indexing import hooks_to_index, unknown_offset
from relay.account.opening import open_client
from relay.account.service import Accounts
from relay.daemon.audit_log import log_audit
from relay.daemon.notifications import Notifications
from relay.daemon.private_listener import bearers_of, listen_privately
from relay.daemon.published_reports import RejectionReport, publish_reports, snapshot_report
from relay.daemon.readiness import Readiness
from relay.daemon.recent_activity import RecentActivity
from relay.daemon.refused_requests import RefusedRequests
from relay.daemon.reloader import Reloader
from relay.daemon.scrape import Scrape
from relay.daemon.settings import Settings, demand_private
from relay.daemon.stopped_routes import StoppedRoutes
from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.delivery.dispatcher import Dispatcher
from relay.delivery.send import origin
from relay.errors import ConflictError, StoreBusy, StoreError, StoreFailed
from relay.http.aiohttp_version import Variant, Variants, choose_variants
from relay.http.client import Client, fast_client, plain_client
from relay.http.listener import bind, listen
from relay.http.machine_limits import descriptor_shortage
from relay.ingest.budget import Budget
from relay.ingest.commit import COMMIT_TIMEOUT, Committer
from relay.ingest.decode import Decoder
from relay.ingest.endpoint import Intake
from relay.model import Json, Source, Target
from relay.model.notify import REPORT as NOTIFY
from relay.observe import EventStream
from relay.observe.loop_monitor import monitor_loop
from relay.observe.token_expiry import TokenExpiry
from relay.operations.forget import FORGET
from relay.operations.status import FILES, MISADDRESSED, OLDEST_SNAPSHOT, UNAUTHORIZED
from relay.operations.tail import documents
from relay.routes.config import Config
from relay.routes.egress import ignored_variables
from relay.signals import (
    ConfigActivated,
    ConnectionsScarce,
    Emit,
    Endpoint,
    Notice,
    OperatorActed,
    Rejection,
    Signal,
    StoreGaveUp,
    WebhookRejected,
)
from relay.store.archive import ArchiveFolder
from relay.store.open import account_records, check_permissions, open_store

if TYPE_CHECKING:
    from relay.notify.notifier import Surroundings

DELIVERY_GRACE = timedelta(seconds=4)  # for attempts in flight; `process.STOP_LIMIT` bounds the whole stop
INTAKE_DRAIN = 0.3  # seconds in which open connections may send one more request
INTAKE_GRACE = COMMIT_TIMEOUT  # seconds for requests that are being served after that
COMMIT_GRACE = timedelta(seconds=0.5)  # for webhooks that were answered 503 and are not stored yet
PAUSES_WITHIN = 0.5  # seconds of a start; the first poll follows it


def utc_now() -> datetime:
    """Return the wall clock's time; the store's `clock` is what stored and due times are compared with."""
    return datetime.now(UTC)


def _new_id() -> str:
    return str(uuid7())


class Relay:
    """A running relay, made by `running`. `ended` is set when it has to stop, with `exit_code`."""

    def __init__(self, settings: Settings, *, emit: Emit, http: Variants) -> None:
        self.settings = settings
        self._http = http
        self.ended = asyncio.Event()
        self.exit_code = 0
        self.budget = Budget(settings.limits.memory)
        self.listening: tuple[str, int] = settings.listen
        self.admin_listening: tuple[str, int] = settings.admin
        self._observe = emit
        self._accounts: Accounts | None = None
        self._receiving: Intake | None = None
        self._delivering = False  # a dispatcher is there; the store may be disowned while it is opened
        self.readiness = Readiness(
            stopping=self.ended.is_set, spool=lambda: self.store.spool(), clock=lambda: self.store.clock()
        )
        self.misaddressed = RejectionReport(Rejection.MISADDRESSED, utc_now)
        self.unauthorized = RejectionReport(Rejection.UNAUTHORIZED, utc_now)
        self.refused = RefusedRequests(utc_now)
        self.recent = RecentActivity(time.time)
        self.live = EventStream(utc_now, documents)
        self.bearers = bearers_of(settings)
        self._notifications: Notifications | None = None
        # last: it reads the files, and may emit warnings about them
        self.reloader = Reloader(
            settings.config,
            settings.environment,
            settings.tls,
            use=self._reactivate,
            emit=self._emit,
            clock=utc_now,
            names=settings.names,
            access=(settings.access, self.bearers) if settings.access and self.bearers else None,
        )

    def _emit(self, fact: Signal) -> None:
        if isinstance(fact, WebhookRejected):
            self.readiness.on_rejected(fact)
            self.misaddressed.count(fact)
            self.unauthorized.count(fact)
            self.refused.count(fact)
            if self._accounts:
                self._accounts.on_rejected(fact)
        self.recent.count(fact)
        self._observe(fact)
        self.live(fact)
        if self._notifications:
            self._notifications(fact)

    def end(self, exit_code: int = 0) -> None:
        """Stop the relay. A failure sets the exit code even while the relay is stopping."""
        self.exit_code = max(self.exit_code, exit_code)
        self.ended.set()

    def _activate(self, config: Config) -> None:
        self._emit(
            ConfigActivated(
                sources=list(config.sources),
                targets=list(config.targets),
                routes=[route.name for route in config.routes],
                endpoints={name: _endpoint(config, target) for name, target in config.targets.items()},
                accounts=list(config.accounts),
                names=config.event_names,
                receivers=[each.name for each in config.notify],
            )
        )
        if self._notifications:
            self._notifications.use(config)
        self.store.publish_config(config.digest)
        self.dispatcher.use(config.targets)
        if self._accounts:
            self._accounts.use(config)
        self._stopped_routes.use(config)
        attempts = sum(target.concurrency for target in config.targets.values())
        if why := descriptor_shortage(attempts, files=self.settings.files, limits=self.settings.limits):
            self._emit(ConnectionsScarce(detail=why))

    async def _reactivate(self, config: Config) -> list[str]:
        """Switch to these routes; return the orphaned targets: pending deliveries, but not in the routes."""
        self._activate(config)
        try:
            targets = (await self.store.status()).targets
        except StoreError:
            return []  # the metrics will show it
        return sorted(name for name, each in targets.items() if each.pending and name not in config.targets)

    async def receive(self, source: Source, body: bytes) -> str:
        """Take a sample, see `Intake.receive_sample`."""
        if self._receiving is None:
            raise ConflictError("the relay is starting: try again")
        return await self._receiving.receive_sample(source, body)

    async def start(self, stack: AsyncExitStack, registry: CollectorRegistry) -> None:
        """Start everything in order; `stack` stops it in the reverse."""
        settings = self.settings
        loop = asyncio.get_running_loop()
        check_permissions(settings.store, settings.spool)
        on_admin, on_public = self._bind(stack)  # first: a port that is taken must not leave a store behind
        # first: the store says at its opening what may be news
        self._notifications = Notifications(self._around, expected=bool(self.reloader.config.notify))
        self.store = await open_store(
            settings.store,
            spool=settings.spool,
            emit=self._emit,
            failed=lambda: loop.call_soon_threadsafe(self.end, 1),
            disowned=lambda: self.dispatcher.disowned() if self._delivering else None,
            late=lambda deliveries: self.dispatcher.admit(deliveries),
            init=settings.init,
            durable=settings.durable,
            ballast=settings.ballast,
            clock_set=lambda by: self.dispatcher.clock_set(by) if self._delivering else None,
        )
        stack.push_async_callback(self.store.close)
        stack.push_async_callback(self._notifications.close)
        records = account_records(settings.store)
        ask = partial(open_client, records=records, clock=self.store.clock, emit=self._emit)
        self._accounts = Accounts(self.store, names=settings.names, emit=self._emit, open_client=ask)
        stack.push_async_callback(self._accounts.close)
        self.dispatcher = Dispatcher(
            store=self.store,
            emit=self._emit,
            clock=self.store.clock,
            new_client=self._new_client,
        )
        self._delivering = True
        self.scrape = Scrape(
            registry,
            store=self.store,
            dispatcher=self.dispatcher,
            reloader=self.reloader,
            readiness=self.readiness,
        )
        if self.bearers:
            TokenExpiry(registry, self.bearers.ends)
        self._stopped_routes = StoppedRoutes(settings.names, self.store, emit=self._emit, clock=self.store.clock)
        claiming = ClaimAtInsert(self.store, self.dispatcher)
        self._committer = Committer(self.store, claiming=claiming, emit=self._emit, clock=self.store.clock)
        stack.push_async_callback(self._committer.stop, COMMIT_GRACE)
        await self._listen(stack, registry, on_admin, on_public)
        stack.push_async_callback(self._stop_deliveries)
        self.dispatcher.pause(await self._paused())
        self._activate(self.reloader.config)
        for endless in self._background():
            task = loop.create_task(endless)
            task.add_done_callback(self._on_background_ended)
            stack.callback(task.cancel)

    async def _paused(self) -> Collection[str]:
        """Return the paused targets; while the store cannot tell that is all of them, until a poll has asked it.

        Recall beside them which targets' templates could not be rendered.
        """
        try:
            async with asyncio.timeout(PAUSES_WITHIN):
                self.dispatcher.recall(await self.store.published_health())
                return (await self.store.due([])).paused
        except (StoreBusy, TimeoutError):
            return self.reloader.config.targets.keys()

    def _background(self) -> list[Coroutine[None, None, None]]:
        """The endless loops beside the listeners."""
        return [
            self.dispatcher.run(),
            self.readiness.keep_probing(self.store),
            log_audit(self.store, self._on_act),
            publish_reports(
                self.store,
                {
                    FILES: self.reloader.files,
                    MISADDRESSED: self.misaddressed.value,
                    UNAUTHORIZED: self.unauthorized.value,
                    OLDEST_SNAPSHOT: self._oldest_snapshot,
                    **({f"{NOTIFY}{self._name}": self._notifications.report} if self._notifications else {}),
                },
                clock=self.store.clock,
            ),
            self.refused.keep_recording(self.store.questions),
            self.recent.keep_recording(self.store.questions, self.store.clock),
            self.reloader.watch(),
            *([self._accounts.run()] if self._accounts else []),
            *([self._notifications.run()] if self._notifications else []),
            self._stopped_routes.run(),
            *self.store.background(lambda: self.reloader.config.retention, self._archive),
            monitor_loop(self._emit),
        ]

    def _around(self) -> "Surroundings":
        from relay.notify.notifier import Surroundings  # only routes that ask for notifications have it imported

        return Surroundings(
            store=self.store,
            relay=self._name,
            host=socket.gethostname(),
            folder=self.settings.names,
            console=(self.settings.admin_url or "").rstrip("/"),
            emit=self._emit,
            clock=self.store.clock,
            new_client=self._new_client,
        )

    @property
    def _name(self) -> str:
        """The name of this relay among those that share the store; empty if none do."""
        spool = self.store.spool()
        return spool.relay if spool else ""

    @property
    def _new_client(self) -> Callable[[], Client]:
        return plain_client if self._http.client is Variant.PLAIN else fast_client

    def _on_act(self, signal: Signal) -> None:
        self._emit(signal)
        if isinstance(signal, OperatorActed) and signal.command == FORGET.name:
            self.dispatcher.erased()

    def _archive(self) -> ArchiveFolder | None:
        """Return where a purge writes what it deletes, as the routes in force say."""
        folder = self.reloader.config.archive
        return ArchiveFolder(folder) if folder else None

    def _oldest_snapshot(self) -> Json:
        """Return the report of a store that has a server, None of one that is a file."""
        return snapshot_report(self.store.oldest_snapshot(), self.store.clock()) if self.store.spool() else None

    def _bind(self, stack: AsyncExitStack) -> list[socket.socket]:
        """Bind the private socket and the public one; connections queue in the kernel until `_listen`."""
        settings, sockets = self.settings, []
        for passed, address, flag in (
            (settings.passed.admin, settings.admin, "--admin"),
            (settings.passed.public, settings.listen, "--listen"),
        ):
            sockets.append(passed or bind(address, flag=flag))
            stack.callback(sockets[-1].close)
        return sockets

    async def _listen(
        self, stack: AsyncExitStack, registry: CollectorRegistry, on_admin: socket.socket, on_public: socket.socket
    ) -> None:
        private = await listen_privately(
            on_admin,
            self.settings,
            variant=self._http.server,
            store=self.store,
            reloader=self.reloader,
            readiness=self.readiness,
            registry=registry,
            refresh=self.scrape.refresh,
            stream=self.live,
            receive=self.receive,
            bearers=self.bearers,
            emit=self._emit,
        )
        stack.push_async_callback(private.close)
        tls = self.reloader.certificate.context if self.reloader.certificate else None
        intake = self._receiving = self._intake()
        public = await listen(
            intake.answer,
            on_public,
            limits=self.settings.limits,
            drain=INTAKE_DRAIN,
            grace=INTAKE_GRACE,
            emit=self._emit,
            tls=tls,
            on_malformed=intake.reject_malformed,
            receive=intake.receive,
            variant=self._http.server,
        )
        stack.push_async_callback(public.close)
        self.admin_listening, self.listening = private.address, public.address

    async def _stop_deliveries(self) -> None:
        self.reloader.stop()
        # after a failure of the disk nothing can be settled: do not wait for attempts
        await self.dispatcher.stop(timedelta() if self.exit_code else DELIVERY_GRACE)

    def _on_background_ended(self, task: asyncio.Task[None]) -> None:
        """Stop the relay when an endless loop has ended: half a relay would look healthy."""
        if task.cancelled():
            return
        error = task.exception()
        if not isinstance(error, StoreFailed):
            fields: dict[str, object] = {"error": repr(error)}
            self._emit(Notice(level="error", text="internal error: the relay stops", fields=fields))
        elif not self.exit_code:  # of a read: of a commit that failed the store has emitted it itself
            self._emit(StoreGaveUp(error=str(error)))
        self.end(1)

    def _intake(self) -> Intake:
        return Intake(
            Decoder(
                self._committer,
                config=lambda: self.reloader.config,
                emit=self._emit,
                new_id=_new_id,
                hooks_of=partial(
                    hooks_to_index, offset_of=self._accounts.offset_of if self._accounts else unknown_offset
                ),
            ),
            config=lambda: self.reloader.config,
            emit=self._emit,
            clock=self.store.clock,
            new_id=_new_id,
            max_body=self.settings.max_body,
            body_timeout=self.settings.limits.body,
            budget=self.budget,
            proxies=self.settings.proxies,
        )


@asynccontextmanager
async def running(settings: Settings, *, emit: Emit, registry: CollectorRegistry) -> AsyncIterator[Relay]:
    """Run a relay for as long as the block lasts.

    Raises RoutesInvalid, ConfigurationError or a StoreError if it cannot start.
    """
    variants = choose_variants(settings.http_client)
    demand_private(settings)
    if variants.warning:
        emit(Notice(level="warning", text="aiohttp is not known", fields={"detail": variants.warning}))
    relay = Relay(settings, emit=emit, http=variants)
    if ignored := ignored_variables(relay.reloader.config.targets.values(), settings.environment):
        emit(Notice(level="warning", text="proxy of the environment not used", fields={"detail": ignored}))
    async with AsyncExitStack() as stack:
        await relay.start(stack, registry)
        yield relay


def _endpoint(config: Config, target: Target) -> Endpoint:
    """Read host and port of the URL as it is written: a placeholder in it stands for a secret."""
    _, host, port = origin(config.url_as_written(target.name))
    known = host and port and "$" not in host
    return Endpoint(target.method.value, host, port) if known else Endpoint(target.method.value)


def url(address: tuple[str, int], *, scheme: str = "http") -> str:
    """`http://127.0.0.1:8080`, `http://[::1]:8080`."""
    host, port = address
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
