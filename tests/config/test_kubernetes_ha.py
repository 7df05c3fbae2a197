"""config/kubernetes.ha.yaml, read and not run: relays on machines of their own, with a spool each, behind HAProxies."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from relay import __version__
from relay.cli.run import run as run_command
from relay.daemon.process import STOP_LIMIT
from relay.routes.config import load
from relay.routes.secrets import expand_text
from relay.store.open import PostgresUrl, parse_store_url
from tests.config.files import CONFIG, ROOT

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((CONFIG / "kubernetes.ha.yaml").read_text()))
SCHEMA = yaml.safe_load((ROOT / "tests/docs/schemas/kubernetes.yaml").read_text())
SINGLE = {
    each["kind"]: each
    for each in yaml.safe_load_all((CONFIG / "kubernetes.yaml").read_text())
    if each["kind"] == "StatefulSet"
}["StatefulSet"]
HAPROXY = (CONFIG / "haproxy.cfg").read_text()


def the(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def container_of(workload: dict[str, Any]) -> dict[str, Any]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    return dict(container)


def variables(container: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each.get("value") for each in container["env"]}


RELAY, BALANCER = the("StatefulSet", "relay"), the("Deployment", "relay-haproxy")


@pytest.mark.parametrize("document", OBJECTS, ids=lambda it: f"{it['kind']} {it['metadata']['name']}")
def test_an_object_is_one_that_kubernetes_takes(document: dict[str, Any]) -> None:
    definition = {"$ref": f"#/$defs/{document['kind']}", "$defs": SCHEMA["$defs"]}
    assert [error.message for error in Draft202012Validator(definition).iter_errors(document)] == []
    assert not Draft202012Validator(definition).is_valid({**document, "specs": {}})


@pytest.mark.parametrize("workload", [RELAY, BALANCER], ids=["relay", "haproxy"])
def test_two_of_each_are_on_machines_of_their_own(workload: dict[str, Any]) -> None:
    spec = workload["spec"]
    labels = spec["template"]["metadata"]["labels"]
    [spread] = spec["template"]["spec"]["topologySpreadConstraints"]
    assert spec["replicas"] == 2
    assert spec["selector"] == spread["labelSelector"] == {"matchLabels": labels}
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == ("kubernetes.io/hostname", "DoNotSchedule")


def test_one_relay_at_a_time_is_taken_away_and_its_spool_stays() -> None:
    budget = the("PodDisruptionBudget", "relay")["spec"]
    assert budget == {"maxUnavailable": 1, "selector": RELAY["spec"]["selector"]}
    [claim] = RELAY["spec"]["volumeClaimTemplates"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]
    mounts = {each["name"]: each["mountPath"] for each in container_of(RELAY)["volumeMounts"]}
    assert variables(container_of(RELAY))["RELAY_SPOOL"].startswith(f"{mounts[claim['metadata']['name']]}/")
    assert RELAY["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > STOP_LIMIT


def test_a_relay_is_run_as_a_single_one_is_but_for_its_store() -> None:
    ours, single = container_of(RELAY), container_of(SINGLE)
    for key in ("image", "args", "ports", "resources", "securityContext", "livenessProbe", "startupProbe"):
        assert ours[key] == single[key], key
    assert ours["image"] == f"amocrm-relay:{__version__}"
    assert ours["readinessProbe"]["httpGet"]["path"] == "/readyz"
    pods = [each["spec"]["template"]["spec"]["securityContext"] for each in (RELAY, SINGLE)]
    assert pods[0] == pods[1]
    assert set(variables(ours)) <= {*(str(each.envvar) for each in run_command.params), "RELAY_ADMIN_TOKEN"}


def test_the_store_is_a_database_whose_certificate_is_checked_and_whose_password_is_a_file(tmp_path: Path) -> None:
    container = container_of(RELAY)
    mounts = {each["mountPath"]: each["name"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in RELAY["spec"]["template"]["spec"]["volumes"]}
    text = variables(container)["RELAY_STORE"]
    for path in re.findall(r"/etc/[\w./-]+", text):
        folder, _, file = path.rpartition("/")
        assert {"key": file, "path": file} in volumes[mounts[folder]]["secret"]["items"], "and nothing else of it"
    (tmp_path / "password").write_text("s3cret\n")
    url = parse_store_url(text.replace("/etc/relay-db/", f"{tmp_path}/"), expand=lambda each: expand_text(each, {}))
    assert isinstance(url, PostgresUrl)
    assert "relay:s3cret@relay-db-rw/relay?sslmode=verify-full" in url.dsn
    assert "s3cret" not in str(url)


def test_names_lead_to_what_there_is() -> None:
    volumes = {each["name"]: each for each in RELAY["spec"]["template"]["spec"]["volumes"]}
    the("ConfigMap", volumes["routes"]["configMap"]["name"])
    the("Secret", volumes["secrets"]["secret"]["secretName"])
    claimed = {each["metadata"]["name"] for each in RELAY["spec"]["volumeClaimTemplates"]}
    assert {each["name"] for each in container_of(RELAY)["volumeMounts"]} == {*volumes, *claimed}
    for service, workload in (("relay", BALANCER), ("relay-pods", RELAY)):
        spec = the("Service", service)["spec"]
        assert spec["selector"] == workload["spec"]["selector"]["matchLabels"]
        assert {each["targetPort"] for each in spec["ports"]} <= {
            each["name"] for each in container_of(workload)["ports"]
        }


def test_haproxy_finds_each_relay_by_the_name_of_its_pod() -> None:
    given = variables(container_of(BALANCER))
    assert set(given) == set(re.findall(r"\$\{(\w+)-", HAPROXY))
    service = RELAY["spec"]["serviceName"]
    assert the("Service", service)["spec"]["clusterIP"] == "None"
    assert the("Service", service)["spec"]["publishNotReadyAddresses"]
    for number, name in enumerate(("RELAY_A", "RELAY_B")):
        assert given[name] == f"relay-{number}.{service}.relay.svc.cluster.local:8080"
    ports = {each["name"]: each["containerPort"] for each in container_of(BALANCER)["ports"]}
    assert {f":{ports['hooks']}", f":{ports['health']}"} == {given["HOOKS_BIND"], given["HEALTH_BIND"]}
    probe = container_of(BALANCER)["readinessProbe"]["httpGet"]
    assert probe["port"] == "health" and f"monitor-uri {probe['path']}\n" in HAPROXY
    assert "check port 8081 " in HAPROXY
    [mount] = container_of(BALANCER)["volumeMounts"]
    assert container_of(BALANCER)["args"][-1] == f"{mount['mountPath']}/haproxy.cfg"


def test_the_routes_are_good(tmp_path: Path) -> None:
    (tmp_path / "crm_token").write_text(the("Secret", "relay-secrets")["stringData"]["crm_token"])
    text = the("ConfigMap", "relay-routes")["data"]["routes.yaml"]
    (tmp_path / "routes.yaml").write_text(text.replace("/etc/relay-secrets", str(tmp_path)))
    assert load(tmp_path / "routes.yaml", {}).sources
