"""`--config` -> the routes, or why they cannot be used; names in them are looked up in the cache beside the store."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.options import flag
from relay.errors import RoutesInvalid

if TYPE_CHECKING:
    from relay.routes.config import Config


config_option = flag(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    default="routes.yaml",
    show_default=True,
    help="The routes file.",
)


def load(config_path: Path) -> "Config":
    """Load the routes file with the variables of this process; RoutesInvalid has every problem.

    A route whose names are unknown is stopped, as at a start of the daemon.
    """
    from relay.routes import config

    return config.load(config_path, os.environ, stop_routes=True, names=_names())


def load_with_stand_ins(config_path: Path) -> "Config":
    """The same for a command that sends nothing and runs in a shell without the secrets."""
    from relay.routes import config

    return config.load(config_path, os.environ, stand_ins=True, stop_routes=True, names=_names())


def _names() -> Path:
    from relay.cli.store import names_folder

    return names_folder()


def config_or_none(config_path: Path) -> "Config | None":
    """The same, or None if the file cannot be used: for commands that work without it."""
    try:
        return load_with_stand_ins(config_path)
    except RoutesInvalid:
        return None


def unusable(config_path: Path, invalid: RoutesInvalid) -> str:
    """One sentence, for commands that work without a routes file; those that need it print every problem."""
    number = len(invalid.problems)
    problems = f"{number} problem{'s' * (number != 1)}"
    return f"relay: {config_path} cannot be used, `relay check {config_path}` says why: {problems}"
