"""The alerts: about series that there are, for people who find what to do, each seen to fire and to be silent."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.config.files import ALERTS, ALERTS_OF_DAYS_TEST, ALERTS_TEST, PROMETHEUS, ROOT, alerts, rules
from tests.config.prometheus import configuration
from tests.config.series import labels, strangers
from tests.docs.pages import anchor, assert_parses, read, relay_commands, section
from tests.tools import tool

RUNBOOK = read("docs/runbook.md")
BASE = "{{ $externalLabels.runbooks }}"
"""What every runbook_url begins with."""


def url(alert: dict[str, Any]) -> str:
    """Its runbook_url without the base."""
    base, found, rest = alert["annotations"]["runbook_url"].partition(BASE)
    assert (base, found) == ("", BASE)
    return str(rest)


def sections() -> dict[str, str]:
    """Anchor -> what stands below the heading."""
    headings = re.findall(r"^## (.+)$", RUNBOOK, re.MULTILINE)
    return {anchor(heading): section(RUNBOOK, f"## {heading}") for heading in headings}


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
    page, _, there = url(alert).partition("#")
    assert (ROOT / page).read_text() == RUNBOOK
    assert f"`{name}`, {alert['labels']['severity']}." in sections()[there]


def test_the_runbook_has_a_section_for_each_of_these_alerts_and_no_others() -> None:
    linked = [url(alert).partition("#")[2] for alert in alerts().values()]
    assert sorted(linked) == sorted(sections())


def test_one_line_says_where_the_runbook_is_read(tmp_path: Path) -> None:
    """The line that prometheus.yaml shows in a comment, as Prometheus expands it."""
    text = PROMETHEUS.read_text()
    [line] = re.findall(r"^  # (external_labels: .+)$", text, re.MULTILINE)
    promtool("check", "config", "--syntax-only", write(tmp_path / "prometheus.yaml", text.replace(f"# {line}", line)))
    labels_ = yaml.safe_load(line)["external_labels"]
    scenes = yaml.safe_load(ALERTS_TEST.read_text())
    [scene] = [each for each in scenes["tests"] if each["name"].startswith("a relay that nobody scrapes")]
    [expected] = scene["alert_rule_test"][0]["exp_alerts"]
    link = expected["exp_annotations"]["runbook_url"]
    expected["exp_annotations"]["runbook_url"] = f"{labels_['runbooks']}{link}"
    assert expected["exp_annotations"]["runbook_url"].endswith("/docs/runbook.md#relay-down")
    test = {"rule_files": [str(ALERTS)], "tests": [{**scene, "external_labels": labels_}]}
    promtool("test", "rules", write(tmp_path / "test.yaml", yaml.safe_dump(test)))


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_every_command_of_the_runbook_is_one_with_such_options() -> None:
    told = relay_commands(RUNBOOK)
    assert len(told) > 10
    for words in told:
        assert_parses(words)


@pytest.mark.parametrize("name", alerts())
def test_an_alert_is_seen_to_fire_and_to_be_silent(name: str) -> None:
    seen = [
        bool(check.get("exp_alerts"))
        for file in (ALERTS_TEST, ALERTS_OF_DAYS_TEST)
        for scene in yaml.safe_load(file.read_text())["tests"]
        for check in scene["alert_rule_test"]
        if check["alertname"] == name
    ]
    assert set(seen) == {True, False}


def test_the_rules_are_valid() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", ALERTS)


def test_the_configuration_is_valid(tmp_path: Path) -> None:
    promtool("check", "config", configuration(tmp_path, 8081, "any"))


def test_the_alerts_fire_when_they_should() -> None:
    promtool("test", "rules", ALERTS_TEST, ALERTS_OF_DAYS_TEST)


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
