"""What the values of `relay.store.records` conclude of themselves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.model import Health
from relay.store.records import AuditEntry, HealthReport, RelayStanding, Status, worst

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
RELAY = RelayStanding(name="a", host="m1", pid=812, version="1", since=NOON, seen_at=NOON, config="x")
GONE = replace(RELAY, name="b", pid=7, gone_at=NOON, spooled=37, spooled_at=NOON, config="y")


def test_a_relay_that_is_gone_owns_nothing_and_may_leave_webhooks_behind() -> None:
    status = Status(relays=(GONE, RELAY, replace(RELAY, name="c", pid=9, spooled=5)))
    assert (status.owner, [each.name for each in status.living]) == (812, ["a", "c"])
    assert (status.configs, status.stranded, status.gone) == (1, 37, 1)
    unknown = replace(GONE, name="d", spooled=None)
    status = Status(relays=(GONE, unknown, replace(GONE, spooled=0)))
    assert (status.stranded, status.gone) == (37, 2)
    assert (Status(relays=(GONE,)).owner, Status(relays=(GONE,)).living) == (None, ())


def test_routes_differ_among_those_that_live_and_have_said_which_they_have() -> None:
    assert Status(relays=(RELAY, replace(RELAY, config=""))).configs == 1
    assert Status(relays=(RELAY, replace(RELAY, config="z"))).configs == 2
    assert Status().configs == 0


def test_the_worst_report_is_of_the_relay_with_most_trouble() -> None:
    well = HealthReport(health=Health.OK, since=NOON, as_of=NOON)
    failing, newer = replace(well, error="503"), replace(well, as_of=NOON + timedelta(seconds=1))
    probing, open_ = replace(well, health=Health.PROBING), replace(well, health=Health.OPEN)
    assert worst([]) is None
    assert worst([well, newer]) == newer
    assert worst([newer, failing]) == failing
    assert worst([failing, probing, newer]) == probing
    assert worst([probing, open_, failing]) == open_


@pytest.mark.parametrize(
    ("details", "asked"),
    [
        (
            {"target": "bot", "states": ["dead", "delivered"], "reason": "", "ids": []},
            "target=bot states=dead,delivered",
        ),
        ({"events": {"leads.status": 3, "contacts.add": 1}, "texts": {}}, "events=leads.status:3,contacts.add:1"),
        ({"now": True, "dead": 0}, "now=yes dead=0"),
    ],
)
def test_what_was_asked_of_an_act_is_one_line(details: dict[str, object], asked: str) -> None:
    act = AuditEntry(id="1", at=NOON, who="ann", command="forget", details=details)
    assert act.asked == asked
