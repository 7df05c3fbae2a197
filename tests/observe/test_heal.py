"""What is counted, shown and logged of healing."""

from datetime import UTC, datetime
from typing import Any

from relay.model.heal import HealState
from relay.signals.account import Healed, SourceScanned
from tests.observe.conftest import Observed

UPTO = datetime(2026, 12, 1, tzinfo=UTC)


def scanned(*verdicts: Healed, **more: Any) -> SourceScanned:
    values: dict[str, Any] = {"late": 0, "orphans": 0, "stopped": (), "scanned_upto": UPTO}
    values |= {"differences": (), "drift": None, "expired": 0} | more
    return SourceScanned(source="crm", verdicts=verdicts, **values)


def test_events_are_counted_by_what_became_of_them_and_not_while_they_wait() -> None:
    observed = Observed()
    observed.emit(
        scanned(
            Healed("leads.add", "state", HealState.HEALED, 2),
            Healed("leads.add", "state", HealState.MATCHED, 7),
            Healed("leads.add", "state", HealState.WAITING, 3),
        )
    )
    observed.emit(scanned(Healed("leads.add", "state", HealState.HEALED, 1)))
    name = "relay_heal_events_total"
    labels = {"source": "crm", "action": "leads.add", "exactness": "state"}
    assert observed.value(name, **labels, verdict="healed") == 3
    assert observed.value(name, **labels, verdict="matched") == 7
    assert observed.value(name, **labels, verdict="waiting") is None


def test_times_that_differ_are_measured_and_said_once_they_are_allowed_for() -> None:
    observed = Observed()
    observed.emit(scanned(differences=(0.0, 7.0)))
    assert observed.lines() == []
    observed.emit(scanned(differences=(7.0,), drift=9.0))
    assert observed.value("relay_heal_time_difference_seconds_count", source="crm") == 3
    assert observed.value("relay_heal_time_difference_seconds_bucket", source="crm", le="0.0") == 1
    assert len(observed.lines()) == 1


def test_what_was_given_up_is_said() -> None:
    observed = Observed()
    observed.emit(scanned(expired=2))
    assert len(observed.lines()) == 1


def test_the_mark_late_events_and_orphans_are_shown() -> None:
    observed = Observed()
    observed.emit(scanned(late=2, orphans=1))
    observed.emit(scanned(late=1, orphans=0))
    assert observed.value("relay_heal_mark_timestamp_seconds", source="crm") == UPTO.timestamp()
    assert observed.value("relay_heal_late_events_total", source="crm") == 3
    assert observed.value("relay_heal_orphan_hooks_total", source="crm") == 1


def test_only_what_an_operator_needs_to_know_is_logged_and_a_stop_once() -> None:
    observed = Observed()
    observed.emit(scanned(Healed("leads.add", "state", HealState.MATCHED, 7)))
    observed.emit(scanned(Healed("leads.add", "state", HealState.HEALED, 2)))
    observed.emit(scanned(Healed("leads.add", "state", HealState.WAITING, 3)))
    for stopped in (("leads.add",), ("leads.add",), (), ("leads.add",)):
        observed.emit(scanned(stopped=stopped))
    told = [line.partition(" ")[2].strip() for line in observed.lines()]
    advice = 'next="relay heal status, then relay heal approve crm"'
    wait = f"error lost webhooks wait to be healed source=crm events=3 {advice}"
    stop = (
        "error webhooks came of which the account's feed knows nothing: these are not healed meanwhile source=crm"
        ' actions=leads.add next="does the token\'s user see everything? relay account check"'
    )
    assert told == [
        "warn  webhooks were lost, and their events healed source=crm events=2",
        wait,
        stop,
        stop,
    ]
