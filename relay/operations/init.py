"""The name of a recipe -> a first routes file that `relay check` finds good, and the secrets beside it.

Recipes are the files in `recipes`; what they say in their first line is what they are for. A secret is a file in
`secrets` beside the routes file. Nothing that exists is changed.
"""

import base64
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from relay.errors import ConfigurationError, ConflictError, NotFoundError
from relay.operations.check import check
from relay.os_errors import write_problem
from relay.routes.diagnostics import suggestion
from relay.routes.lint.secrets import PLACEHOLDER

DEFAULT = "json"
FOLDER = "/etc/relay/secrets"
"""Where the secrets of a recipe are, as it is written."""

_SECRET = re.compile(re.escape(f"${{file:{FOLDER}/") + r"(\w+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A routes file to begin with, and what it is for."""

    name: str
    summary: str
    text: str

    @property
    def secrets(self) -> tuple[str, ...]:
        """The names of the files that it has in `FOLDER`."""
        return tuple(dict.fromkeys(_SECRET.findall(self.text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: `made` are secrets that are good as they are, `placeholders` those to be replaced."""

    file: Path
    made: Sequence[Path]
    placeholders: Sequence[Path]


def recipes() -> dict[str, Recipe]:
    """Every recipe by name, `DEFAULT` first."""
    found = (
        _recipe(file.name.removesuffix(".yaml"), file.read_text("utf-8"))
        for file in files("relay.operations").joinpath("recipes").iterdir()
        if file.name.endswith(".yaml")
    )
    return {each.name: each for each in sorted(found, key=lambda each: (each.name != DEFAULT, each.name))}


def _recipe(name: str, text: str) -> Recipe:
    return Recipe(name=name, summary=text.partition("\n")[0].removeprefix("# "), text=text)


def recipe(name: str) -> Recipe:
    """The recipe; NotFoundError if there is none of this name."""
    known = recipes()
    if name not in known:
        raise NotFoundError(f"no recipe {name!r} {suggestion(name, known)}")
    return known[name]


def write(chosen: Recipe, file: Path, env: Mapping[str, str]) -> Written:
    """Write the recipe to `file`, with the secrets that are missing beside it.

    ConflictError if the file exists; ConfigurationError if it cannot be written, or would not be good there.
    """
    if os.path.lexists(file):
        raise ConflictError(f"{file} exists, and is left as it is: name another file, or move it away")
    folder = file.absolute().parent / "secrets"
    text = chosen.text.replace(FOLDER, str(folder))
    made = {name: _value(name) for name in chosen.secrets if not os.path.lexists(folder / name)}
    try:
        if made:
            folder.mkdir(mode=0o700, exist_ok=True)
        for name, value in made.items():
            _create(folder / name, f"{value}\n", 0o600)
        _demand_good(text, file, env)
        _create(file, text, 0o640)
    except OSError as error:
        raise ConfigurationError(write_problem(Path(error.filename or file), error)) from error
    return Written(
        file=file,
        made=[folder / name for name, value in made.items() if value != PLACEHOLDER],
        placeholders=[folder / name for name, value in made.items() if value == PLACEHOLDER],
    )


def _value(name: str) -> str:
    """A new token for a source, a new key for signatures; what somebody else issues is a placeholder."""
    if name == "crm_token":
        return secrets.token_hex(32)
    return base64.b64encode(secrets.token_bytes(32)).decode() if name.endswith("_secret") else PLACEHOLDER


def _create(file: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(descriptor, "w", encoding="utf-8") as opened:  # noqa: PTH123  a descriptor
        opened.write(text)


def _demand_good(text: str, file: Path, env: Mapping[str, str]) -> None:
    """A path with a brace in it, or a secret that is there and empty, makes a recipe one that cannot be loaded."""
    checked = check(text.encode(), name=str(file), env=env)
    if not checked.good:
        raise ConfigurationError("\n".join(problem.text(checked.file) for problem in checked.errors))
