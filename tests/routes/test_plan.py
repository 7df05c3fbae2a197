"""Event -> planned deliveries: a key where the target has an order, none elsewhere."""

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
routes:
  - {name: all, match: {}, to: [free]}
  - {name: won, match: {status_id: won}, to: [strict, free]}
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
