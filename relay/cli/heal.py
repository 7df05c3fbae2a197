"""`relay heal`: what amoCRM's own history told beside the webhooks, and what is done about it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click
import orjson

from relay.cli import NotDone
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, counted, labelled, note, print_json, put, table
from relay.cli.routes_file import config_option, load_with_stand_ins
from relay.cli.store import operator, store_option, visiting
from relay.cli.times import Instant, Times, local
from relay.model import Json
from relay.operations import clock
from relay.operations import heal as operation
from relay.store.open import StoreUrl

_LISTS = {"unsorted": "incoming leads", "tasks": "tasks"}

PATIENCE = 150.0  # seconds: the relay looks for requests once a minute


@click.group("heal")
def heal() -> None:
    """Look for changes of which no webhook came, and let them be healed.

    \b
    relay heal status
    relay heal run crm --since 1h --dry-run
    relay heal approve crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"


@heal.command("status")
@click.argument("sources", nargs=-1, metavar="[SOURCE]...")
@json_option
@config_option
@store_option
@asynchronous
async def status(sources: Sequence[str], as_json: bool, config_path: Path, store_url: StoreUrl) -> None:
    """Show what was found of each source that heals.

    What of the last seven days a webhook told of, what was healed, would be, waits for an approval, or cannot be
    healed, and why; and which events of its routes are not healed at all. The triggers of the digital pipeline that
    have posted are shown as heal.dp of the routes file has them: the API does not list them.

    \b
    relay heal status
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path)
    async with visiting(store_url) as store:
        reports = await operation.report(store, config, sources)
    if as_json:
        print_json({"sources": [operation.view(each) for each in reports]})
    elif not reports:
        note("no source heals: write `heal: report` in a source that has an account")
    for each in () if as_json else reports:
        _print(each)


def _print(report: operation.SourceReport) -> None:
    put(cell(f"{report.source}  {report.mode}", "bold"))
    upto = min((at for lane, at in report.marks.items() if lane not in report.behind), default=None)
    scanned = f"up to {local(upto, seconds=True)}" if upto else "not yet"
    blocked = f"{', and no further' if upto else ''}: waits for {report.blocked_by}" if report.blocked_by else ""
    put(labelled("scanned", f"{scanned}{blocked}"), indent=2)
    if report.held_since:
        since = local(report.held_since, seconds=True)
        put(labelled("held", f"nothing after {since} is decided: a relay's spool may have its webhooks"), indent=2)
    for name, at in report.behind.items():
        read = f"read up to {local(at, seconds=True)}" if at else "never read"
        put(labelled("behind", f"the list of {_LISTS[name]}: {read}, as if the account refuses it"), indent=2)
    if report.waiting:
        until = f", the first until {local(report.waiting_until)}" if report.waiting_until else ""
        put(
            labelled("waiting", f"{counted(report.waiting, 'event')}{until}: relay heal approve {report.source}"),
            indent=2,
        )
    if report.counts:
        times = Times(each.newest_at for each in report.counts)
        shown = table("EVENT", "STATE", "EXACTNESS", "NUMBER", times.heading("NEWEST"), "REASON", right=("NUMBER",))
        for each in report.counts:
            cells = (each.action, each.state, each.exactness or "-", each.number)
            shown.add_row(*map(cell, cells), times.cell(each.newest_at), cell(each.reason))
        put(shown, indent=2)
    if report.not_healed:
        shown = table("NOT HEALED", "REASON")
        for reason, types in report.not_healed.items():
            shown.add_row(cell(", ".join(types)), cell(reason))
        put(shown, indent=2)
    if report.triggers:
        put(cell("triggers that have posted, as heal.dp:"), indent=2)
        for trigger in report.triggers:
            put(cell(f"- {orjson.dumps(operation.trigger(trigger)).decode()}"), indent=4)


@heal.command("run")
@click.argument("source")
@click.option(
    "--since", type=Instant(), required=True, metavar="TIME", help="Look at changes from then on: 2h, 2026-11-22T10:00."
)
@click.option("--dry-run", is_flag=True, help="Only say what would be healed.")
@json_option
@config_option
@store_option
@asynchronous
async def run(
    source: str, since: datetime, dry_run: bool, as_json: bool, config_path: Path, store_url: StoreUrl
) -> None:
    """Have the running relay look once more at what happened since.

    Also at what was lost while somebody had switched the webhook off. With heal: report nothing is sent. The relay
    does it within a minute or two; this command waits for it.

    \b
    relay heal run crm --since 2h --dry-run
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path)
    async with visiting(store_url) as store:
        asked = await operation.request(
            store, config, source, since, dry_run=dry_run, by=operator(), now=clock.now(store)
        )
        answered = await operation.answer(store, asked, within=PATIENCE)
    if answered is None:
        raise NotDone("not done yet: the relay does it once the account's API answers; see relay status")
    if as_json:
        print_json(answered)
    elif "error" in answered:
        raise NotDone(f"not done: {answered['error']}")
    else:
        _print_answer(answered)


def _print_answer(answer: Json) -> None:
    shown = table("EVENT", "STATE", "EXACTNESS", "NUMBER", right=("NUMBER",))
    for each in answer.get("found", ()):
        shown.add_row(*(cell(each.get(name) or "-") for name in ("action", "state", "exactness", "number")))
    if answer.get("found"):
        put(shown)
    else:
        note("nothing was found")
    for stopped in answer.get("stopped", ()):
        note(f"{stopped} stopped by itself: too much of it would be healed, see docs/amocrm.md")


@heal.command("approve")
@click.argument("source")
@config_option
@store_option
@asynchronous
async def approve(source: str, config_path: Path, store_url: StoreUrl) -> None:
    """Let events be healed that wait for it.

    More than heal.most of a source within a day wait, for so much was never lost before: look at relay heal status
    first. They are sent with the next scan.

    \b
    relay heal approve crm
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    config = load_with_stand_ins(config_path)
    async with visiting(store_url) as store:
        number = await operation.approve(store, config, source, by=operator(), now=clock.now(store))
    click.echo(f"{source}: {counted(number, 'event')} approved")
