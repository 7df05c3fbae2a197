"""`relay schema`: a name -> the JSON Schema of that name, as editors and programs read it."""

from importlib.resources import files

import click

_FILES = {"routes": ("relay.routes", "routes.schema.json"), "event": ("relay.amocrm", "event.schema.json")}


@click.command("schema")
@click.argument("name", type=click.Choice([*_FILES]))
def schema(name: str) -> None:
    """Print the JSON Schema of the routes file or of an event.

    \b
    relay schema event > event.schema.json
    relay schema routes > routes.schema.json
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    package, file = _FILES[name]
    click.echo(files(package).joinpath(file).read_text(encoding="utf-8"), nl=False)
