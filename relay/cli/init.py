"""`relay init`: the name of a recipe -> a first routes file, the secrets beside it, and what to do next."""

import os
from pathlib import Path
from shlex import quote

import click

from relay.cli.output import cell, put, table
from relay.operations import init as operation


@click.command("init")
@click.argument("file", required=False, type=click.Path(path_type=Path, readable=False), default="routes.yaml")
@click.option(
    "--recipe", "name", default=operation.DEFAULT, show_default=True, metavar="NAME", help="What to begin with."
)
@click.option("--list", "listing", is_flag=True, help="List the recipes, and write nothing.")
def init(file: Path, name: str, listing: bool) -> None:
    """Write a first routes file, from a recipe.

    FILE is routes.yaml if it is left out. Its secrets go into the folder secrets beside it: those that are the relay's
    own are made, for the others there are placeholders. What exists is never changed.

    \b
    relay init
    relay init --list
    relay init --recipe telegram telegram.yaml
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if listing:
        _list()
        return
    _print(operation.write(operation.recipe(name), file, os.environ))


def _list() -> None:
    shown = table("RECIPE", "IS", folds=("IS",))
    for each in operation.recipes().values():
        shown.add_row(cell(each.name, "bold"), cell(each.summary))
    put(shown)


def _print(written: operation.Written) -> None:
    click.echo(f"wrote {written.file}")
    for path in written.made:
        click.echo(f"wrote {path}, made at random")
    for path in written.placeholders:
        click.echo(f"wrote {path}, a placeholder: put the real one there")
    file = quote(str(written.file))
    click.echo(f"next: edit it (what is yours is marked so), then: relay check {file} && relay run --config {file}")
