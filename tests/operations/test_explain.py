from collections.abc import Callable

from relay.model import Event
from relay.operations.explain import ConditionCheck, explain_routes
from relay.routes.config import Config
from tests.routes.conftest import event as event  # a fixture
from tests.routes.conftest import routes_file as routes_file  # a fixture

ROUTES = """
routes:
  - {name: left-won, match: {entity: leads, old_status_id: won, status_id: {not: [won, lost]}}, to: bot}
  - {name: large, match: {entity: leads, price: {gte: 100}, pipeline_id: "${PIPELINE}"}, to: bot}
  - {name: rest, otherwise: true, to: erp}
"""


def test_each_route_says_what_held_and_what_did_not(
    routes_file: Callable[..., Config], event: Callable[..., Event]
) -> None:
    config = routes_file(ROUTES, PIPELINE="5")
    left_won, large, rest = explain_routes(config, event(old_status_id=142, status_id=7, pipeline_id=5))
    assert (left_won.matched, large.matched, rest.matched) == (True, False, False)
    assert left_won.checks == (
        ConditionCheck(field="entity", condition="leads", values=("leads",), held=True),
        ConditionCheck(field="old_status_id", condition="won", values=("142",), held=True),
        ConditionCheck(field="status_id", condition="{not: [won, lost]}", values=("7",), held=True),
    )
    assert large.checks == (
        ConditionCheck(field="entity", condition="leads", values=("leads",), held=True),
        ConditionCheck(field="price", condition="{gte: 100}", values=(), held=False),
        ConditionCheck(field="pipeline_id", condition="${PIPELINE}", values=("5",), held=True),
    )
    assert rest.checks == ()


def test_an_otherwise_route_matched_when_no_other_did(
    routes_file: Callable[..., Config], event: Callable[..., Event]
) -> None:
    config = routes_file(ROUTES, PIPELINE="5")
    assert [found.matched for found in explain_routes(config, event("task", "add"))] == [False, False, True]
