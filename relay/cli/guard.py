"""`relay guard`: what an operator tells the guard of a source's webhook in amoCRM."""

import click

from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import print_document
from relay.operations.heals import GUARD_RESUME, OneSource


@click.group("guard")
def guard() -> None:
    """Have the guard go on after a webhook was switched off.

    \b
    relay guard resume crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@guard.command("resume")
@click.argument("source")
@place_options
@json_option
@asynchronous
async def resume(source: str, place: Place, as_json: bool) -> None:
    """Have the guard switch the webhook of a source on, once, whoever switched it off.

    It does so by itself only after failed answers of ours. Needs guard: {reenable: true}, and a relay that runs.

    \b
    relay guard resume crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk() as desk:
        done = await desk.ask(GUARD_RESUME, OneSource(source=source))
    if as_json:
        print_document(done)
    else:
        click.echo(
            f"the guard switches the webhook of {source} on at its next look, within 5 minutes: see relay status"
        )
