"""Backlog, states and sizes -> gauges."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from relay.observe import Gauges, SharedGauges
from relay.observe.gauges import KEPT
from relay.store.records import SpoolState, TargetStatus
from tests.observe.conftest import NOON, samples


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def gauges(registry: CollectorRegistry) -> Gauges:
    return Gauges(registry)


def test_nothing_is_claimed_before_the_store_was_asked(gauges: Gauges, registry: CollectorRegistry) -> None:
    assert samples(registry) == {}


def test_each_target_shows_its_backlog(gauges: Gauges, registry: CollectorRegistry) -> None:
    backlog = {
        "bot": TargetStatus(pending=3, dead=1, oldest_at=NOON - timedelta(minutes=2)),
        "gone": TargetStatus(dead=2),
    }
    gauges.update(backlog, {"bot": "open", "idle": "ok"}, store_bytes=4096, store_free_bytes=9_000, now=NOON)
    shown = samples(registry)
    assert {key: value for key, value in shown.items() if key[0] != "relay_target_state"} == {
        ("relay_deliveries_pending", "bot"): 3,
        ("relay_deliveries_pending", "gone"): 0,
        ("relay_deliveries_pending", "idle"): 0,
        ("relay_deliveries_dead", "bot"): 1,
        ("relay_deliveries_dead", "gone"): 2,
        ("relay_deliveries_dead", "idle"): 0,
        ("relay_oldest_pending_seconds", "bot"): 120,
        ("relay_oldest_pending_seconds", "gone"): 0,
        ("relay_oldest_pending_seconds", "idle"): 0,
        ("relay_store_bytes",): 4096,
        ("relay_store_free_bytes",): 9_000,
        ("relay_lost_acks_total",): 0,
        ("relay_webhooks_unparsed",): 0,
        ("relay_events_unrouted",): 0,
    }


def test_attempts_under_way_are_shown_by_target(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {}, 0, 0, NOON, in_flight={"bot": 3, "idle": 0})
    assert samples(registry, "relay_attempts_in_flight") == {
        ("relay_attempts_in_flight", "bot"): 3,
        ("relay_attempts_in_flight", "idle"): 0,
    }


def test_what_is_stored_unparsed_is_shown(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {}, 0, 0, NOON, unparsed=4)
    assert samples(registry, "relay_webhooks_unparsed") == {("relay_webhooks_unparsed",): 4}


def test_what_no_route_took_is_shown(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {}, 0, 0, NOON, unrouted=4)
    assert samples(registry, "relay_events_unrouted") == {("relay_events_unrouted",): 4}


def test_the_end_of_a_certificate_is_shown_if_there_is_one(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {}, 0, 0, NOON)
    assert samples(registry, "relay_certificate_expires_timestamp_seconds") == {}
    gauges.update({}, {}, 0, 0, NOON, certificate_ends_at=NOON)
    assert samples(registry, "relay_certificate_expires_timestamp_seconds") == {
        ("relay_certificate_expires_timestamp_seconds",): NOON.timestamp()
    }


def test_lost_acks_are_shown_until_they_are_accepted(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {}, 0, 0, NOON, lost=12)
    assert samples(registry, "relay_lost_acks_total") == {("relay_lost_acks_total",): 12}
    gauges.update({}, {}, 0, 0, NOON)
    assert samples(registry, "relay_lost_acks_total") == {("relay_lost_acks_total",): 0}


@pytest.mark.parametrize("current", ["ok", "open", "probing", "paused"])
def test_a_target_is_in_exactly_one_state(current: str, gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({}, {"bot": current}, store_bytes=0, store_free_bytes=0, now=NOON)
    states = samples(registry, "relay_target_state")
    assert len(states) == 4
    assert [key[-1] for key, value in states.items() if value] == [current]
    assert states[("relay_target_state", "bot", current)] == 1


def test_a_target_that_is_settled_goes_back_to_zero(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({"bot": TargetStatus(pending=3, oldest_at=NOON)}, {"bot": "ok"}, 0, 0, NOON)
    gauges.update({}, {"bot": "ok"}, 0, 0, NOON)
    assert registry.get_sample_value("relay_deliveries_pending", {"target": "bot"}) == 0


def test_a_clock_that_went_back_makes_nothing_younger_than_now(gauges: Gauges, registry: CollectorRegistry) -> None:
    gauges.update({"bot": TargetStatus(pending=1, oldest_at=NOON + timedelta(hours=1))}, {}, 0, 0, NOON)
    assert registry.get_sample_value("relay_oldest_pending_seconds", {"target": "bot"}) == 0


# ---- of relays that share a store


def test_what_every_relay_says_alike_is_marked_and_nothing_changes_where_there_is_one() -> None:
    """A sum over the relays would count each delivery once for each of them."""
    helps = {}
    for shared in (False, True):
        registry = CollectorRegistry()
        Gauges(registry, shared=shared).update({}, {"bot": "ok"}, 0, 0, NOON)
        helps[shared] = {family.name: family.documentation for family in registry.collect()}
    changed = {name for name in helps[True] if helps[True][name] != helps[False][name]}
    assert changed == {
        "relay_deliveries_pending",
        "relay_deliveries_dead",
        "relay_oldest_pending_seconds",
        "relay_store_bytes",
        "relay_lost_acks",
        "relay_webhooks_unparsed",
        "relay_events_unrouted",
    }
    assert {helps[True][name].removeprefix(helps[False][name]) for name in changed} == {
        " The same from every relay: use max, not sum."
    }


def test_what_was_read_long_ago_is_absent_for_it_may_be_true_no_more(registry: CollectorRegistry) -> None:
    now = [100_000.0]
    gauges = Gauges(registry, steady=lambda: now[0])
    shared = SharedGauges(registry, steady=lambda: now[0])
    shared.update_spool(SpoolState(direct=False, since=NOON, why="PostgreSQL is away"), NOON)
    own = samples(registry)
    for _ in range(2):
        gauges.update({"bot": TargetStatus(pending=3)}, {"bot": "ok"}, 4096, 9_000, NOON)
        shared.update_relays(living=2, configs=1, gone=0, stranded=0, now=NOON)
        now[0] += KEPT
        assert samples(registry)[("relay_deliveries_pending", "bot")] == 3, "a scrape or two may fail"
        assert samples(registry)[("relay_relays",)] == 2
        now[0] += 1
        assert samples(registry) == own, "the spool is known without the store"


def test_a_spool_is_shown_before_the_shared_store_was_asked(registry: CollectorRegistry) -> None:
    gauges = SharedGauges(registry)
    assert samples(registry) == {}
    oldest_at = NOON - timedelta(minutes=2)
    state = SpoolState(
        direct=False, since=NOON, why="PostgreSQL is away", webhooks=37, oldest_at=oldest_at, size=4096, refused=2
    )
    gauges.update_spool(state, NOON)
    spool = {
        ("relay_spool_webhooks",): 37,
        ("relay_spool_refused_webhooks",): 2,
        ("relay_spool_oldest_seconds",): 120,
        ("relay_spool_bytes",): 4096,
        ("relay_intake_direct",): 0,
    }
    assert samples(registry) == spool
    gauges.update_relays(living=2, configs=1, gone=1, stranded=12, now=NOON, oldest_snapshot_at=oldest_at)
    assert samples(registry) == {
        **spool,
        ("relay_relays",): 2,
        ("relay_configs",): 1,
        ("relay_relays_gone",): 1,
        ("relay_stranded_webhooks",): 12,
        ("relay_store_oldest_snapshot_seconds",): 120,
    }
    gauges.update_spool(SpoolState(direct=True, since=NOON, why=""), NOON)
    assert samples(registry)[("relay_intake_direct",)] == 1
    assert samples(registry)[("relay_spool_oldest_seconds",)] == 0
