"""`relay completion`: the name of a shell -> the script that completes commands, options and names in it."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


@click.command("completion")
@click.argument("shell", type=click.Choice([*SHELLS]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    Commands, options, and the names of targets and routes in the file that a command would use.

    \b
    relay completion bash > /etc/bash_completion.d/relay
    relay completion zsh  > "${fpath[1]}/_relay"
    relay completion fish > ~/.config/fish/completions/relay.fish
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    root = context.find_root().command
    click.echo(SHELLS[shell](root, {}, "relay", "_RELAY_COMPLETE").source())
