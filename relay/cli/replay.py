"""`relay replay`: deliveries, or events that no route took -> deliveries that are pending and due."""

from collections.abc import Sequence
from dataclasses import replace

import click

from relay.cli import NotDone
from relay.cli.desk import Place, place_options
from relay.cli.filters import dismissed_option, filtered, state_option
from relay.cli.flag_types import rate
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, print_document, put, table
from relay.model import State
from relay.operations.documents.replays import ReplayDocument
from relay.operations.replays import REPLAYS, Replays
from relay.operations.which import Which
from relay.printable import printable
from relay.store.records import Filter


@click.command("replay")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@state_option(*State, text="dead (the default), delivered, or pending: scheduled for later; may be repeated.")
@filtered
@dismissed_option
@click.option("--all-dead", is_flag=True, help="Every dead delivery there is.")
@click.option("--unrouted", is_flag=True, help="Events that no route took, through today's routes.")
@click.option(
    "--reroute", is_flag=True, help="Stored events through today's routes, for the deliveries that they lack."
)
@click.option("--rate", type=rate, metavar="RATE", help="Due one after another: 50/s, 300/m. Left out: all at once.")
@click.option("--dry-run", is_flag=True, help="Only count them, by target.")
@place_options
@json_option
@asynchronous
async def replay(
    ids: Sequence[str],
    states: Sequence[str],
    wanted: Which,
    dismissed: bool,
    all_dead: bool,
    unrouted: bool,
    reroute: bool,
    rate: float | None,
    dry_run: bool,
    place: Place,
    as_json: bool,
) -> None:
    """Make dead, delivered or scheduled deliveries due now.

    They become pending, and the retry policy of their target starts anew. IDs are of events, or of webhooks for all
    their events; a start is enough. A running daemon delivers them within a second; every replay is in the audit.

    Events that no route took when they arrived have no deliveries; --unrouted, or their id, gives them those that
    today's routes make of them. --reroute does the same for every event of the filter, whatever it has: each gets the
    deliveries that today's routes make of it and that do not exist, with --target those to this one alone. A target
    that was added later gets what it missed; repeated, nothing is added twice.

    What was dismissed or dropped is left alone, unless its id or --dismissed asks for it.

    \b
    relay replay --target warehouse --since 2h --dry-run
    relay replay --target warehouse --since 2h --rate 50/s
    relay replay 01998f2e-7d3a-7c31 --state delivered
    relay replay --target warehouse --state pending
    relay replay --all-dead
    relay replay --unrouted --entity leads --since 1d
    relay replay --reroute --target warehouse --since 2d --dry-run
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    events = unrouted or reroute
    if dismissed and (ids or all_dead or events):
        raise click.UsageError("--dismissed narrows a filter of deliveries: it goes with none of the other choices")
    _check_choice(ids, wanted.filter(), states, all_dead=all_dead, unrouted=unrouted, reroute=reroute)
    which = replace(wanted, state=tuple(map(State, states)), dismissed=dismissed or None)
    asked = Replays(
        filter=which, ids=tuple(ids), all_dead=all_dead, unrouted=unrouted, reroute=reroute, rate=rate, dry_run=dry_run
    )
    async with place.desk() as desk:
        done = await desk.ask(REPLAYS, asked)
    if as_json:
        print_document(done)
    if done.notes:
        raise NotDone("\n".join(done.notes))
    if not as_json:
        _print(done, pending=State.PENDING in which.state)


def _check_choice(
    ids: Sequence[str], wanted: Filter, states: Sequence[str], *, all_dead: bool, unrouted: bool, reroute: bool
) -> None:
    narrowed = bool(ids) or wanted != Filter()
    if all_dead and (narrowed or unrouted or reroute or states):
        raise click.UsageError("--all-dead stands alone: without it, give ids or a filter")
    if reroute:
        _check_reroute(ids, wanted, states, unrouted=unrouted)
        return
    if unrouted and states:
        raise click.UsageError("--unrouted looks for events, which have no --state")
    if not all_dead and not unrouted and not narrowed:
        raise click.UsageError("say which: give ids, a filter like --target or --since, --unrouted or --all-dead")
    if unrouted and (ids or wanted != wanted.of_events()):
        raise click.UsageError("--unrouted looks for events: it takes no ids, and nothing that narrows deliveries")


def _check_reroute(ids: Sequence[str], wanted: Filter, states: Sequence[str], *, unrouted: bool) -> None:
    if unrouted:
        raise click.UsageError("--reroute takes events that have no delivery too: leave --unrouted out")
    if ids or states:
        raise click.UsageError("--reroute looks for events: it takes neither ids nor --state")
    if replace(wanted, target=None, route=None) == Filter():
        raise click.UsageError("say how far back: give --since, or another filter of events")


def _print(done: ReplayDocument, *, pending: bool) -> None:
    """Print what was replayed, by target and in all; `pending`: of those that are some may be left alone."""
    targets = table("TARGET", "DELIVERIES", right=("DELIVERIES",))
    for target, number in done.targets.items():
        targets.add_row(cell(target), cell(number))
    if done.targets:
        put(targets)
    if unrouted := done.unrouted:
        click.echo(f"no route takes {unrouted} event{'s' * (unrouted != 1)} today either")
    if done.left:
        click.echo(f"left alone {done.left} that are in flight, due already, or behind an earlier one")
    if done.orphaned:
        click.echo(f"orphaned until the routes file has the target again: {', '.join(map(printable, done.orphaned))}")
    if done.probed:
        click.echo(f"circuit open, probed now: {', '.join(map(printable, done.probed))}")
    if done.corrupt:
        click.echo(f"left out {done.corrupt} that are corrupt, see relay verify")
    most = "at most " if pending else ""
    click.echo(f"would replay {most}{done.total}" if done.dry_run else f"replayed {done.done}")
