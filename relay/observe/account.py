"""Fact about amoCRM's own API -> series and a log line."""

from collections.abc import Iterable
from logging import ERROR, INFO, WARNING

from relay.model.subscription import SubscriptionState
from relay.observe.heal import HealObserver
from relay.observe.log import Log
from relay.observe.metrics import Metrics
from relay.rfc3339 import rfc3339
from relay.signals.account import (
    AccountAsked,
    AccountBlocked,
    AccountGrantLost,
    AccountOutcome,
    AccountRenamed,
    AccountSignal,
    AccountTokenEnds,
    AccountTokenRead,
    Enriched,
    NameOutdated,
    NamesNotRefreshed,
    RoutesResumed,
    RouteStopped,
    SourceScanned,
    SubscriptionChanged,
    SubscriptionReenabled,
)

SUBSCRIPTION_LEVELS = {SubscriptionState.OK: INFO, SubscriptionState.API_AWAY: WARNING}
"""The other states lose webhooks."""


class AccountObserver:
    """Count and log these facts; see `Observer`."""

    def __init__(self, series: Metrics, log: Log) -> None:
        self._series = series
        self._log = log
        self._heal = HealObserver(series, log)

    def activated(self, accounts: Iterable[str]) -> None:
        """Start the counters of these accounts at 0."""
        for account in accounts:
            for outcome in AccountOutcome:
                self._series.account_requests(account, outcome)

    def __call__(self, signal: AccountSignal) -> None:
        """Count, measure and log it."""
        match signal:
            case AccountAsked():
                self._series.account_requests(signal.account, signal.outcome).inc()
            case AccountBlocked():
                advice = "ask amoCRM's support, then: relay account check"
                self._log.error(
                    "amoCRM blocks the account's API", account=signal.account, detail=signal.detail, next=advice
                )
            case AccountRenamed():
                advice = f"write host: {signal.host} in accounts.{signal.account}, and reload"
                self._log.error("the account was renamed", account=signal.account, host=signal.host, next=advice)
            case AccountTokenRead():
                if signal.expires_at:
                    self._series.token_expires(signal.account).set(signal.expires_at.timestamp())
            case AccountGrantLost():
                self._grant_lost(signal)
            case AccountTokenEnds():
                self._token_ends(signal)
            case Enriched():
                self._series.enriched(signal.outcome).inc()
                self._series.enrich_seconds().observe(signal.took.total_seconds())
            case SourceScanned():
                self._heal(signal)
            case SubscriptionChanged():
                self._log.log(
                    SUBSCRIPTION_LEVELS.get(signal.state, ERROR),
                    "the webhook in amoCRM",
                    source=signal.source,
                    state=signal.state,
                    before=signal.before,
                    detail=signal.detail,
                )
            case SubscriptionReenabled():
                self._log.warning("the webhook in amoCRM was switched on again by the guard", source=signal.source)
            case RouteStopped():
                self._series.route_stopped(signal.route).set(1)
                self._log.error(
                    "route stopped: what it may take waits", route=signal.route, why=signal.why, next="relay names"
                )
            case RoutesResumed():
                for route in signal.routes:
                    self._series.route_stopped(route).set(0)
                self._log.info("routes resumed", routes=signal.routes, deliveries=signal.deliveries)
            case NameOutdated():
                self._log.warning("a name in the routes is outdated", detail=signal.detail)
            case NamesNotRefreshed():
                self._log.warning("names not refreshed", account=signal.account, detail=signal.detail)

    def _grant_lost(self, signal: AccountGrantLost) -> None:
        self._log.error(
            "the account's grant is lost: nothing can be asked once its last token has ended",
            account=signal.account,
            detail=signal.detail,
            at=rfc3339(signal.ends_at) if signal.ends_at else None,
            next=f"relay account login {signal.account}",
        )

    def _token_ends(self, signal: AccountTokenEnds) -> None:
        text = "the account's token ends soon" if signal.days else "the account's token has ended"
        self._log.log(
            WARNING if signal.days else ERROR,
            text,
            account=signal.account,
            days=signal.days or None,
            at=rfc3339(signal.expires_at),
            next="make another in the integration's settings, and reload",
        )
