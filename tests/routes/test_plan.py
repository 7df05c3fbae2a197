"""Event -> planned deliveries: a key where the target has an order, none elsewhere."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from relay.model import Event, PlannedDelivery
from relay.routes.config import Config, parse
from relay.routes.plan import plan

ROUTES = b"""\
version: 1
sources: {crm: {token: "plan-token-0123456789abcdef01234567"}}
targets:
  free: {url: "http://127.0.0.1:9"}
  strict: {url: "http://127.0.0.1:9", order: entity}
  only-real: {url: "http://127.0.0.1:9", heal: drop}
  real-in-order: {url: "http://127.0.0.1:9", heal: drop, order: entity}
routes:
  - {name: all, match: {}, to: [free]}
  - {name: won, match: {status_id: won}, to: [strict, free]}
  - {name: lost, match: {status_id: lost}, to: [only-real, real-in-order, free]}
  - {name: exact, match: {heal.exactness: exact}, to: strict}
"""


@pytest.fixture(scope="module")
def config() -> Config:
    return parse(ROUTES, file="routes.yaml", env={})


def event(lead: int, status: int) -> Event:
    return Event(
        id=f"e{lead}",
        source="crm",
        received_at=datetime(2026, 11, 29, tzinfo=UTC),
        account={"id": 9},
        entity="leads",
        action="status",
        data={"id": lead, "status_id": status},
    )


def test_deliveries_to_a_target_with_an_order_have_the_key_of_their_entity(config: Config) -> None:
    for lead in (7, 8):
        assert set(plan(event(lead, 142), config).planned) == {
            PlannedDelivery(target="strict", routes=("won",), key=f"9/leads/{lead}"),
            PlannedDelivery(target="free", routes=("all", "won")),
        }


def test_deliveries_to_targets_without_an_order_have_no_key(config: Config) -> None:
    assert plan(event(7, 5), config).planned == (PlannedDelivery(target="free", routes=("all",)),)


def test_targets_come_in_the_order_in_which_routes_name_them(config: Config) -> None:
    assert [each.target for each in plan(event(7, 142), config).planned] == ["free", "strict"]


HEAL = {"event_id": "e", "exactness": "exact", "found_at": "2026-11-29T00:00:00.000Z", "reason": "outage"}


def test_a_target_that_drops_heals_gets_what_comes_late(config: Config) -> None:
    real = plan(event(7, 143), config).planned
    assert {each.target: each.if_late for each in real} == {"free": False, "only-real": True, "real-in-order": True}
    assert [each.key for each in real if each.target == "real-in-order"] == ["9/leads/7"]


def test_a_target_that_drops_heals_gets_no_healed_event(config: Config) -> None:
    healed = plan(replace(event(7, 143), heal=HEAL), config)
    assert [each.target for each in healed.planned] == ["free", "strict"], "and a route may match on it"
    assert healed.routes == ("all", "lost", "exact")
    rest = plan(replace(event(7, 143), heal=HEAL | {"exactness": "state"}), config)
    assert [each.target for each in rest.planned] == ["free"]
