"""config/compose.yaml, read and not run: the files it mounts are there, nothing is open, Prometheus gets in."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from relay.cli.run import run as run_command
from tests.config.files import CONFIG, DASHBOARD, PROMETHEUS, ROOT
from tests.example import ETC, placed

COMPOSE = CONFIG / "compose.yaml"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(COMPOSE.read_text())["services"]
PROVISIONING = CONFIG / "grafana" / "provisioning"


def test_it_is_what_compose_takes() -> None:
    schema = yaml.safe_load((ROOT / "tests/docs/schemas/compose.yaml").read_text())
    validator = Draft202012Validator(schema)
    whole = yaml.safe_load(COMPOSE.read_text())
    assert [error.message for error in validator.iter_errors(whole)] == []
    assert not validator.is_valid({**whole, "services": {"relay": {**SERVICES["relay"], "port": []}}})


def mounts(service: str) -> list[tuple[str, str, str]]:
    """(source, path in the container, mode); a variable that must be set stands for /NAME."""
    texts = [re.sub(r"\$\{(\w+):\?[^}]*\}", r"/\1", text) for text in SERVICES[service]["volumes"]]
    return [(source, path, mode) for source, path, mode in ((f"{text}:rw".split(":")[:3]) for text in texts)]


def at(service: str, path: str) -> Path:
    """The file of ours that the container finds at `path`."""
    for source, inside, _ in mounts(service):
        if source.startswith(".") and Path(path).is_relative_to(inside):
            return (CONFIG / source / Path(path).relative_to(inside)).resolve()
    raise AssertionError(f"{service} has nothing at {path}")


def option(name: str) -> str:
    """Of Prometheus's command line."""
    [value] = [word.partition("=")[2] for word in SERVICES["prometheus"]["command"] if word.startswith(f"{name}=")]
    return str(value)


@pytest.mark.parametrize("service", SERVICES)
def test_every_file_it_mounts_is_there_and_cannot_be_written_to(service: str) -> None:
    ours = [(source, mode) for source, _, mode in mounts(service) if source.startswith(".")]
    for source, mode in ours:
        assert (CONFIG / source).exists()
        assert mode == "ro"


def test_what_must_last_is_on_a_named_volume() -> None:
    named = {source: path for service in SERVICES for source, path, _ in mounts(service) if "/" not in source}
    assert set(named) == set(yaml.safe_load(COMPOSE.read_text())["volumes"])
    assert named == {"relay": "/data", "prometheus": option("--storage.tsdb.path"), "grafana": "/var/lib/grafana"}


@pytest.mark.parametrize("service", SERVICES)
def test_every_port_is_on_loopback(service: str) -> None:
    assert SERVICES[service]["ports"]
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[service]["ports"])


def test_the_admin_listener_is_for_prometheus_alone() -> None:
    [scrape] = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    [target] = scrape["static_configs"][0]["targets"]
    host, _, port = target.partition(":")
    assert host == "relay"
    assert host in SERVICES
    assert SERVICES[host]["environment"]["RELAY_ADMIN"] == f"0.0.0.0:{port}"
    assert not any(text.endswith(f":{port}") for text in SERVICES[host]["ports"])


def test_prometheus_shows_the_token_that_the_relay_asks_for() -> None:
    [scrape] = yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]
    [secret] = SERVICES["prometheus"]["secrets"]
    assert scrape["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
    assert yaml.safe_load(COMPOSE.read_text())["secrets"][secret] == {"environment": "RELAY_ADMIN_TOKEN"}
    assert SERVICES["relay"]["environment"]["RELAY_ADMIN_TOKEN"].startswith("${RELAY_ADMIN_TOKEN:?")


def test_prometheus_finds_its_configuration_and_the_alerts() -> None:
    path = option("--config.file")
    assert at("prometheus", path) == PROMETHEUS
    for name in yaml.safe_load(PROMETHEUS.read_text())["rule_files"]:
        assert at("prometheus", str(Path(path).parent / name)).is_file()


def test_grafana_finds_its_data_source_and_the_dashboard() -> None:
    [source] = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert source["url"] == f"http://prometheus:{SERVICES['prometheus']['ports'][0].rpartition(':')[2]}"
    assert source["jsonData"]["timeInterval"] == yaml.safe_load(PROMETHEUS.read_text())["global"]["scrape_interval"]
    [provider] = yaml.safe_load((PROVISIONING / "dashboards" / "relay.yaml").read_text())["providers"]
    assert at("grafana", f"{provider['options']['path']}/relay.json") == DASHBOARD
    assert at("grafana", SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]) == DASHBOARD
    for folder in ("datasources", "dashboards"):
        assert at("grafana", f"/etc/grafana/provisioning/{folder}") == PROVISIONING / folder


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_whether_it_is_well_and_comes_back(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"
    if "build" in SERVICES[service]:
        [context] = [(CONFIG / SERVICES[service]["build"]).resolve()]
        assert context == ROOT
        assert "\nHEALTHCHECK " in (ROOT / "Dockerfile").read_text()
    else:
        port = SERVICES[service]["ports"][0].rpartition(":")[2]
        assert f"http://127.0.0.1:{port}/" in SERVICES[service]["healthcheck"]["test"][-1]
        assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", SERVICES[service]["image"]), "an image moves under its tag"


def test_no_secret_is_written_down() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            secret = re.search("TOKEN|SECRET|PASSWORD", name)
            assert not secret or value is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name


def test_the_relay_is_given_all_that_its_routes_file_and_it_ask_for(tmp_path: Path) -> None:
    example = (CONFIG / "routes.example.yaml").read_text()
    (tmp_path / "routes.yaml").write_text(placed(example, tmp_path))
    check = subprocess.run(
        [sys.executable, "-m", "relay", "check", tmp_path / "routes.yaml"],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert check.returncode == 0, check.stdout + check.stderr
    given = set(SERVICES["relay"]["environment"])
    own = {str(parameter.envvar) for parameter in run_command.params} | {"RELAY_ADMIN_TOKEN"}
    asked = set(re.findall(r"\$\{(\w+)(?:}|:-)", example)) - {"NAME"}
    assert given <= own | asked
    assert asked <= given


def test_the_folder_is_mounted_that_the_routes_file_and_its_secrets_are_in_and_no_file_alone() -> None:
    [(_, inside, mode)] = [each for each in mounts("relay") if each[0] == "/RELAY_FOLDER"]
    assert (inside, mode) == (ETC, "ro")
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f"RELAY_CONFIG={ETC}/routes.yaml" in dockerfile
    assert {inside for _, inside, _ in mounts("relay")} == {ETC, "/data"}
    [shown] = re.findall(r"^#   (docker run .*)$", dockerfile, re.MULTILINE)
    assert re.findall(r"-v (\S+)", shown) == ["relay:/data", f"./relay:{ETC}:ro"]
    for service in SERVICES:  # what is edited by hand arrives
        assert not [inside for source, inside, _ in mounts(service) if (CONFIG / source).is_file()], service
