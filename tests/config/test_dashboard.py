"""The dashboard: every panel says what it shows, and shows only what the relay has."""

import re
from itertools import combinations
from typing import Any

import pytest

from tests.config.expressions import grouped, selectors
from tests.config.files import DASHBOARD, Query, annotations, dashboard, panels, queries, rules
from tests.config.series import SCRAPED, helps, labels, strangers
from tests.docs.pages import ROOT

RUNBOOK = ROOT / "docs/runbook.md"
GLANCE = ["Ready", "Oldest pending", "Dead", "Unparsed, 24 h", "Since the last webhook", "Failed answers, 2 h"]


def variables() -> dict[str, dict[str, Any]]:
    return {variable["name"]: variable for variable in dashboard()["templating"]["list"]}


def by_title(panel: dict[str, Any]) -> str:
    return str(panel["title"])


@pytest.mark.parametrize("query", [*queries(), *annotations()], ids=str)
def test_a_query_asks_only_for_series_and_labels_that_there_are(query: Query) -> None:
    assert list(strangers(query.expression, labels())) == []


@pytest.mark.parametrize("query", queries(), ids=str)
def test_a_legend_names_only_labels_that_its_query_keeps(query: Query) -> None:
    kept = grouped(query.expression) or SCRAPED  # what is not aggregated keeps them
    assert set(re.findall(r"{{(.+?)}}", query.legend)) <= kept


@pytest.mark.parametrize("query", queries(), ids=str)
def test_a_query_uses_only_variables_that_there_are(query: Query) -> None:
    assert set(re.findall(r"\$\{?(\w+)", query.expression)) <= {*variables(), "__rate_interval"}


@pytest.mark.parametrize("query", queries(), ids=str)
def test_what_has_a_source_or_a_target_can_be_narrowed_to_some(query: Query) -> None:
    for name in ("relay_webhooks_total", "relay_ack", "relay_last_webhook", "relay_events_total"):
        assert query.expression.count(name) <= query.expression.count('source=~"$source"')
    for name in ("relay_attempt", "relay_deliver", "relay_oldest", "relay_target"):
        assert query.expression.count(name) <= query.expression.count('target=~"$target"')


@pytest.mark.parametrize("query", [*queries(), *annotations()], ids=str)
def test_every_series_can_be_narrowed_to_a_job_and_to_instances(query: Query) -> None:
    for each in selectors(query.expression):
        assert f"{each.metric}{{" in query.expression
    assert query.expression.count("{") == query.expression.count('job=~"$job", instance=~"$instance"}')


def test_every_series_of_the_relay_is_shown() -> None:
    shown = " ".join(query.expression for query in queries())
    assert {
        name
        for name in labels()
        if name.startswith("relay_") and re.sub(r"_(sum|count|bucket)$", "", name) not in shown
    } == set()


@pytest.mark.parametrize("panel", panels(), ids=by_title)
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    if panel["type"] == "logs":
        assert panel["datasource"] == {"type": "loki", "uid": "${loki}"}
        return
    shown = panel["fieldConfig"]["defaults"]
    assert shown["unit"]
    assert shown["thresholds"]["steps"]
    assert panel["datasource"]["uid"] == "${datasource}"


def test_titles_and_ids_are_given_once() -> None:
    for key in ("id", "title"):
        given = [panel[key] for panel in dashboard()["panels"]]
        assert len(set(given)) == len(given)


def test_panels_are_within_the_page_and_none_hides_another() -> None:
    places = [panel["gridPos"] for panel in dashboard()["panels"]]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)


def test_the_first_line_says_at_a_glance_whether_all_is_well() -> None:
    first = [panel for panel in panels() if panel["gridPos"]["y"] == 0]
    assert [panel["title"] for panel in first] == GLANCE
    for panel in first:
        assert panel["type"] == "stat"
        assert len(panel["fieldConfig"]["defaults"]["thresholds"]["steps"]) > 1, "it must be able to turn red"
        assert [link["title"] for link in panel["links"]] == ["What to do"]


def test_links_lead_to_sections_of_the_runbook() -> None:
    sections = {heading.lower().replace(" ", "-") for heading in re.findall(r"^## (.+)$", RUNBOOK.read_text(), re.M)}
    linked = re.findall(r"\$\{runbooks\}docs/runbook\.md#([\w-]+)", DASHBOARD.read_text())
    assert len(linked) >= len(GLANCE)
    assert set(linked) <= sections


def test_restarts_reloads_and_pauses_are_marked() -> None:
    assert [each.panel for each in annotations()] == ["Restarts", "Reloads", "Pauses"]


def test_any_grafana_can_import_it_and_finds_it_again() -> None:
    board = dashboard()
    assert board["uid"] == "amocrm-relay"
    assert board.get("id") is None
    assert board["schemaVersion"] >= 39
    assert set(re.findall(r'"uid": "([^"]+)"', DASHBOARD.read_text())) == {"amocrm-relay", "${datasource}", "${loki}"}


def test_sources_and_targets_can_be_chosen_some_or_all() -> None:
    assert set(variables()) == {"datasource", "job", "instance", "source", "target", "loki", "runbooks"}
    for name in ("job", "instance", "source", "target"):
        variable = variables()[name]
        assert variable["multi"]
        assert variable["includeAll"]
        [(series, label)] = re.findall(r"^label_values\((\w+)(?:{.*})?, (\w+)\)$", variable["query"]["query"])
        assert label == name
        assert label in labels()[series] | SCRAPED


SAME = {name for name, text in helps().items() if "use max, not sum" in text}


@pytest.mark.parametrize("expression", [query.expression for query in queries()] + [rule["expr"] for rule in rules()])
def test_what_every_relay_says_alike_is_not_added_up(expression: str) -> None:
    """Two relays that share a store would show each delivery twice. A sum of maxima is not one over relays."""
    for name in SAME:
        assert not re.search(rf"\bsum\b[^(]*(\([^()]*\) )?\({name}(_total)?\b", expression)


def test_the_relay_says_of_which_series_that_is_true() -> None:
    assert {"relay_deliveries_pending", "relay_store_bytes", "relay_lost_acks", "relay_relays"} <= SAME
