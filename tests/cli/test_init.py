"""`relay init`: a routes file that is good at once, with its secrets; nothing that exists is changed."""

import json
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from relay.operations import init
from relay.routes.lint.secrets import PLACEHOLDER
from tests.cli.conftest import Run, on_terminal, plain
from tests.config.files import ROOT

RECIPES = list(init.recipes())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


UNREPLACED = f"is still {PLACEHOLDER!r}: put the secret there"
UNROUTED = "events that no route matches are not delivered: add a route with otherwise: true"
"""Meant, where a recipe is for some events alone; its `check` may warn of that and of nothing else."""


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_passes_check(name: str, run: Run, folder: Path) -> None:
    made = folder / "new"
    made.mkdir()
    ended = run("init", "--recipe", name, "new/routes.yaml")
    assert ended.exit_code == 0, ended.output
    assert ended.stdout.startswith("wrote new/routes.yaml\n")
    checked = run("check", "--json", "new/routes.yaml")
    assert checked.exit_code == 0, checked.output
    found = json.loads(checked.stdout)
    assert {each["message"] for each in found["warnings"]} <= {UNROUTED, UNREPLACED}
    assert found["tests"] and all(each["passed"] for each in found["tests"])


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_first_what_it_is_for(name: str) -> None:
    recipe = init.recipe(name)
    assert recipe.summary[0].isalnum() and recipe.summary.endswith(".") and len(recipe.summary) < 100
    assert recipe.secrets[0] == "crm_token"
    assert max(map(len, recipe.text.splitlines())) <= 120


def test_secrets_are_made_for_their_owner_alone(run: Run, folder: Path) -> None:
    ended = run("init", "first.yaml")
    assert ended.exit_code == 0, ended.output
    secrets = folder / "secrets"
    assert (mode(secrets), mode(secrets / "crm_token"), mode(secrets / "service_secret")) == (0o700, 0o600, 0o600)
    assert len((secrets / "crm_token").read_text().strip()) == 64
    token = (secrets / "crm_token").read_text()
    assert token.strip() not in ended.output
    assert run("init", "--recipe", "n8n", "second.yaml").exit_code == 0
    assert (secrets / "crm_token").read_text() == token, "a second file uses the first one's"
    assert (secrets / "n8n_token").read_text() == f"{PLACEHOLDER}\n"


def test_placeholders_are_named(run: Run, folder: Path) -> None:
    ended = run("init", "--recipe", "n8n", "n8n.yaml")
    secrets = folder / "secrets"
    assert ended.stdout.splitlines() == [
        "wrote n8n.yaml",
        f"wrote {secrets}/crm_token, made at random",
        f"wrote {secrets}/n8n_token, a placeholder: put the real one there",
        "next: edit it (what is yours is marked so), then: relay check n8n.yaml && relay run --config n8n.yaml",
    ]


def test_a_file_that_exists_is_never_changed(run: Run, folder: Path) -> None:
    before = (folder / "routes.yaml").read_text()
    ended = run("init")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: routes.yaml exists, and is left as it is: name another file, or move it away\n",
    )
    (folder / "dangling.yaml").symlink_to(folder / "nowhere")
    assert run("init", "dangling.yaml").exit_code == 1
    assert (folder / "routes.yaml").read_text() == before
    assert not (folder / "secrets").exists() and not (folder / "nowhere").exists()


def test_an_unknown_recipe_is_said_with_a_near_one(run: Run) -> None:
    ended = run("init", "--recipe", "n8", "new.yaml")
    assert (ended.exit_code, ended.stderr) == (1, "relay: no recipe 'n8' (did you mean 'n8n'?)\n")


def test_where_it_cannot_be_written_it_says_so(run: Run, folder: Path) -> None:
    ended = run("init", "nowhere/routes.yaml")
    assert ended.exit_code == 1
    assert "nowhere" in ended.stderr and ended.stderr.count("\n") == 1


def test_a_path_that_no_secret_can_be_in_is_refused_before_the_file_is_written(run: Run, folder: Path) -> None:
    odd = folder / "odd}name"
    odd.mkdir()
    ended = run("init", "odd}name/routes.yaml")
    assert ended.exit_code == 1
    assert not (odd / "routes.yaml").exists()


def test_the_recipes_are_listed_with_what_they_are_for(run: Run, folder: Path) -> None:
    ended = run("init", "--list")
    assert ended.exit_code == 0
    names = [line.split()[0] for line in ended.stdout.splitlines()]
    assert names == ["RECIPE", *RECIPES]
    assert RECIPES[0] == init.DEFAULT
    assert not (folder / "secrets").exists()


# ---- where it goes, and what runs it


def test_an_own_address_takes_the_place_of_the_recipes(run: Run, folder: Path) -> None:
    ended = run("init", "--recipe", "n8n", "--to", "https://n8n.own.example/hook", "--keep", "7d", "new.yaml")
    assert ended.exit_code == 0, ended.output
    written = yaml.safe_load((folder / "new.yaml").read_text())
    assert written["targets"]["n8n"]["url"] == "https://n8n.own.example/hook"
    assert written["retention"] == {"delivered": "7d", "unrouted": "7d"}
    assert run("check", "new.yaml").exit_code == 0


def test_a_recipe_with_a_fixed_address_takes_no_other(run: Run, folder: Path) -> None:
    ended = run("init", "--recipe", "telegram", "--to", "https://own.example/", "new.yaml")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: the recipe telegram has its address: edit the file if yours differs\n",
    )
    assert not (folder / "new.yaml").exists()


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--to", "own.example", "not an address like https://crm-events.example/in"),
        ("--host", "a b", "not an address like hooks.example.com"),
        ("--keep", "5m", "'5m' must be from 1d to 3650d, or forever"),
        ("--service", "upstart", "'upstart' is not one of 'none', 'systemd', 'compose'"),
    ],
)
def test_a_choice_that_does_not_fit_is_misuse(flag: str, value: str, said: str, run: Run, folder: Path) -> None:
    ended = run("init", flag, value, "new.yaml")
    assert ended.exit_code == 2
    assert said in ended.stderr
    assert not (folder / "new.yaml").exists()


def test_what_amocrm_posts_to_is_said_without_the_token(run: Run, folder: Path) -> None:
    ended = run("init", "--host", "хуки.example", "new.yaml")
    token = folder / "secrets" / "crm_token"
    assert f"echo https://xn--h1ad0ah.example/hooks/crm/$(cat {token})\n" in ended.stdout
    assert token.read_text().strip() not in ended.output


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("name", ["plain", "a folder of 100% $mine"])
def test_systemd_takes_the_unit_that_is_written(name: str, run: Run, folder: Path) -> None:
    (folder / name).mkdir()
    ended = run("init", "--service", "systemd", f"{name}/routes.yaml")
    assert ended.exit_code == 0, ended.output
    assert f"{folder / name}/relay.service" in ended.stdout
    verify = ["systemd-analyze", "verify", "./relay.service", "./relay.socket"]
    verified = subprocess.run(verify, cwd=folder / name, capture_output=True, text=True)
    assert (verified.returncode, verified.stderr) == (0, "")
    unit = (folder / name / "relay.service").read_text().splitlines()
    assert f"ExecStart={sys.prefix}/bin/relay run" in unit
    assert "SupplementaryGroups=relay-secrets" in unit
    assert run("check", f"{name}/routes.yaml").exit_code == 0
    assert f"the unit keeps the relay out of /tmp: move {folder / name}" in ended.stderr


def test_a_unit_differs_from_the_installed_one_in_places_alone(run: Run, folder: Path) -> None:
    run("init", "--service", "systemd", "new.yaml")
    ours = (ROOT / "config/systemd/relay.service").read_text()
    written = (folder / "relay.service").read_text()
    placed = {
        "ExecStart=/opt/relay/bin/relay run": f"ExecStart={sys.prefix}/bin/relay run",
        "RELAY_CONFIG=/etc/relay/routes.yaml": f"RELAY_CONFIG={folder}/new.yaml",
        "# SupplementaryGroups=relay-secrets": "SupplementaryGroups=relay-secrets",
        "EnvironmentFile=-/etc/relay/relay.env": f"EnvironmentFile=-{folder}/relay.env",
    }
    for there, here in placed.items():
        assert there in ours
        ours = ours.replace(there, here)
    assert written == ours
    assert (folder / "relay.socket").read_text() == (ROOT / "config/systemd/relay.socket").read_text()


@pytest.mark.parametrize("name", ["plain", "a folder of $mine"])
def test_compose_takes_the_file_that_is_written(name: str, run: Run, folder: Path) -> None:
    (folder / name).mkdir()
    ended = run("init", "--service", "compose", f"{name}/routes.yaml")
    assert ended.exit_code == 0, ended.output
    written = yaml.safe_load((folder / name / "compose.yaml").read_text())
    schema = yaml.safe_load((ROOT / "tests/docs/schemas/compose.yaml").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(written)] == []
    relay, inside = written["services"]["relay"], str(folder / name).replace("$", "$$")
    assert relay["environment"]["RELAY_CONFIG"] == f"{inside}/routes.yaml"
    assert relay["volumes"][1] == {"type": "bind", "source": inside, "target": inside, "read_only": True}
    assert all(port.startswith("127.0.0.1:") for port in relay["ports"])
    assert run("check", f"{name}/routes.yaml").exit_code == 0


def test_the_admin_token_of_a_container_is_made_for_its_owner_alone(run: Run, folder: Path) -> None:
    ended = run("init", "--service", "compose", "new.yaml")
    variable, _, token = (folder / "relay.env").read_text().strip().partition("=")
    assert (variable, len(token)) == ("RELAY_ADMIN_TOKEN", 64)
    assert mode(folder / "relay.env") == 0o600
    assert token not in ended.output


def test_a_file_of_the_service_that_exists_is_never_changed(run: Run, folder: Path) -> None:
    (folder / "relay.socket").write_text("mine")
    ended = run("init", "--service", "systemd", "new.yaml")
    assert ended.exit_code == 1
    assert "relay.socket exists, and is left as it is" in ended.stderr
    assert (folder / "relay.socket").read_text() == "mine"
    assert not (folder / "new.yaml").exists() and not (folder / "secrets").exists()


# ---- questions


def test_on_a_terminal_five_questions_are_asked(run: Run, folder: Path) -> None:
    typed = "n8\nn8n\nhttps://n8n.own.example/hook\nhooks.own.example\ncompose\n5m\n7d\n"
    shown = plain(on_terminal("init", "new.yaml", columns=200, typed=typed))
    asked = re.findall(r"([A-Z][\w ]+)\? ", "\n".join(shown))
    assert shown[-1].endswith("/secrets/crm_token)")
    assert asked == [
        "What takes the events",
        "What takes the events",
        "At which address",
        "By what name does amoCRM reach this machine",
        "What runs the relay",
        "For how long is what was delivered kept",
        "For how long is what was delivered kept",
    ], "one that does not fit is asked for again"
    written = yaml.safe_load((folder / "new.yaml").read_text())
    assert written["targets"]["n8n"]["url"] == "https://n8n.own.example/hook"
    assert written["retention"]["delivered"] == "7d"
    assert (folder / "compose.yaml").exists()
    assert any("https://hooks.own.example/hooks/crm/" in line for line in shown)
    assert run("check", "new.yaml").exit_code == 0


def test_nothing_is_asked_for_a_file_that_exists_or_where_a_flag_is_given(folder: Path) -> None:
    assert "exists, and is left as it is" in plain(on_terminal("init", columns=200))[0]
    assert plain(on_terminal("init", "--recipe", "json", "new.yaml", columns=200))[0] == "wrote new.yaml"
