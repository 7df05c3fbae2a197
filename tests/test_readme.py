"""What the README shows is true: its commands run, its files load, its names are the program's."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic, sleep

import jsonschema
import pytest
import yaml
from prometheus_client import CollectorRegistry

from relay.amocrm import form
from relay.amocrm.events import read
from relay.model import Format, Retention
from relay.observe.metrics import Metrics
from relay.routes import lint
from relay.routes.config import parse
from relay.routes.route_tests import run_tests
from tests.e2e.processes import free_port
from tests.example import ETC, placed

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
ROTATION = README.split("### Change a token\n")[1].split("\n## ")[0].split("\n### ")[0]

ENDLESS = ("relay status --watch", "relay tail")
"""Commands that end with Ctrl-C; tests of their own show that they do what they should."""


def blocks(language: str, text: str = README) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def commands(text: str = README) -> list[str]:
    return [line.split("  #")[0].strip() for block in blocks("sh", text) for line in block.splitlines() if line.strip()]


def set_up() -> list[str]:
    """What comes before `relay check`: the secrets, and the routes file."""
    shown = commands()
    return shown[shown.index("mkdir -p -m 700 secrets") : shown.index("relay check routes.yaml")]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


@pytest.fixture
def environment() -> dict[str, str]:
    bin_ = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "RELAY_LISTEN": f"127.0.0.1:{free_port()}",
        "RELAY_ADMIN": f"127.0.0.1:{free_port()}",
    }


@pytest.fixture
def daemon(folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """What `relay run` of the README starts, after what comes before it."""
    subprocess.run(["bash", "-ec", "\n".join(set_up())], cwd=folder, env=environment, check=True)
    [run] = [command for command in commands() if command.startswith("relay run")]
    with subprocess.Popen(run.split(), cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert "ready" in process.stderr.readline()
        yield
        process.terminate()
        process.stderr.close()
        assert process.wait(10) == 0


def test_every_command_does_what_it_is_shown_for(folder: Path, environment: dict[str, str], daemon: None) -> None:
    apart = {*set_up(), *commands(ROTATION)}  # done already, and below
    shown = [
        command
        for command in commands()
        if not command.startswith(("make ", "relay run", *ENDLESS)) and command not in apart
    ]
    assert len(shown) >= 8
    for command in shown:
        done(folder, environment, command)


def done(folder: Path, environment: dict[str, str], command: str) -> str:
    """What it prints; it must end well."""
    ended = subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, (command, ended.stdout, ended.stderr)
    return ended.stdout


def test_a_token_is_changed_by_the_recipe_under_a_running_daemon(
    folder: Path, environment: dict[str, str], daemon: None
) -> None:
    routes = folder / "routes.yaml"
    as_it_was = routes.read_text()
    make, status, try_new, take_over, try_only, remove = commands(ROTATION)
    [both] = re.findall(r"    (token: .*)\n", blocks("yaml", ROTATION)[0])
    old = (folder / "secrets/crm_token").read_text().strip()

    done(folder, environment, make)
    routes.write_text(re.sub(r"token: .*crm_token}", both.replace(ETC, str(folder)), as_it_was, count=1))
    until(lambda: "crm_token.new" in done(folder, environment, status))
    assert "\n200 after" in done(folder, environment, try_new)
    new = (folder / "secrets/crm_token.new").read_text().strip()
    assert (posted(environment, old), posted(environment, new)) == (200, 200)

    done(folder, environment, take_over)
    routes.write_text(as_it_was)
    until(lambda: "crm_token.new" not in done(folder, environment, status))
    until(lambda: posted(environment, old) == 404)
    assert "\n200 after" in done(folder, environment, try_only)
    done(folder, environment, remove)
    assert posted(environment, new) == 200
    assert "refused" not in done(folder, environment, status)


def posted(environment: dict[str, str], token: str) -> int:
    """The status that a webhook with this token is answered."""
    connection = HTTPConnection(environment["RELAY_LISTEN"], timeout=10)
    connection.request("POST", f"/hooks/crm/{token}", b"leads[add][0][id]=7")
    try:
        return connection.getresponse().status
    finally:
        connection.close()


def until(holds: Callable[[], bool]) -> None:
    """What the daemon does by itself it does within some seconds."""
    deadline = monotonic() + 20
    while not holds():
        assert monotonic() < deadline
        sleep(0.1)


def test_a_second_shell_needs_nothing_of_the_first_one(folder: Path, environment: dict[str, str]) -> None:
    for shell in ("\n".join([*set_up(), "relay check routes.yaml"]), "relay check routes.yaml"):
        assert ": good: " in done(folder, environment, shell)
    assert (folder / "secrets").stat().st_mode & 0o077 == 0, "a secret is nobody else's business"


@pytest.mark.parametrize("format_", Format)
def test_every_format_that_a_target_may_have_is_told(format_: Format) -> None:
    assert f"`{format_}`" in README.split("## What a target receives")[1].split("\n## ")[0]


@pytest.mark.parametrize("command", [command for command in commands() if command.startswith("make ")])
def test_every_make_target_exists(command: str) -> None:
    done = subprocess.run([*command.split(), "--dry-run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_routes_file_loads_without_a_warning_and_its_tests_pass(tmp_path: Path) -> None:
    config = parse(placed(blocks("yaml")[0], tmp_path), file="README.md", env={})
    assert lint.warnings(config) == []
    assert [result.differences for result in run_tests(config.tests, config.matcher)] == [()]


@pytest.mark.parametrize("text", [blocks("yaml")[0], (ROOT / "config/routes.example.yaml").read_text()])
def test_a_lead_that_is_created_in_the_stage_reaches_the_bot_of_the_first_example(text: str, tmp_path: Path) -> None:
    created = b"leads[add][0][id]=22791302&leads[add][0][status_id]=16203337&leads[add][0][pipeline_id]=752662"
    [event] = read(form.decode(created, ""), source="crm", received_at=datetime.now(UTC), new_id=lambda: "1")
    matched = parse(placed(text, tmp_path), file="README.md", env={}).matcher.match(event)
    assert (matched.routes, set(matched.targets)) == (("offer-made",), {"sales-bot", "warehouse"})


@pytest.mark.parametrize("part", blocks("yaml")[1:])
def test_each_part_of_a_routes_file_fits_the_whole_one(part: str, tmp_path: Path) -> None:
    whole = yaml.safe_load(blocks("yaml")[0]) | yaml.safe_load(part)
    assert lint.warnings(parse(placed(yaml.safe_dump(whole), tmp_path), file="README.md", env={})) == []


def test_the_ages_that_the_readme_calls_built_in_are(tmp_path: Path) -> None:
    [part] = [part for part in blocks("yaml") if part.startswith("retention:")]
    assert parse(placed(blocks("yaml")[0] + part, tmp_path), file="README.md", env={}).retention == Retention()


def test_the_event_is_one() -> None:
    [text] = blocks("json")
    schema = json.loads((ROOT / "relay/amocrm/event.schema.json").read_text())
    jsonschema.validate(json.loads(text), schema)


def test_the_metrics_are_those_there_are() -> None:
    registry = CollectorRegistry()
    Metrics(registry)
    there = {
        name
        for metric in registry.collect()
        for name in (metric.name, f"{metric.name}_{metric.type}", f"{metric.name}_total")
    }
    gauges = (ROOT / "relay/observe/gauges.py").read_text()
    table = README.split("| metric | labels |")[1].split("\n## ")[0]
    shown = set(re.findall(r"`(relay_\w+)`", table))
    assert len(shown) >= 18
    assert {name for name in shown if name not in there and name not in gauges} == set()


def test_every_dependency_is_told_and_every_one_told_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    told = README.split("| dependency | for |")[1]
    names = {name.strip() for row in re.findall(r"^\| ([^|-][^|]*) \|", told, re.MULTILINE) for name in row.split(",")}
    there = {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in required}
    assert names == {name for name in there if not name.startswith("types-")}


def test_every_campaign_is_told_with_what_it_promises() -> None:
    told = README.split("## What is promised, and how it is tested")[1].split("\n## ")[0]
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/chaos").glob("test_*.py")}
    assert len(there) >= 15
    assert there - set(re.findall(r"\]\(([^)]+)\)", told)) == set()


def test_every_link_within_the_project_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
