"""What the documents say of the program is true: formats, ages, answers, metrics, dependencies, campaigns, events."""

import json
import re
import tomllib
from pathlib import Path

import jsonschema
import pytest
import trustme
import yaml
from prometheus_client import CollectorRegistry

from relay import __version__
from relay.model import Format, Retention
from relay.model.names_json import to_json
from relay.observe.messages import LINES
from relay.observe.metrics import Metrics
from relay.operations.request_tests import run_tests
from relay.routes import lint
from relay.routes.config import parse
from relay.routes.names_files import cache_file
from tests.account.example_catalog import CATALOG
from tests.docs.pages import PAGES, ROOT, blocks, name, read, section
from tests.example import placed

CITED = {
    "stored after replying 503": "docs/runbook.md",
    "not stored, and replied 503": "docs/runbook.md",
}
"""Log message -> the page that has it."""
WHOLE = blocks(read("README.md"), "yaml")[0]
PARTS = [
    (name(page), part)
    for page in PAGES
    for part in blocks(page.read_text("utf-8"), "yaml")
    if part != WHOLE and not re.search(r"^(services|apiVersion|kind|global|server):", part, re.MULTILINE)
]


@pytest.mark.parametrize(("page", "part"), PARTS)
def test_each_part_of_a_routes_file_fits_the_whole_one(page: str, part: str, tmp_path: Path) -> None:
    quoted = re.sub(r"^( +)on:", r'\1"on":', part, flags=re.MULTILINE)  # PyYAML takes it for a boolean
    whole, more = yaml.safe_load(WHOLE), yaml.safe_load(quoted)
    merged = whole | more
    if "targets" in more:
        merged["targets"] = whole["targets"] | more["targets"]
    if "routes" in more:  # beside those that the test in the file asks for
        names = {route["name"] for route in more["routes"]}
        others = [route for route in whole["routes"] if route["name"] not in names]
        merged["routes"] = [*others, *more["routes"]]
    if "tls:" in part:
        authority = trustme.CA()
        pair = authority.issue_cert("relay.example")
        authority.cert_pem.write_to_path(tmp_path / "ca.pem")
        pair.cert_chain_pems[0].write_to_path(tmp_path / "client.pem")
        pair.private_key_pem.write_to_path(tmp_path / "client.key")
    cache_file(tmp_path, "main").write_text(json.dumps(to_json(CATALOG)), "utf-8")
    config = parse(placed(yaml.safe_dump(merged), tmp_path), file=page, env={}, names=tmp_path)
    assert [result.differences for result in run_tests(config) if result.differences] == []
    if "routes" not in more:
        assert lint.warnings(config) == []


@pytest.mark.parametrize("format_", Format)
def test_every_format_that_a_target_may_have_is_told(format_: Format) -> None:
    assert f"| `{format_}` |" in section(read("docs/targets.md"), "## Formats")


def test_the_ages_that_the_documents_call_built_in_are(tmp_path: Path) -> None:
    [part] = [part for part in blocks(read("docs/operate.md"), "yaml") if part.startswith("retention:")]
    assert parse(placed(WHOLE + part, tmp_path), file="operate.md", env={}).retention == Retention()


def test_the_event_is_one() -> None:
    [text] = blocks(read("docs/targets.md"), "json")
    schema = json.loads((ROOT / "relay/amocrm/event.schema.json").read_text())
    jsonschema.validate(json.loads(text), schema)
    fields = section(read("docs/targets.md"), "## The request").partition("| field | is |")[2].partition("\n\n")[0]
    assert set(schema["properties"]) == set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (.*?) \|", fields, re.M))))


def test_the_metrics_are_those_there_are() -> None:
    registry = CollectorRegistry()
    every = Metrics(registry).describe()  # those that have no series yet, too
    there = {
        name
        for metric in (*registry.collect(), *every)
        for name in (metric.name, f"{metric.name}_{metric.type}", f"{metric.name}_total")
    }
    of_their_own = "".join(
        (ROOT / f"relay/observe/{name}.py").read_text() for name in ("gauges", "token_expiry", "traces")
    )
    shown = set(re.findall(r"`(relay_\w+)`", section(read("docs/operate.md"), "## Metrics")))
    assert len(shown) >= 18
    assert {name for name in shown if name not in there and name not in of_their_own} == set()
    named = {found for page in PAGES for found in re.findall(r"`(relay_[a-z_]+)`", page.read_text("utf-8"))}
    assert named <= shown, "a metric of another page"


def test_every_dependency_is_told_and_every_one_told_is_there() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    told = section(read("docs/develop.md"), "## Dependencies").partition("| dependency | for |")[2]
    names = {name.strip() for row in re.findall(r"^\| ([^|-][^|]*) \|", told, re.MULTILINE) for name in row.split(",")}
    there = {re.split(r"[^A-Za-z0-9-]", requirement)[0] for requirement in required}
    assert names == {name for name in there if not name.startswith("types-")}


def test_every_campaign_is_told_with_what_it_promises() -> None:
    told = section(read("docs/guarantees.md"), "## What is promised, and how it is tested")
    there = {f"../{path.relative_to(ROOT)}" for path in (ROOT / "tests/chaos").glob("test_*.py")}
    assert len(there) >= 15
    assert there - set(re.findall(r"\]\(([^)]+)\)", told)) == set()


def test_every_room_is_in_the_architecture_and_every_file_named_there_exists() -> None:
    text = read("docs/architecture.md")
    rooms = section(text, "## Rooms")
    there = {path.parent.name for path in (ROOT / "relay").glob("*/__init__.py")}
    rows = dict(re.findall(r"^\| \[`relay/(\w+)`\]\(\S+\) \|.*\| ([^|]*?) ?\|$", rooms, re.MULTILINE))
    assert set(rows) == there
    for room, files in rows.items():
        for file in re.findall(r"`([^`]+)`", files):
            assert (ROOT / "relay" / room / file).exists(), (room, file)
    for file in re.findall(r"`((?:relay/)?\w+\.py)`", re.sub(r"^\|.*$", "", text, flags=re.MULTILINE)):
        assert (ROOT / "relay" / file.removeprefix("relay/")).exists(), file


def test_the_files_that_develop_sends_to_exist() -> None:
    for path in re.findall(r"`((?:relay|tests|config)/[\w./]+)`", read("docs/develop.md")):
        assert (ROOT / path).exists(), path


def test_the_changes_begin_with_this_version() -> None:
    versions = re.findall(r"^## \[?(\d+\.\d+\.\d+)\]? - (\d{4}-\d{2}-\d{2})$", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0][0] == __version__
    assert re.search(r"^## \[?Unreleased", read("CHANGELOG.md"), re.MULTILINE)


def test_a_log_line_that_the_documents_cite_is_one() -> None:
    assert set(CITED) - {message for _, message in LINES.values()} == set(), "reworded: change the document, too"
    for message, page in CITED.items():
        assert f"`{message}`" in re.sub(r"\s+", " ", read(page)), message
