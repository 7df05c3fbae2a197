"""`relay notify test`: the receivers of the routes file -> what each answers to a test."""

from contextlib import AsyncExitStack

import click

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.flag_types import site
from relay.cli.options import asynchronous, flag, json_option
from relay.cli.output import clipped, note, print_document
from relay.cli.routes_file import load
from relay.errors import ConfigurationError
from relay.operations.documents.notify import NotifyTestDocument
from relay.operations.notify_test import NOTIFY_TEST, NotifyTest, sent_unaudited
from relay.printable import printable


@click.group("notify")
def notify() -> None:
    """Test the notifications that the routes file asks for.

    \b
    relay notify test
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@notify.command("test")
@click.option(
    "--to",
    type=click.IntRange(min=1),
    metavar="N",
    help="The place of a receiver in the routes file, from 1. Left out: all.",
)
@flag(
    "--admin-url",
    type=site,
    metavar="URL",
    help="Where people reach the console, for the test's link; with --relay that relay knows.",
)
@place_options
@json_option
@asynchronous
async def test(to: int | None, admin_url: str | None, place: Place, as_json: bool) -> None:
    """Send a test to each receiver, and print what it answers.

    It is sent from this machine, or with --relay from the relay there, at once and in quiet hours, too. Exit code 1 if
    a receiver did not take it.

    \b
    relay notify test
    relay notify test --to 2
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    done = await _done(place, NotifyTest(to=to or 0), (admin_url or "").rstrip("/"))
    if as_json:
        print_document(done)
    failed = [each.receiver for each in done.receivers if each.result != "sent"]
    if not as_json:
        for each in done.receivers:
            answer = printable(clipped(" ".join(each.answer.split()), 300))
            click.echo(f"{each.receiver}: {each.result}, {each.took * 1000:.0f} ms: {answer}")
    if failed:
        raise NotDone(f"not sent to {', '.join(failed)}")


async def _done(place: Place, asked: NotifyTest, console: str) -> NotifyTestDocument:
    async with AsyncExitStack() as stack:
        try:
            desk = await stack.enter_async_context(place.desk(sending=True, console=console))
        except (ConfigurationError, NotDone) as error:
            if place.relay_url:
                raise
            done = await sent_unaudited(load(place.config_path), asked, console)
            note(f"not in relay audit: {error}")
            return done
        return await desk.ask(NOTIFY_TEST, asked)
