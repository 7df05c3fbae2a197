"""`relay dismiss`: dead deliveries or unparsed webhooks that are understood -> no longer counted or alarmed about."""

from collections.abc import Sequence
from dataclasses import asdict

import click

from relay.cli.desk import Place, place_options
from relay.cli.filters import filtered
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, counted, print_document, put, table
from relay.operations.dismiss import DISMISS, Dismiss
from relay.operations.documents.acts_done import DismissDocument
from relay.operations.which import Which


@click.command("dismiss")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@filtered
@click.option("--all-dead", is_flag=True, help="Every dead delivery there is.")
@click.option("--unparsed", is_flag=True, help="Unparsed webhooks instead: all, or those of --since and --until.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@place_options
@json_option
@asynchronous
async def dismiss(
    ids: Sequence[str],
    wanted: Which,
    all_dead: bool,
    unparsed: bool,
    dry_run: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Dismiss what is dead or unparsed, and understood.

    It is kept, and listed by --dismissed, but leaves the counts of relay status, the metrics and so the alerts; relay
    replay --all-dead and relay reparse leave it alone. A replay, or a reparse of its id, ends that. IDs are of events,
    or of webhooks; a start is enough.

    \b
    relay dismiss --target old-handler --until yesterday
    relay dismiss 01998f2e-7d3a-7c31
    relay dismiss --unparsed --until 10:00
    relay list --dismissed
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    _check_choice(ids, wanted, all_dead=all_dead, unparsed=unparsed)
    asked = Dismiss(**asdict(wanted), ids=tuple(ids), all_dead=all_dead, unparsed=unparsed, dry_run=dry_run)
    async with place.desk() as desk:
        done = await desk.ask(DISMISS, asked)
    if as_json:
        print_document(done)
    else:
        _print(done)


def _check_choice(ids: Sequence[str], wanted: Which, *, all_dead: bool, unparsed: bool) -> None:
    narrowed = wanted != Which()
    if all_dead and (ids or narrowed or unparsed):
        raise click.UsageError("--all-dead stands alone: without it, give ids or a filter")
    if ids and (narrowed or unparsed):
        raise click.UsageError("ids stand alone: give no filter beside them")
    if unparsed and wanted != Which(since=wanted.since, until=wanted.until):
        raise click.UsageError("--unparsed looks for webhooks: of the filters it takes --since and --until alone")
    if not (ids or narrowed or unparsed or all_dead):
        raise click.UsageError("say which: give ids, a filter like --target or --until, --unparsed or --all-dead")


def _print(done: DismissDocument) -> None:
    targets = table("TARGET", "DELIVERIES", right=("DELIVERIES",))
    for target, number in sorted(done.targets.items()):
        targets.add_row(cell(target), cell(number))
    if done.targets:
        put(targets)
    webhooks = f", {counted(done.unparsed, 'unparsed webhook')}" if done.unparsed else ""
    click.echo(f"{'would dismiss' if done.dry_run else 'dismissed'} {done.deliveries}{webhooks}")
