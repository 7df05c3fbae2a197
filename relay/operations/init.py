"""A recipe and a few choices -> a first routes file that `relay check` finds good, and what it needs beside it.

Recipes are the files in `recipes`; what they say in their first line is what they are for. A secret is a file in
`secrets` beside the routes file; what runs the relay has its files there too. Nothing that exists is changed.
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
from relay.operations.service_files import Service, hidden, next_lines, service_files
from relay.os_errors import write_problem
from relay.routes.diagnostics import suggestion
from relay.routes.lint.secrets import PLACEHOLDER

DEFAULT = "json"
FOLDER = "/etc/relay/secrets"
"""Where the secrets of a recipe are, as it is written."""

_ADDRESS = re.compile(r"^(    url: )(https?://[^\s$]+)(\s+# yours.*)$", re.MULTILINE)
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

    @property
    def address(self) -> str | None:
        """The URL that an own service has in the place of, None if the recipe has a fixed one or a template."""
        found = _ADDRESS.search(self.text)
        return found[2] if found else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What somebody sets up: `address` for the recipe's own, `kept` in the place of the default retention.

    `program` is the installed `relay`, for a unit.
    """

    recipe: Recipe
    address: str | None = None
    kept: str | None = None
    service: Service = Service.NONE
    program: str = "relay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What was written: `made` are secrets that are good as they are, `placeholders` those to be replaced.

    `service`: the files of what runs the relay. `next_lines`: what root has to run then. `notes`: what is in the way.
    """

    file: Path
    made: Sequence[Path]
    placeholders: Sequence[Path]
    service: Sequence[Path] = ()
    next_lines: Sequence[str] = ()
    notes: Sequence[str] = ()


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


def write(chosen: Choices, file: Path, env: Mapping[str, str]) -> Written:
    """Write the recipe to `file`, with the secrets that are missing and the files of the service beside it.

    ConflictError if one of the files exists; ConfigurationError if one cannot be written, or would not be good there.
    """
    service = service_files(chosen.service, file, chosen.program)
    for path in (file, *service):
        demand_new(path)
    folder = file.absolute().parent / "secrets"
    text = _text(chosen).replace(FOLDER, str(folder))
    made = {name: _value(name) for name in chosen.recipe.secrets if not os.path.lexists(folder / name)}
    try:
        if made:
            folder.mkdir(mode=0o700, exist_ok=True)
        for name, value in made.items():
            _create(folder / name, f"{value}\n", 0o600)
        _demand_good(text, file, env)
        _create(file, text, 0o640)
        for path, content in service.items():
            _create(path, content, 0o600 if path.suffix == ".env" else 0o644)
    except OSError as error:
        raise ConfigurationError(write_problem(Path(error.filename or file), error)) from error
    return Written(
        file=file,
        made=[folder / name for name, value in made.items() if value != PLACEHOLDER],
        placeholders=[folder / name for name, value in made.items() if value == PLACEHOLDER],
        service=[*service],
        next_lines=next_lines(chosen.service, file),
        notes=_notes(chosen, file),
    )


def demand_new(path: Path) -> None:
    """ConflictError if there is something at the path."""
    if os.path.lexists(path):
        raise ConflictError(f"{path} exists, and is left as it is: name another file, or move it away")


def _text(chosen: Choices) -> str:
    """The recipe's text with what was chosen."""
    text = chosen.recipe.text
    if chosen.address is not None:
        if chosen.recipe.address is None:
            raise ConfigurationError(f"the recipe {chosen.recipe.name} has its address: edit the file if yours differs")
        text = _ADDRESS.sub(lambda found: f"{found[1]}{chosen.address:<{len(found[2])}}{found[3]}", text, count=1)
    if chosen.kept is not None:
        text = text.replace(
            "\nroutes:", f"\nretention: {{delivered: {chosen.kept}, unrouted: {chosen.kept}}}\n\nroutes:", 1
        )
    return text


def _notes(chosen: Choices, file: Path) -> Sequence[str]:
    """What the unit could not reach."""
    if chosen.service is not Service.SYSTEMD:
        return ()
    needed = {path: hidden(path) for path in (file.absolute().parent, Path(chosen.program))}
    return [f"the unit keeps the relay out of {around}: move {path}" for path, around in needed.items() if around]


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
