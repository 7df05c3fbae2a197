"""`relay help`: the name of a command -> its help."""

from collections.abc import Sequence
from typing import cast

import click


@click.command("help")
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def help_(context: click.Context, names: Sequence[str]) -> None:
    """Show the help of a command, or the list of commands.

    \b
    relay help replay
    relay help heal status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    found = context.find_root()
    command = found.command
    for name in names:
        if not isinstance(command, click.Group):
            raise click.UsageError(f"{found.command_path} has no commands below it")
        _name, below, _rest = command.resolve_command(found, [name])
        command = cast("click.Command", below)  # None only while a shell completes
        found = click.Context(command, parent=found, info_name=name)
    click.echo(command.get_help(found))
