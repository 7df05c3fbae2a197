"""The files under config/ -> panels, queries and alerts."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent.parent
CONFIG = ROOT / "config"
DASHBOARD = CONFIG / "grafana" / "relay.json"
ALERTS = CONFIG / "prometheus" / "alerts.yaml"
PROMETHEUS = CONFIG / "prometheus" / "prometheus.yaml"
ALERTS_TEST = Path(__file__).parent / "alerts_test.yaml"
ALERTS_OF_DAYS_TEST = Path(__file__).parent / "alerts_of_days_test.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """One query of a panel."""

    panel: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.panel} {self.legend}".strip()


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads(DASHBOARD.read_text())
    return board


def panels() -> list[dict[str, Any]]:
    """All but the rows, which only group them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> list[Query]:
    """Those that Prometheus answers; the log is Loki's."""
    return [
        Query(panel=panel["title"], expression=target["expr"], legend=target["legendFormat"])
        for panel in panels()
        if panel["type"] != "logs"
        for target in panel["targets"]
    ]


def annotations() -> list[Query]:
    return [
        Query(panel=each["name"], expression=each["expr"], legend=each["textFormat"])
        for each in dashboard()["annotations"]["list"]
    ]


def rules() -> list[dict[str, Any]]:
    """Alerts, and the series they record for themselves."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    """By name."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}
