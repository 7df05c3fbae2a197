"""Arguments that name a target or a route: any text, and the shell completes those of the routes file."""

import os
from collections.abc import Iterable
from pathlib import Path

import click
from click.shell_completion import CompletionItem


class _Name(click.ParamType[str]):
    """A name as it is; what it names is found out by the command."""

    name = "text"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """The names that begin so; none if the routes file cannot be used."""
        with ctx.scope(cleanup=False):
            return [CompletionItem(each) for each in self._known(_config_path(ctx)) if each.startswith(incomplete)]

    def _known(self, config_path: Path) -> Iterable[str]:
        raise NotImplementedError


class TargetName(_Name):
    """The name of a target."""

    def _known(self, config_path: Path) -> Iterable[str]:
        from relay.cli.routes_file import config_or_none

        config = config_or_none(config_path)
        return sorted(config.targets) if config else ()


class RouteName(_Name):
    """The name of a route."""

    def _known(self, config_path: Path) -> Iterable[str]:
        from relay.cli.routes_file import config_or_none

        config = config_or_none(config_path)
        return [route.name for route in config.routes] if config else ()


def _config_path(ctx: click.Context) -> Path:
    """Where the command looks; while a shell completes, options that are not given have no default."""
    return Path(ctx.params.get("config_path") or os.environ.get("RELAY_CONFIG") or "routes.yaml")
