"""`relay init`: a routes file that is good at once, with its secrets; nothing that exists is changed."""

import json
import stat
from pathlib import Path

import pytest

from relay.operations import init
from relay.routes.lint.secrets import PLACEHOLDER
from tests.cli.conftest import Run

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
