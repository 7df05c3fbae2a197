"""Arguments that name a target or a route: any text, and the shell completes those of the routes file."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from relay.routes.config import Config


class _Name(click.ParamType[str]):
    """A name as it is; the command finds out what it names. `known`: the names that a routes file has."""

    name = "text"

    def __init__(self, known: "Callable[[Config], Iterable[str]]") -> None:
        self._known = known

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so; none if the routes file cannot be used."""
        from relay.cli.routes_file import config_or_none

        with ctx.scope(cleanup=False):
            config = config_or_none(_config_path(ctx))
        known = self._known(config) if config else ()
        return [CompletionItem(each) for each in known if each.startswith(incomplete)]


def TargetName() -> _Name:  # noqa: N802  it stands where a type does
    """The name of a target."""
    return _Name(lambda config: sorted(config.targets))


def RouteName() -> _Name:  # noqa: N802
    """The name of a route."""
    return _Name(lambda config: [route.name for route in config.routes])


def _config_path(ctx: click.Context) -> Path:
    """Where the command looks; while a shell completes, options that are not given have no default."""
    return Path(ctx.params.get("config_path") or os.environ.get("RELAY_CONFIG") or "routes.yaml")
