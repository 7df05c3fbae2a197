"""`relay pause`: a target's name -> no more attempts at it until `relay resume`."""

import click

from relay.cli.desk import Place, place_options
from relay.cli.flag_types import Words
from relay.cli.known_names import TargetName
from relay.cli.options import asynchronous, json_option
from relay.cli.output import print_document
from relay.operations.pause import MAX_REASON, PAUSE, Pause


@click.command("pause")
@click.argument("target", type=TargetName())
@click.option(
    "--reason",
    type=Words(MAX_REASON),
    default="",
    metavar="TEXT",
    help="For whoever reads relay status or relay audit.",
)
@place_options
@json_option
@asynchronous
async def pause(target: str, reason: str, place: Place, as_json: bool) -> None:
    """Pause deliveries to a target.

    They stay pending and spend no attempts, over restarts too, until relay resume. Attempts in flight finish; a running
    daemon starts no more within a second.

    \b
    relay pause warehouse --reason "upgrade until 18:00"
    relay status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk(noting=True) as desk:
        done = await desk.ask(PAUSE, Pause(target=target, reason=reason))
    if as_json:
        print_document(done)
    else:
        click.echo(f"{target} is paused" if done.changed else f"{target} was already paused: see relay status")
