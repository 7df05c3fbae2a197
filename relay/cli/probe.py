"""`relay probe`: a target's name -> what it answers now, to a request that is no event."""

import click

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import clipped, print_document
from relay.operations.documents.acts_done import ProbeDocument
from relay.operations.probe import PROBE, Probe
from relay.printable import printable


@click.command("probe")
@click.argument("target")
@click.option(
    "--method",
    type=click.Choice(["OPTIONS", "GET"]),
    default="OPTIONS",
    show_default=True,
    metavar="METHOD",
    help="OPTIONS, or GET for a target that answers nothing else.",
)
@place_options
@json_option
@asynchronous
async def probe(target: str, method: str, place: Place, as_json: bool) -> None:
    """Ask a target now, and print what it answers.

    The request has the target's own headers, proxy, certificates and access token, and relay-probe: true, but no event,
    no webhook-id and no signature, so that no target takes it for a webhook. Parts of the address that are templates
    are left out: then its root is asked. Any answer says that the target is reached, a 405 too; 401 or 403 that it does
    not take the credentials. It is sent from this machine, and counts for no attempt and no circuit.

    \b
    relay probe warehouse
    relay probe warehouse --method GET
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk(sending=True) as desk:
        done = await desk.ask(PROBE, Probe(target=target, method="GET" if method == "GET" else "OPTIONS"))
    if as_json:
        print_document(done)
    elif done.reached:
        took = f"{done.took * 1000:.0f} ms"
        click.echo(f"{printable(done.target)} answers {done.status} to {done.method}, in {took}{_text(done)}")
    if not done.reached:
        raise NotDone(f"{done.target} is not reached: {done.reason}{_text(done)}")


def _text(done: ProbeDocument) -> str:
    text = clipped(" ".join(done.detail.split()), 200)
    return f": {printable(text)}" if text else ""
