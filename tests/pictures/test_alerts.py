"""The alerts: about series that there are, for people who find what to do, each seen to fire and to be silent."""

import re
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from relay.cli import relay
from tests.pictures.files import ALERTS, ALERTS_TEST, ROOT, alerts, rules
from tests.pictures.prometheus import configuration
from tests.pictures.series import labels, strangers
from tests.tools import tool

RUNBOOK = (ROOT / "README.md").read_text().split("\n## Runbook\n")[1].split("\n## ")[0]


def headings() -> set[str]:
    """As GitHub makes anchors of them."""
    lines = re.findall(r"^### (.+)$", RUNBOOK, re.MULTILINE)
    return {re.sub(r"[^\w\s-]", "", line.lower()).replace(" ", "-") for line in lines}


def promtool(*arguments: str | Path) -> str:
    """What it says; it has to be content."""
    done = subprocess.run([tool("promtool", "prometheus"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_only_for_series_and_labels_that_there_are(rule: dict[str, Any]) -> None:
    recorded = {each["record"]: frozenset({"source"}) for each in rules() if "record" in each}
    assert list(strangers(rule["expr"], {**labels(), "up": frozenset(), **recorded})) == []


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(name: str) -> None:
    alert = alerts()[name]
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"].endswith(".")
    page, _, anchor = alert["annotations"]["runbook"].partition("#")
    assert page == "README.md"
    assert anchor in headings()


def test_the_runbook_is_about_these_alerts_and_no_others() -> None:
    assert headings() == {alert["annotations"]["runbook"].partition("#")[2] for alert in alerts().values()}


def test_every_command_of_the_runbook_is_one_with_such_options() -> None:
    told = re.findall(r"`relay ([a-z][^`]*)`", re.sub(r"\s+", " ", RUNBOOK))
    assert len(told) > 10
    for words in map(str.split, told):
        command = relay.get_command(click.Context(relay), words[0])
        assert command, words
        options = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_seen_to_fire_and_to_be_silent(name: str) -> None:
    seen = [
        bool(check.get("exp_alerts"))
        for scene in yaml.safe_load(ALERTS_TEST.read_text())["tests"]
        for check in scene["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert set(seen) == {True, False}


def test_the_rules_are_valid() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", ALERTS)


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    promtool("check", "config", configuration(tmp_path, 8081, "any"))


def test_the_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", ALERTS_TEST)


def test_a_source_may_have_a_limit_of_its_own(tmp_path: Path) -> None:
    """The line that alerts.yaml shows in a comment, put where the comment says."""
    text = ALERTS.read_text()
    [line] = re.findall(r"# +(label_replace.+)", text)
    changed = text.replace("6 * 3600 * group", f"{line}\n          6 * 3600 * group")
    assert changed != text
    (tmp_path / "alerts.yaml").write_text(changed)
    silent = [{"series": f'relay_last_webhook_timestamp_seconds{{source="{s}"}}', "values": "0x2000"}
              for s in ("crm", "billing")]  # fmt: skip
    checks = [
        {"expr": "relay:silence_limit_seconds", "eval_time": "8h", "exp_samples": [
            {"labels": 'relay:silence_limit_seconds{source="crm"}', "value": 6 * 3600},
            {"labels": 'relay:silence_limit_seconds{source="billing"}', "value": 24 * 3600},
        ]},
        {"expr": 'count by (source) (ALERTS{alertname="RelaySilence", alertstate="firing"})', "eval_time": "8h",
         "exp_samples": [{"labels": '{source="crm"}', "value": 1}]},
    ]  # fmt: skip
    test = {
        "rule_files": ["alerts.yaml"],
        "tests": [{"interval": "1m", "input_series": silent, "promql_expr_test": checks}],
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(test))
    promtool("test", "rules", tmp_path / "test.yaml")
