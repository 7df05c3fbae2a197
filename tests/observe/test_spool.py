"""What a relay with a spool counts, shows and logs; one without a spool shows none of it."""

from datetime import timedelta

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from relay.observe import Gauges, SharedGauges
from relay.signals import SpoolForwarded, SpoolingBegan, SpoolingEnded, SpoolOpened, TailKeptAgain
from relay.store.records import SpoolState
from tests.observe.conftest import NOON, Observed, samples

OPENED = SpoolOpened(file="/data/spool.db", relay="3f2c", webhooks=2)


def test_without_a_spool_its_metrics_are_not_even_named() -> None:
    observed = Observed()
    Gauges(observed.registry)
    assert b"spool" not in generate_latest(observed.registry)
    assert b"hedged" not in generate_latest(observed.registry)


def test_the_counters_of_a_spool_begin_at_zero() -> None:
    observed = Observed()
    observed.emit(OPENED)
    for name in ("relay_hedged_total", "relay_forwarded_total", "relay_rekept_webhooks_total"):
        assert observed.value(name) == 0
    [line] = observed.lines()
    assert line.endswith("info  spool opened file=/data/spool.db relay=3f2c webhooks=2")


def test_what_is_hedged_forwarded_and_kept_again_is_counted() -> None:
    observed = Observed()
    observed.emit(OPENED)
    for fact in (
        SpoolingBegan(why="away", under_way=3),
        SpoolForwarded(webhooks=128),
        SpoolForwarded(webhooks=2),
        TailKeptAgain(webhooks=4, of=9),
        SpoolingEnded(why="away", took=timedelta(seconds=12.34), forwarded=130),
    ):
        observed.emit(fact)
    assert observed.value("relay_hedged_total") == 3
    assert observed.value("relay_forwarded_total") == 130
    assert observed.value("relay_rekept_webhooks_total") == 4
    assert [line.partition(" ")[2].strip() for line in observed.lines()[1:]] == [
        "warn  spooling why=away under_way=3",
        "warn  missing after a fail-over: stored again webhooks=4 of=9",
        "info  spooling ended why=away seconds=12.3 forwarded=130",
    ]


def test_the_gauges_of_a_spool_are_shown_while_the_store_is_away() -> None:
    registry = CollectorRegistry()
    gauges = SharedGauges(registry)
    oldest_at = NOON - timedelta(seconds=90)
    state = SpoolState(direct=False, since=NOON, why="away", webhooks=7, oldest_at=oldest_at, size=4096, refused=1)
    gauges.update_spool(state, NOON)
    assert samples(registry) == {
        ("relay_intake_direct",): 0,
        ("relay_spool_webhooks",): 7,
        ("relay_spool_oldest_seconds",): 90,
        ("relay_spool_bytes",): 4096,
        ("relay_spool_refused_webhooks",): 1,
    }
    gauges.update_spool(SpoolState(direct=True, since=NOON, why="away"), NOON)
    assert samples(registry)["relay_intake_direct",] == 1
    assert samples(registry)["relay_spool_oldest_seconds",] == 0
