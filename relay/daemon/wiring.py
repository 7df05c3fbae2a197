"""The composition root: settings -> a running relay, built in one order and taken down in the reverse.

store ─▶ committer ─▶ private listener ─▶ public listener ─▶ lanes     start, in this order
store ◀─ committer ◀─ private listener ◀─ public listener ◀─ lanes     stop: no new attempt, no new webhook, close

Intake stops after deliveries: amoCRM waits 2 s for a reply, and an attempt in flight may take longer to end.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta
from functools import partial

from prometheus_client import CollectorRegistry

from relay.account.opening import open_client
from relay.account.service import Accounts
from relay.daemon.activation import Activation
from relay.daemon.audit_log import log_audit
from relay.daemon.background import run_in_background
from relay.daemon.notifications import Notifications
from relay.daemon.private_listener import bearers_of, listen_privately
from relay.daemon.public_listener import intake, listen_publicly
from relay.daemon.published_reports import Reports
from relay.daemon.readiness import Readiness
from relay.daemon.recent_activity import RecentActivity
from relay.daemon.refused_requests import RefusedRequests
from relay.daemon.reloader import Reloader
from relay.daemon.scrape import Scrape
from relay.daemon.settings import Settings, demand_private
from relay.daemon.stopped_routes import StoppedRoutes
from relay.delivery.claim_at_insert import ClaimAtInsert
from relay.delivery.dispatcher import Dispatcher
from relay.errors import ConflictError, StoreError
from relay.http.aiohttp_version import Variant, Variants, choose_variants
from relay.http.client import fast_client, plain_client
from relay.http.listener import Listener, bind
from relay.ingest.budget import Budget
from relay.ingest.commit import Committer
from relay.ingest.endpoint import Intake
from relay.model import Source
from relay.observe import EventStream
from relay.observe.loop_monitor import monitor_loop
from relay.observe.token_expiry import TokenExpiry
from relay.operations.forget import FORGET
from relay.operations.status import FILES
from relay.operations.tail import documents
from relay.routes.egress import ignored_variables
from relay.signals import Emit, Notice, OperatorActed, Reloaded, Signal, WebhookRejected
from relay.store.archive import ArchiveFolder
from relay.store.contract import OwnedStore
from relay.store.open import account_records, check_permissions, open_store
from relay.store.times import utc_now

DELIVERY_GRACE = timedelta(seconds=4)  # for attempts in flight; `process.STOP_LIMIT` bounds the whole stop
COMMIT_GRACE = timedelta(seconds=0.5)  # for webhooks that were answered 503 and are not stored yet


class Relay:
    """A running relay, made by `running`. `ended` is set when it has to stop, with `exit_code`."""

    def __init__(self, settings: Settings, *, emit: Emit, http: Variants) -> None:
        self.settings = settings
        self._server = http.server
        self._new_client = plain_client if http.client is Variant.PLAIN else fast_client
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
        self.reports = Reports(utc_now)
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
            use=lambda config: self._activation.reactivate(config),
            emit=self._emit,
            clock=utc_now,
            names=settings.names,
            access=(settings.access, self.bearers) if settings.access and self.bearers else None,
        )

    def _emit(self, fact: Signal) -> None:
        if isinstance(fact, WebhookRejected):
            self.readiness.on_rejected(fact)
            self.reports.count(fact)
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

    async def receive(self, source: Source, body: bytes) -> str:
        """Take a sample, see `Intake.receive_sample`."""
        if self._receiving is None:
            raise ConflictError("the relay is starting: try again")
        return await self._receiving.receive_sample(source, body)

    async def start(self, stack: AsyncExitStack, registry: CollectorRegistry) -> None:
        """Start everything in order; `stack` stops it in the reverse."""
        check_permissions(self.settings.store, self.settings.spool)
        on_admin, on_public = self._bind(stack)  # first: a port that is taken must not leave a store behind
        self._notifications = self._make_notifications()  # before the store, which emits news when it opens
        self.store = await self._open_store()
        clock = self.store.clock
        stack.push_async_callback(self.store.close)
        stack.push_async_callback(self._notifications.close)
        self._accounts = self._open_accounts()
        stack.push_async_callback(self._accounts.close)
        self.dispatcher = Dispatcher(store=self.store, emit=self._emit, clock=clock, new_client=self._new_client)
        self._delivering = True
        claiming = ClaimAtInsert(self.store, self.dispatcher)
        self._committer = Committer(self.store, claiming=claiming, emit=self._emit, clock=clock)
        stack.push_async_callback(self._committer.stop, COMMIT_GRACE)
        self.scrape = self._make_gauges(registry)
        self._activation = self._make_activation(self._accounts, self._notifications)
        private = await self._listen_privately(on_admin, registry)
        stack.push_async_callback(private.close)
        public = await self._listen_publicly(on_public, self._accounts)
        stack.push_async_callback(public.close)
        self.admin_listening, self.listening = private.address, public.address
        stack.push_async_callback(self._stop_deliveries)
        await self._activation.start(self.reloader.config)
        loops = self._background(self._accounts, self._notifications)
        run_in_background(loops, stack, failed=lambda: self.exit_code > 0, emit=self._emit, end=lambda: self.end(1))

    def _bind(self, stack: AsyncExitStack) -> tuple[socket.socket, socket.socket]:
        """Bind the private socket and the public one; connections queue in the kernel until they are listened on."""
        passed = self.settings.passed
        admin = passed.admin or bind(self.settings.admin, flag="--admin")
        stack.callback(admin.close)
        public = passed.public or bind(self.settings.listen, flag="--listen")
        stack.callback(public.close)
        return admin, public

    def _make_notifications(self) -> Notifications:
        return Notifications(
            self.settings,
            store=lambda: self.store,
            emit=self._emit,
            new_client=self._new_client,
            expected=bool(self.reloader.config.notify),
        )

    async def _open_store(self) -> OwnedStore:
        settings, loop = self.settings, asyncio.get_running_loop()
        return await open_store(
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

    def _open_accounts(self) -> Accounts:
        records = account_records(self.settings.store)
        ask = partial(open_client, records=records, clock=self.store.clock, emit=self._emit)
        return Accounts(self.store, names=self.settings.names, emit=self._emit, open_client=ask)

    def _make_gauges(self, registry: CollectorRegistry) -> Scrape:
        scrape = Scrape(
            registry, store=self.store, dispatcher=self.dispatcher, reloader=self.reloader, readiness=self.readiness
        )
        if self.bearers:
            TokenExpiry(registry, self.bearers.ends)
        return scrape

    def _make_activation(self, accounts: Accounts, notifications: Notifications) -> Activation:
        self._stopped_routes = StoppedRoutes(self.settings.names, self.store, emit=self._emit, clock=self.store.clock)
        return Activation(
            settings=self.settings,
            store=self.store,
            dispatcher=self.dispatcher,
            accounts=accounts,
            stopped_routes=self._stopped_routes,
            notifications=notifications,
            emit=self._emit,
        )

    async def _listen_privately(self, listening: socket.socket, registry: CollectorRegistry) -> Listener:
        return await listen_privately(
            listening,
            self.settings,
            variant=self._server,
            store=self.store,
            reloader=self.reloader,
            reload=self._reload,
            readiness=self.readiness,
            registry=registry,
            refresh=self.scrape.refresh,
            stream=self.live,
            receive=self.receive,
            bearers=self.bearers,
            emit=self._emit,
        )

    async def _listen_publicly(self, listening: socket.socket, accounts: Accounts) -> Listener:
        self._receiving = intake(
            self.settings,
            config=lambda: self.reloader.config,
            committer=self._committer,
            accounts=accounts,
            budget=self.budget,
            clock=self.store.clock,
            emit=self._emit,
        )
        return await listen_publicly(
            self._receiving,
            listening,
            self.settings.limits,
            variant=self._server,
            certificate=self.reloader.certificate,
            emit=self._emit,
        )

    async def _reload(self) -> Reloaded:
        """Load the files again; whoever is answered finds in the store what is loaded now."""
        reloaded = await self.reloader.reload()
        with suppress(StoreError):  # the loop of reports tries again
            await self.reports.publish(self.store, FILES, self.reloader.files())
        return reloaded

    def _background(self, accounts: Accounts, notifications: Notifications) -> list[Coroutine[None, None, None]]:
        """The endless loops beside the listeners."""
        reports = {FILES: self.reloader.files, **notifications.reports()}
        return [
            self.dispatcher.run(),
            self.readiness.keep_probing(self.store),
            log_audit(self.store, self._on_act),
            self.reports.keep_publishing(self.store, reports),
            self.refused.keep_recording(self.store.questions),
            self.recent.keep_recording(self.store.questions, self.store.clock),
            self.reloader.watch(),
            accounts.run(),
            notifications.run(),
            self._stopped_routes.run(),
            *self.store.background(lambda: self.reloader.config.retention, self._archive),
            monitor_loop(self._emit),
        ]

    def _on_act(self, signal: Signal) -> None:
        self._emit(signal)
        if isinstance(signal, OperatorActed) and signal.command == FORGET.name:
            self.dispatcher.erased()

    def _archive(self) -> ArchiveFolder | None:
        """Return where a purge writes what it deletes, as the routes in force say."""
        folder = self.reloader.config.archive
        return ArchiveFolder(folder) if folder else None

    async def _stop_deliveries(self) -> None:
        self.reloader.stop()
        # after a failure of the disk nothing can be settled: do not wait for attempts
        await self.dispatcher.stop(timedelta() if self.exit_code else DELIVERY_GRACE)


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


def url(address: tuple[str, int], *, scheme: str = "http") -> str:
    """`http://127.0.0.1:8080`, `http://[::1]:8080`."""
    host, port = address
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
