"""config/compose.ha.yaml, read and not run: two relays with a spool each, that find PostgreSQL, and HAProxy them."""

import re
from functools import partial
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from relay.cli.run import run as run_command
from relay.routes.secrets import expand_text
from relay.store.open import PostgresUrl, parse_store_url
from tests.config.files import CONFIG, ROOT
from tests.example import ETC

COMPOSE: dict[str, Any] = yaml.safe_load((CONFIG / "compose.ha.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
RELAYS = {name: service for name, service in SERVICES.items() if "build" in service}
HAPROXY = (CONFIG / "haproxy.cfg").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def volumes(service: str) -> dict[str, str]:
    """Path in the container -> what is mounted there; a variable that must be set stands for /NAME."""
    texts = [re.sub(r"\$\{(\w+):\?[^}]*\}", r"/\1", text) for text in SERVICES[service].get("volumes", [])]
    return {path: source for source, path in (text.removesuffix(":ro").split(":") for text in texts)}


def test_it_is_what_compose_takes() -> None:
    validator = Draft202012Validator(yaml.safe_load((ROOT / "tests/docs/schemas/compose.yaml").read_text()))
    assert [error.message for error in validator.iter_errors(COMPOSE)] == []
    assert not validator.is_valid({**COMPOSE, "services": {"relay-a": {**SERVICES["relay-a"], "volume": []}}})


def test_each_relay_has_a_spool_of_its_own_and_both_have_the_same_routes() -> None:
    assert len(RELAYS) == 2
    for name, service in RELAYS.items():
        assert service["hostname"] == name
        assert volumes(name) == {"/data": name, ETC: "/RELAY_FOLDER"}
        assert service["environment"]["RELAY_SPOOL"].startswith("/data/")
        assert int(service["stop_grace_period"].removesuffix("s")) > 8
    assert len({str(service["environment"]) for service in RELAYS.values()}) == 1
    assert "WORKDIR /data" in DOCKERFILE and f"RELAY_CONFIG={ETC}/routes.yaml" in DOCKERFILE


def test_what_must_last_is_on_a_named_volume_and_nothing_is_mounted_that_is_not_there() -> None:
    mounted = [source for name in SERVICES for source in volumes(name).values()]
    named = [source for source in mounted if "/" not in source and source != "."]
    assert sorted(named) == sorted(COMPOSE["volumes"])
    assert volumes("postgres") == {"/var/lib/postgresql/data": "postgres"}
    assert volumes("haproxy") == {"/usr/local/etc/haproxy": "."}
    assert SERVICES["haproxy"]["command"][-1] == "/usr/local/etc/haproxy/haproxy.cfg"


def test_a_relay_finds_postgresql_and_shows_its_password_to_nobody() -> None:
    server = SERVICES["postgres"]
    for service in RELAYS.values():
        given = {name: str(value) for name, value in service["environment"].items()} | {"POSTGRES_PASSWORD": "p@ss:w"}
        text = given["RELAY_STORE"].replace("$$", "$")  # as Compose passes it on
        url = parse_store_url(text, expand=partial(expand_text, env=given))
        assert isinstance(url, PostgresUrl)
        user, database = server["environment"]["POSTGRES_USER"], server["environment"]["POSTGRES_DB"]
        assert url.dsn == f"postgresql://{user}:p%40ss%3Aw@postgres/{database}"
        assert "p%40ss" not in str(url)
    [secret] = server["secrets"]
    assert server["environment"]["POSTGRES_PASSWORD_FILE"] == f"/run/secrets/{secret}"
    assert COMPOSE["secrets"][secret] == {"environment": "POSTGRES_PASSWORD"}


def test_no_secret_is_written_down_and_none_is_given_to_a_container_that_cannot_take_it() -> None:
    for service in SERVICES.values():
        for name, value in service["environment"].items():
            secret = re.search("TOKEN|SECRET|PASSWORD(?!_FILE)", name)
            assert not secret or value is None or re.fullmatch(r"\$\{\w+:\?[^}]+\}", value), name
        assert not (service.get("read_only") and service.get("secrets"))


def test_haproxy_finds_the_relays_and_their_checks() -> None:
    given = SERVICES["haproxy"]["environment"]
    asked = set(re.findall(r"\$\{(\w+)-", HAPROXY))
    assert set(given) == asked - {"HEALTH_BIND"}
    assert {value for name, value in given.items() if name.startswith("RELAY_")} == {f"{name}:8080" for name in RELAYS}
    assert "RELAY_LISTEN=0.0.0.0:8080" in DOCKERFILE
    assert {service["environment"]["RELAY_ADMIN"] for service in RELAYS.values()} == {"0.0.0.0:8081"}
    assert "check port 8081 " in HAPROXY


def test_the_only_port_is_haproxys_and_on_loopback() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"haproxy"}
    [port] = SERVICES["haproxy"]["ports"]
    assert port == f"127.0.0.1:8080{SERVICES['haproxy']['environment']['HOOKS_BIND']}"


@pytest.mark.parametrize("service", SERVICES)
def test_every_service_says_whether_it_is_well_and_comes_back(service: str) -> None:
    assert SERVICES[service]["restart"] == "unless-stopped"
    if service in RELAYS:
        assert "\nHEALTHCHECK " in DOCKERFILE
    else:
        assert SERVICES[service]["healthcheck"]["test"][0] == "CMD"
        assert re.fullmatch(r"\w+:\d+\.\d+(\.\d+)?(-alpine)?", SERVICES[service]["image"]), (
            "an image moves under its tag"
        )
    asked = re.search(r"http://(\S+)/healthz", str(SERVICES["haproxy"]["healthcheck"]))
    assert asked and f"-{asked[1]}}}" in HAPROXY, "where haproxy.cfg answers it"


def test_a_relay_is_given_what_it_and_the_example_of_a_routes_file_ask_for() -> None:
    own = {str(parameter.envvar) for parameter in run_command.params} | {"RELAY_ADMIN_TOKEN", "POSTGRES_PASSWORD"}
    example = (CONFIG / "routes.example.yaml").read_text()
    asked = set(re.findall(r"\$\{(\w+)(?:}|:-)", example)) - {"NAME"}
    for service in RELAYS.values():
        assert set(service["environment"]) - own == asked


def test_the_image_has_the_driver() -> None:
    assert "-r requirements.txt" in DOCKERFILE
    assert re.search(r"^psycopg-binary==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
