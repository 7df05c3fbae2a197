"""Signal -> series and a log line."""

import logging
import time
from collections.abc import Callable, Sequence

import orjson
from prometheus_client import CollectorRegistry

from relay.amocrm.vocabulary import ACTIONS, ENTITIES
from relay.model import Delivered, Delivery, Reason, RoutedEvent, VerdictName, Webhook
from relay.model.event_names import EventNames, as_line
from relay.model.trace import sampled, trace_id
from relay.observe import attempt_line
from relay.observe.account import AccountObserver
from relay.observe.attempt_line import MAX_DETAIL
from relay.observe.log import LineLimiter, Log, milliseconds
from relay.observe.messages import line
from relay.observe.metrics import Metrics
from relay.signals import (
    Attempted,
    Blocked,
    Claimed,
    ClaimsReturned,
    ClientLockedOut,
    Committed,
    ConfigActivated,
    DuplicateReceived,
    Evicted,
    Notice,
    Notified,
    Probed,
    Purged,
    PurgeStopped,
    Rejection,
    RelayDeclaredDead,
    RelayDisowned,
    Reloaded,
    Signal,
    SpoolForwarded,
    SpoolingBegan,
    SpoolingEnded,
    SpoolOpened,
    TailKeptAgain,
    WebhookRejected,
    WebhookStored,
)
from relay.signals.account import AccountSignal

OTHER = "other"
OUTCOMES = (
    "accepted", "unparsed", "duplicate", "probe",
    Rejection.ACCOUNT, Rejection.TOO_LARGE, Rejection.UNAVAILABLE, Rejection.INCOMPLETE,
)  # fmt: skip

NOTIFIED = ("sent", "retry", "refused", "dropped")
"""How sending a notification may end: `relay.notify.receivers.reply.Result`, and that it was given up for its age."""

MOST_ENTITIES = 100  # named in the line of one webhook
LINES_PER_SECOND = 10  # of each kind that unauthenticated clients can trigger


class Observer:
    """Count, measure and log each signal of a running relay; it takes a few µs.

    Any thread may call it, but series have no lock: a signal that is counted comes from one thread, Committed from the
    store's and every other from the event loop's.

    Labels are bounded: names come from the routes file, and a word that amoCRM is not known to use is `other`.
    Lines that unauthenticated clients can trigger are limited to `LINES_PER_SECOND` of each kind; suppressed ones are
    counted (`held_back`).
    """

    def __init__(self, registry: CollectorRegistry, log: Log, *, clock: Callable[[], float] = time.time) -> None:
        self._series = Metrics(registry)
        self._log = log
        self._account = AccountObserver(self._series, log)
        self._debug, self._info = log.is_enabled_for(logging.DEBUG), log.is_enabled_for(logging.INFO)
        self._delivered_line = attempt_line.delivered_line(log.style)
        self._clock = clock
        self._names = EventNames({})
        self._limiter = LineLimiter(LINES_PER_SECOND, clock)
        self._reloaded_at(successful=True)  # the start has loaded the routes

    def __call__(self, signal: Signal) -> None:
        """Count, measure and log it."""
        match signal:  # the three of every webhook first
            case Attempted():
                self._attempted(signal)
            case Committed():
                self._series.commit_seconds.observe(signal.took.total_seconds())
            case WebhookStored():
                self._webhook_stored(signal)
            case DuplicateReceived():
                self._duplicate(signal)
            case WebhookRejected():
                self._rejected(signal)
            case Probed():
                self._probed(signal)
            case Evicted():
                self._evicted(signal)
            case Blocked():
                self._blocked(signal)
            case ConfigActivated():
                self._config_activated(signal)
            case Reloaded():
                self._reloaded(signal)
            case SpoolOpened():
                self._series.show_spool()
                self._log_line(signal)
            case SpoolingBegan():
                self._series.hedged().inc(signal.under_way)
                self._log.warning("spooling", why=signal.why, under_way=signal.under_way)
            case SpoolingEnded():
                self._log.info(
                    "spooling ended",
                    why=signal.why,
                    seconds=round(signal.took.total_seconds(), 1),
                    forwarded=signal.forwarded,
                )
            case RelayDeclaredDead():
                self._series.relays_declared_dead().inc()
                self._log_line(signal)
            case RelayDisowned():
                self._series.disowned().inc()
                self._log_line(signal)
            case ClaimsReturned():
                self._series.claims_returned(signal.why).inc(signal.claims)
                self._log_line(signal)
            case SpoolForwarded():
                self._series.forwarded().inc(signal.webhooks)
            case TailKeptAgain():
                self._series.rekept().inc(signal.webhooks)
                self._log.warning("missing after a fail-over: stored again", webhooks=signal.webhooks, of=signal.of)
            case Claimed():
                self._series.claim_seconds.observe(signal.took.total_seconds())
            case Purged():
                self._log.info("purged", **signal.counts, ms=milliseconds(signal.took))
            case PurgeStopped():
                self._series.archive_failures.inc()
                self._log_line(signal)
            case ClientLockedOut():
                self._locked_out(signal)
            case Notified():
                self._notified(signal)
            case Notice():
                level = logging.getLevelNamesMapping().get(signal.level.upper(), logging.INFO)
                self._log.log(level, signal.text, **signal.fields)
            case _ if isinstance(signal, AccountSignal):
                self._account(signal)
            case _:
                self._log_line(signal)

    def _log_line(self, signal: Signal) -> None:
        level, text, fields = line(signal)
        self._log.log(level, text, **fields)

    def _webhook_stored(self, signal: WebhookStored) -> None:
        webhook, series = signal.webhook, self._series
        source = webhook.source
        series.webhooks(source, "accepted" if webhook.unparsed is None else "unparsed").inc()
        series.ack_seconds(source).observe(signal.took.total_seconds(), _exemplar(webhook))
        series.last_webhook(source).set(webhook.received_at.timestamp())
        for each in signal.routed:
            if webhook.unparsed is None:  # an unparsed webhook has raw deliveries and no event
                event = each.event
                entity = event.entity if event.entity in ENTITIES else OTHER
                action = event.action if event.action in ACTIONS else OTHER
                series.events(source, entity, action, "yes" if each.routes else "no").inc()
            for route in each.routes:
                series.route_matches(route).inc()
        if self._debug or webhook.unparsed is not None:
            self._log_stored(signal)

    def _log_stored(self, signal: WebhookStored) -> None:
        webhook = signal.webhook
        if webhook.unparsed is None:
            self._log.debug(
                "accepted",
                source=webhook.source,
                webhook=webhook.id,
                request_id=webhook.request_id or None,
                trace_id=trace_id(webhook.trace),
                events=len(signal.routed),
                entities=_entities(signal.routed),
                deliveries=signal.deliveries,
                ms=milliseconds(signal.took),
            )
        elif (held_back := self._limiter.admit("unparsed")) is not None:
            self._log.warning(
                "unparsed",
                source=webhook.source,
                webhook=webhook.id,
                request_id=webhook.request_id or None,
                trace_id=trace_id(webhook.trace),
                bytes=len(webhook.body),
                ms=milliseconds(signal.took),
                detail=webhook.unparsed[:MAX_DETAIL],
                held_back=held_back or None,
            )

    def _duplicate(self, signal: DuplicateReceived) -> None:
        webhook = signal.webhook
        self._series.webhooks(webhook.source, "duplicate").inc()
        self._series.ack_seconds(webhook.source).observe(signal.took.total_seconds(), _exemplar(webhook))
        held_back = self._limiter.admit("duplicate")
        if held_back is not None:
            self._log.info(
                "duplicate",
                source=webhook.source,
                webhook=signal.first,
                request_id=webhook.request_id or None,
                trace_id=trace_id(webhook.trace),
                entities=_entities(signal.routed),
                ms=milliseconds(signal.took),
                held_back=held_back or None,
            )

    def _probed(self, signal: Probed) -> None:
        self._series.webhooks(signal.source, "probe").inc()
        held_back = self._limiter.admit("probe") if self._debug else None
        if held_back is not None:
            self._log.debug("probe", source=signal.source, remote=signal.remote, held_back=held_back or None)

    def _rejected(self, signal: WebhookRejected) -> None:
        self._series.webhooks(signal.source, signal.reason.value).inc()
        if signal.reason is Rejection.STRANGER:
            return  # health checks and scanners
        held_back = self._limiter.admit(signal.reason)
        if held_back is None:
            return
        # scanners guess tokens all day; a sender with the right token that is rejected loses webhooks
        self._log.log(
            logging.INFO if signal.reason is Rejection.UNAUTHORIZED else logging.WARNING,
            "refused",
            source=signal.source,
            outcome=signal.reason.value,
            remote=signal.remote,
            ms=milliseconds(signal.took),
            address=signal.address[:MAX_DETAIL] or None,
            detail=signal.detail[:MAX_DETAIL] or None,
            held_back=held_back or None,
        )

    def _evicted(self, signal: Evicted) -> None:
        self._series.connections_evicted.inc()
        held_back = self._limiter.admit("evicted")
        if held_back is not None:
            self._log.warning("connection evicted", after_ms=milliseconds(signal.after), held_back=held_back or None)

    def _blocked(self, signal: Blocked) -> None:
        self._series.loop_blocked_seconds.observe(signal.late.total_seconds())
        self._log.warning("event loop blocked", ms=milliseconds(signal.late))

    def _attempted(self, signal: Attempted) -> None:
        outcome, verdict, series = signal.outcome, signal.verdict, self._series
        target, trace, took = signal.delivery.target, sampled(signal.delivery.trace), outcome.took.total_seconds()
        series.attempts(target, verdict.name, outcome.reason).inc()
        series.attempt_seconds(target).observe(took, trace)
        if not isinstance(verdict, Delivered):
            self._log.warning("attempt", **attempt_line.fields(signal, self._names_in(signal.delivery)))
            return
        if signal.lag is not None:
            series.delivery_lag_seconds(target).observe(signal.lag.total_seconds(), trace)
        if self._info:
            self._log_delivered(signal)

    def _log_delivered(self, signal: Attempted) -> None:
        log, names = self._log, self._names_in(signal.delivery)
        if not names and (line := self._delivered_line(log.timestamp(), signal)):
            log.write(line)
        else:
            log.info("attempt", **attempt_line.fields(signal, names))

    def _names_in(self, delivery: Delivery) -> str:
        """`status Продажи/Оффер`; nothing is read without an account whose names are known."""
        if not self._names or not delivery.payload or delivery.corrupt:
            return ""
        return as_line(self._names.of(orjson.loads(delivery.payload)))

    def _config_activated(self, signal: ConfigActivated) -> None:
        """Start the counters of these names at 0, or PromQL's `increase` would miss the first event."""
        self._names = signal.names
        for reason in (Rejection.UNAUTHORIZED, Rejection.MISADDRESSED, Rejection.STRANGER):
            self._series.webhooks("-", reason)
        for source in signal.sources:
            for outcome in OUTCOMES:
                self._series.webhooks(source, outcome)
        for target in signal.targets:
            self._series.attempts(target, VerdictName.DELIVERED, Reason.OK)
        for route in signal.routes:
            self._series.route_matches(route)
        for receiver in signal.receivers:
            for outcome in NOTIFIED:
                self._series.notifications(receiver, outcome)
        self._account.activated(signal.accounts)

    def _reloaded(self, signal: Reloaded) -> None:
        self._reloaded_at(successful=not (signal.problems or signal.certificate_problems or signal.access_problems))
        if signal.problems:
            self._log.error("routes unchanged", file=signal.file, problems=signal.problems)
        else:
            self._log.info("routes reloaded", file=signal.file, parked=signal.orphaned or None)
        if "certificate" in signal.activated:
            self._log.info("certificate reloaded")
        if signal.certificate_problems:
            self._log.error("certificate unchanged", problems=signal.certificate_problems)
        if "access" in signal.activated:
            self._log.info("access file reloaded")
        if signal.access_problems:
            self._log.error("access file unchanged", problems=signal.access_problems)

    def _reloaded_at(self, *, successful: bool) -> None:
        self._series.reload_successful.set(successful)
        self._series.reload_timestamp.set(self._clock())

    def _notified(self, signal: Notified) -> None:
        self._series.notifications(signal.receiver, signal.outcome).inc()
        sent = signal.outcome == "sent"
        self._log.log(
            logging.INFO if sent else logging.WARNING,
            "notified" if sent else "not notified",
            receiver=signal.receiver,
            outcome=signal.outcome,
            lines=signal.lines,
            detail=signal.detail[:MAX_DETAIL] or None,
        )

    def _locked_out(self, signal: ClientLockedOut) -> None:
        held_back = self._limiter.admit("locked out")
        if held_back is not None:
            self._log.warning(
                "wrong admin tokens: locked out for a minute", remote=signal.remote, held_back=held_back or None
            )


def _exemplar(webhook: Webhook) -> str:
    """Return what `Distribution.observe` takes."""
    return sampled(webhook.traceparent) if webhook.traceparent else webhook.id


def _entities(routed: Sequence[RoutedEvent]) -> list[str] | None:
    """List `leads 4831596` of each event, so that a search for the id finds the line; None if there is none."""
    named = [f"{each.event.entity} {each.event.entity_id}".rstrip() for each in routed[:MOST_ENTITIES]]
    more = [f"{len(routed) - MOST_ENTITIES} more"] if len(routed) > MOST_ENTITIES else []
    return named + more or None
