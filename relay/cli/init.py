"""`relay init`: five answers, or flags -> a first routes file, what it needs beside it, and what to do next."""

import os
import sys
from pathlib import Path
from shlex import quote
from typing import Any

import click

from relay.cli.flag_types import web_address
from relay.cli.options import was_given
from relay.cli.output import cell, note, put, table
from relay.errors import NotFoundError
from relay.operations import init as operation
from relay.operations.service_files import Service
from relay.routes import units
from relay.routes.diagnostics import Unfit

_SERVICES = click.Choice([each.value for each in Service])
_address = web_address("https://crm-events.example/in")


def _host(text: str) -> str:
    """`hooks.example.com`, as it stands in an address."""
    try:
        return web_address("hooks.example.com")(f"https://{text.encode('idna').decode()}").removeprefix("https://")
    except UnicodeError:
        raise click.BadParameter("not a name like hooks.example.com") from None


def _age(text: str) -> str:
    try:
        units.age(text)
    except Unfit as unfit:
        raise click.BadParameter(f"{text!r} {unfit}") from None
    return text


@click.command("init")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False), default="routes.yaml")
@click.option(
    "--recipe", "name", default=operation.DEFAULT, show_default=True, metavar="NAME", help="What to begin with."
)
@click.option("--to", "address", type=_address, metavar="URL", help="Where the events go, for recipes of own services.")
@click.option("--host", type=_host, metavar="NAME", help="The name by which amoCRM reaches this machine.")
@click.option("--service", type=_SERVICES, default=Service.NONE.value, help="What runs the relay: write its files too.")
@click.option("--keep", type=_age, metavar="AGE", help="For how long what is delivered or unrouted is kept.")
@click.option("--list", "listing", is_flag=True, help="List the recipes, and write nothing.")
def init(file: Path, listing: bool, **chosen: Any) -> None:
    """Write a first routes file, from a recipe.

    FILE is routes.yaml if it is left out. On a terminal, and without flags, five questions are asked. Its secrets go
    into the folder secrets beside it: those that are the relay's own are made, for the others there are placeholders.
    A systemd unit or a compose file is written beside it as well. What exists is never changed.

    \b
    relay init
    relay init --list
    relay init --recipe telegram telegram.yaml
    relay init --recipe n8n --to https://n8n.example.com/webhook/amocrm
    relay init --recipe json --service systemd /etc/relay/routes.yaml
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if listing:
        _list()
        return
    if _on_terminal() and not any(map(was_given, chosen)):
        operation.demand_new(file)
        _list()
        click.echo()
        chosen = _ask()
    recipe = operation.recipe(chosen["name"])
    choices = operation.Choices(
        recipe=recipe,
        address=chosen["address"],
        kept=chosen["keep"],
        service=Service(chosen["service"]),
        program=str(Path(sys.prefix) / "bin" / "relay"),
    )
    _print(operation.write(choices, file, os.environ), chosen["host"])


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _ask() -> dict[str, Any]:
    """Ask; an answer that does not fit is asked for again."""
    name = click.prompt("What takes the events?", default=operation.DEFAULT, value_proc=_known)
    yours = operation.recipe(name).address
    return {
        "name": name,
        "address": yours and click.prompt("At which address?", default=yours, value_proc=_address),
        "host": click.prompt("By what name does amoCRM reach this machine?", "hooks.example.com", value_proc=_host),
        "service": click.prompt("What runs the relay?", "none", type=_SERVICES),
        "keep": click.prompt("For how long is what was delivered kept?", "30d", value_proc=_age),
    }


def _known(name: str) -> str:
    try:
        return operation.recipe(name).name
    except NotFoundError as error:
        raise click.BadParameter(str(error)) from None


def _list() -> None:
    shown = table("RECIPE", "IS", folds=("IS",))
    for each in operation.recipes().values():
        shown.add_row(cell(each.name, "bold"), cell(each.summary))
    put(shown)


def _print(written: operation.Written, host: str | None) -> None:
    click.echo(f"wrote {written.file}")
    for path in written.made:
        click.echo(f"wrote {path}, made at random")
    for path in written.placeholders:
        click.echo(f"wrote {path}, a placeholder: put the real one there")
    for path in written.service:
        click.echo(f"wrote {path}")
    file = quote(str(written.file))
    then = "" if written.next_lines else f" && relay run --config {file}"
    click.echo(f"next: edit it (what is yours is marked so), then: relay check {file}{then}")
    if written.next_lines:
        click.echo(f"then, as root, in {written.file.absolute().parent}:")
    for line in written.next_lines:
        click.echo(f"  {line}")
    if host:
        token = quote(str(written.file.absolute().parent / "secrets" / "crm_token"))
        click.echo(f"what amoCRM posts to: echo https://{host}/hooks/crm/$(cat {token})")
    for each in written.notes:
        note(each)
