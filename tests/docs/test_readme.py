"""README.md is true: its commands run in the order shown, and its routes file loads."""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.amocrm import form
from relay.amocrm.events import read as read_events
from relay.routes import lint
from relay.routes.config import parse
from relay.routes.route_tests import run_tests
from tests.docs.conftest import done, set_up
from tests.docs.pages import ROOT, blocks, commands, read
from tests.example import placed

README = read("README.md")
WHOLE = blocks(README, "yaml")[0]


def test_its_two_commands_come_first() -> None:
    assert commands(README)[:2] == ["make demo", "make test"]


def test_a_second_shell_needs_nothing_of_the_first_one(folder: Path, environment: dict[str, str]) -> None:
    for shell in ("\n".join([*set_up(), "relay check routes.yaml"]), "relay check routes.yaml"):
        assert ": good: " in done(folder, environment, shell)
    assert (folder / "secrets").stat().st_mode & 0o077 == 0, "a secret is nobody else's business"


def test_the_routes_file_loads_without_a_warning_and_its_tests_pass(tmp_path: Path) -> None:
    config = parse(placed(WHOLE, tmp_path), file="README.md", env={})
    assert lint.warnings(config) == []
    assert [result.differences for result in run_tests(config.tests, config.matcher)] == [()]


@pytest.mark.parametrize("text", [WHOLE, (ROOT / "config/routes.example.yaml").read_text()])
def test_a_lead_that_is_created_in_the_stage_reaches_the_bot_of_the_first_example(text: str, tmp_path: Path) -> None:
    created = b"leads[add][0][id]=22791302&leads[add][0][status_id]=16203337&leads[add][0][pipeline_id]=752662"
    [event] = read_events(form.decode(created, ""), source="crm", received_at=datetime.now(UTC), new_id=lambda: "1")
    matched = parse(placed(text, tmp_path), file="README.md", env={}).matcher.match(event)
    assert (matched.routes, set(matched.targets)) == (("offer-made",), {"sales-bot", "warehouse"})


def test_it_says_where_the_sink_of_the_example_listens() -> None:
    [sink] = re.findall(r"`relay sink` is a target at `([^`]+)`", README)
    assert f"${{SALES_BOT_URL:-{sink}/amocrm}}" in (ROOT / "config/routes.example.yaml").read_text()
    printed = subprocess.run([sys.executable, "-m", "relay", "sink", "--help"], capture_output=True, text=True).stdout
    assert sink.removeprefix("http://") in printed
