"""The relay's own registry -> every series it can have, the labels of each, and the values of those that are closed."""

import logging
from collections.abc import Iterator, Mapping
from datetime import timedelta
from functools import cache

from prometheus_client import CollectorRegistry

from relay.model import Health, VerdictName
from relay.model.subscription import SubscriptionState
from relay.observe import Gauges, Observer, SharedGauges, export_process
from relay.observe.log import Log
from relay.observe.metrics import ACK_SECONDS
from relay.signals import Committed, Notified, Rejection, SpoolOpened
from relay.signals.account import AccountAsked, AccountOutcome, AccountTokenRead, RouteStopped
from relay.store.records import SpoolState
from tests.config.expressions import grouped, selectors
from tests.observe.conftest import NOON, attempted, event, kept, refused

CLOSED: Mapping[tuple[str, str], frozenset[str]] = {
    ("relay_webhooks_total", "outcome"): frozenset(
        {"accepted", "unparsed", "duplicate", "probe", *map(str, Rejection)}
    ),
    ("relay_attempts_total", "outcome"): frozenset(VerdictName),
    ("relay_events_total", "routed"): frozenset({"yes", "no"}),
    ("relay_target_state", "state"): frozenset(Health),
    ("relay_account_requests_total", "outcome"): frozenset(AccountOutcome),
    ("relay_subscription_state", "state"): frozenset(SubscriptionState),
    ("relay_ack_seconds_bucket", "le"): frozenset(str(float(seconds)) for seconds in ACK_SECONDS),
}
"""Metric and label -> the values there are."""

SCRAPED = frozenset({"job", "instance"})
"""What Prometheus adds to each series."""


@cache
def labels() -> Mapping[str, frozenset[str]]:
    """Series name -> its labels."""
    samples = [sample for family in _registry().collect() for sample in family.samples]
    return {sample.name: frozenset(sample.labels) for sample in samples}


def helps() -> Mapping[str, str]:
    """Family -> what it says of itself, where relays share a store."""
    return {family.name: family.documentation for family in _registry().collect()}


def _registry() -> CollectorRegistry:
    """Everything that a relay can have to show."""
    registry = CollectorRegistry()
    export_process(registry)
    observe = Observer(registry, Log(lambda _line: None, "text", logging.CRITICAL))
    committed, opened = Committed(writes=1, took=timedelta(0)), SpoolOpened(file="spool.db", relay="a", webhooks=0)
    asked = AccountAsked(account="main", outcome=AccountOutcome.OK)
    token = AccountTokenRead(account="main", expires_at=NOON)
    stopped = RouteStopped(route="offers", why="")
    for signal in (
        kept(event(), routes=[["to-bot"]]),
        refused(),
        attempted(),
        committed,
        opened,
        asked,
        token,
        stopped,
        Notified(receiver="telegram", outcome="sent", lines=1, detail=""),
    ):
        observe(signal)
    Gauges(registry, shared=True).update(
        backlog={},
        target_states={"bot": "ok"},
        store_bytes=1,
        store_free_bytes=1,
        now=NOON,
        subscriptions={"crm": "ok"},
        in_flight={"bot": 1},
        certificate_ends_at=NOON,
    )
    shared = SharedGauges(registry)
    shared.update_spool(SpoolState(direct=True, since=NOON, why=""), now=NOON)
    shared.update_relays(living=1, configs=1, gone=0, stranded=0, now=NOON)
    return registry


def strangers(expression: str, known: Mapping[str, frozenset[str]]) -> Iterator[str]:
    """What the expression names that no series of `known` has."""
    there: set[str] = set()
    for each in selectors(expression):
        if each.metric not in known:
            yield each.metric
            continue
        there |= known[each.metric] | SCRAPED
        for label, values in each.values.items():
            if label not in known[each.metric] | SCRAPED:
                yield f"{each.metric}{{{label}}}"
            for value in values:
                if value not in CLOSED.get((each.metric, label), {value}):
                    yield f"{each.metric}{{{label}={value}}}"
    yield from sorted(grouped(expression) - there)
