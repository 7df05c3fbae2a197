"""`relay resume`: the name of a paused target -> attempts at it go on."""

import click

from relay.cli.desk import Place, place_options
from relay.cli.known_names import TargetName
from relay.cli.options import asynchronous, json_option
from relay.cli.output import print_document
from relay.operations.pause import RESUME, Resume


@click.command("resume")
@click.argument("target", type=TargetName())
@place_options
@json_option
@asynchronous
async def resume(target: str, place: Place, as_json: bool) -> None:
    """Resume deliveries to a paused target.

    \b
    relay resume warehouse
    relay resume warehouse --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        done = await desk.ask(RESUME, Resume(target=target))
    if as_json:
        print_document(done)
    else:
        click.echo(f"{target} is resumed")
