"""config/kubernetes.yaml and its guide: valid, consistent, and a relay started as the pod says answers its probes."""

from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from jsonschema import Draft202012Validator

from relay import __version__
from relay.cli.run import run as run_command
from relay.daemon.process import STOP_LIMIT
from relay.routes.config import load
from tests.docs.pages import ROOT, commands, read
from tests.docs.sandbox import Sandbox
from tests.e2e.processes import TOKEN, RelayProcess

PAGE = "docs/guides/kubernetes.md"
SCHEMAS = Path(__file__).parent / "schemas"
OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "config/kubernetes.yaml").read_text("utf-8")))
DOCKERFILE = read("Dockerfile")


def the(kind: str, name: str) -> dict[str, Any]:
    [found] = [each for each in OBJECTS if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


SPEC = the("StatefulSet", "relay")["spec"]
POD = SPEC["template"]["spec"]
[CONTAINER] = POD["containers"]
ENVIRONMENT = {each["name"]: each for each in CONTAINER["env"]}
ADMIN_TOKEN = the("Secret", "relay-admin")["stringData"]["token"]


@pytest.mark.parametrize("document", OBJECTS, ids=lambda it: f"{it['kind']} {it['metadata']['name']}")
def test_an_object_is_one_that_kubernetes_takes(document: dict[str, Any]) -> None:
    schema = yaml.safe_load((SCHEMAS / "kubernetes.yaml").read_text())
    definition = {"$ref": f"#/$defs/{document['kind']}", "$defs": schema["$defs"]}
    assert [error.message for error in Draft202012Validator(definition).iter_errors(document)] == []


def test_the_schema_finds_what_is_wrong() -> None:
    schema = yaml.safe_load((SCHEMAS / "kubernetes.yaml").read_text())
    wrong = {**the("StatefulSet", "relay"), "spec": {**SPEC, "replica": 1}}
    assert not Draft202012Validator(schema).is_valid(wrong)
    assert Draft202012Validator(schema).is_valid(the("StatefulSet", "relay"))


def test_names_lead_to_what_there_is() -> None:
    volumes = {each["name"]: each for each in POD["volumes"]}
    claimed = {each["metadata"]["name"] for each in SPEC["volumeClaimTemplates"]}
    assert {each["name"] for each in CONTAINER["volumeMounts"]} == {*volumes, *claimed}
    the("ConfigMap", volumes["routes"]["configMap"]["name"])
    the("Secret", volumes["secrets"]["secret"]["secretName"])
    key = ENVIRONMENT["RELAY_ADMIN_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert key["key"] in the("Secret", key["name"])["stringData"]
    labels = SPEC["template"]["metadata"]["labels"]
    ports = {each["name"] for each in CONTAINER["ports"]}
    for service in (the("Service", "relay"), the("Service", "relay-admin")):
        assert service["spec"]["selector"] == labels == SPEC["selector"]["matchLabels"]
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports
    assert {CONTAINER[probe]["httpGet"]["port"] for probe in CONTAINER if probe.endswith("Probe")} == {"admin"}


def test_it_is_one_daemon_with_the_image_of_the_dockerfile() -> None:
    assert SPEC["replicas"] == 1
    assert SPEC["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOnce"]
    assert CONTAINER["image"] == f"amocrm-relay:{__version__}"
    assert CONTAINER["args"] == [run_command.name]
    user = POD["securityContext"]
    assert f"USER {user['runAsUser']}:{user['runAsGroup']}" in DOCKERFILE
    assert user["fsGroup"] == user["runAsGroup"], "or it could not write to its volume"
    mounts = {each["name"]: each for each in CONTAINER["volumeMounts"]}
    assert f"VOLUME {mounts['data']['mountPath']}" in DOCKERFILE
    assert f"RELAY_CONFIG={mounts['routes']['mountPath']}/routes.yaml" in DOCKERFILE
    assert not [each for each in mounts.values() if "subPath" in each], "it would not be updated"
    assert POD["terminationGracePeriodSeconds"] > STOP_LIMIT
    assert set(ENVIRONMENT) <= {*(str(each.envvar) for each in run_command.params), "RELAY_ADMIN_TOKEN"}
    assert [each["containerPort"] for each in CONTAINER["ports"]] == [8080, 8081]
    assert ENVIRONMENT["RELAY_ADMIN"]["value"] == "0.0.0.0:8081"
    assert "RELAY_LISTEN=0.0.0.0:8080" in DOCKERFILE


def mounted(folder: Path, name: str, files: dict[str, str], version: int = 1) -> Path:
    """As Kubernetes mounts a Secret or a ConfigMap: each file a link to ..data/, which is a link that is swapped."""
    mount = folder / name
    (new := mount / f"..version_{version}").mkdir(parents=True)
    for file, text in files.items():
        (new / file).write_text(text)
        if not (mount / file).is_symlink():
            (mount / file).symlink_to(f"..data/{file}")
    (mount / "..data_tmp").symlink_to(new.name)
    (mount / "..data_tmp").rename(mount / "..data")
    return mount


def routes(secrets: Path) -> str:
    """Those of the ConfigMap, with the secrets where they are mounted here."""
    text: str = the("ConfigMap", "relay-routes")["data"]["routes.yaml"]
    there = {each["name"]: each["mountPath"] for each in CONTAINER["volumeMounts"]}["secrets"]
    assert f"${{file:{there}/crm_token}}" in text
    return text.replace(there, str(secrets))


async def test_a_relay_as_the_pod_starts_it_answers_the_probes_and_loads_what_kubernetes_swaps(tmp_path: Path) -> None:
    secrets = mounted(tmp_path, "secrets", {"crm_token": TOKEN})
    routes_ = routes(secrets)
    folder = mounted(tmp_path, "routes", {"routes.yaml": routes_})
    assert load(folder / "routes.yaml", {}).sources
    relay = RelayProcess(tmp_path, routes_, RELAY_ADMIN_TOKEN=ADMIN_TOKEN)
    relay.routes = folder / "routes.yaml"
    try:
        await relay.start()
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"{relay.admin}{CONTAINER[probe]['httpGet']['path']}") as answer,
            ):
                assert answer.status == 200, "without the token"
        mounted(tmp_path, "secrets", {"crm_token": f"{TOKEN}-changed"}, version=2)
        await relay.said("routes reloaded")
        mounted(tmp_path, "routes", {"routes.yaml": f"{routes_}# changed\n"}, version=2)
        await relay.said("routes reloaded", times=2)
    finally:
        await relay.kill()


def test_the_commands_are_kubectls(tmp_path: Path) -> None:
    machine = Sandbox(tmp_path)
    machine.run(commands(read(PAGE)))
    with pytest.raises(AssertionError, match="unknown flag"):
        machine.run(["kubectl apply --namspace relay --filename config/kubernetes.yaml"])
