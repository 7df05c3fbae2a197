"""`relay overview`: is all well, what is to be done, and what came, was routed and was delivered lately."""

from collections.abc import Iterator, Sequence

import click
from rich.table import Table
from rich.text import Text

from relay.cli.desk import Place, place_options
from relay.cli.options import asynchronous, json_option
from relay.cli.output import cell, print_document, put, table
from relay.cli.target_table import deaths
from relay.operations.documents.activity import ActivityDocument, SourceDocument
from relay.operations.documents.overview import FindingDocument, OverviewDocument
from relay.operations.durations import ago
from relay.operations.finding_texts import Kind
from relay.operations.overview import OVERVIEW
from relay.operations.status import Everything

STYLES = {"ok": "green", "warning": "yellow", "critical": "red"}


@click.command("overview")
@place_options
@json_option
@asynchronous
async def overview(place: Place, as_json: bool) -> None:
    """Say whether all is well, and what to do if not.

    Then what each source received, what each target got in the last hour, and what each route took in a day, as
    counted by the daemon while it runs.

    \b
    relay overview
    relay overview --json
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    async with place.desk(noting=True) as desk:
        seen = await desk.ask(OVERVIEW, Everything())
    if as_json:
        print_document(seen)
        return
    put(cell(f"{seen.level}: {seen.line}" if not seen.problems else seen.level, STYLES[seen.level]))
    if seen.problems:
        put(*(line for each in seen.problems for line in _finding(each, seen)))
    if seen.activity and seen.activity.unrouted_24h and seen.status.webhooks.unrouted:
        put(cell(f"{seen.activity.unrouted_24h} events in 24 h that no route took: relay list --unrouted --since 24h"))
    if seen.sources:
        put("", _sources(seen))
    if seen.activity:
        put("", *_activity(seen.activity))


def _finding(finding: FindingDocument, seen: OverviewDocument) -> Iterator[Text]:
    yield cell(finding.text, STYLES[finding.level])
    if finding.kind == Kind.DEAD:
        of = (each for each in seen.status.targets if each.target == finding.target)
        yield from (Text("  ").append_text(line) for each in of for line in deaths(each, seen.at))
    yield cell(f"  {finding.advice}")


def _sources(seen: OverviewDocument) -> Table:
    shown = table(
        "SOURCE", "LAST WEBHOOK", "IN 24 H", "REFUSED", "FAILED IN 2 H", "IN AMOCRM", right=("IN 24 H", "REFUSED")
    )
    for each in seen.sources:
        shown.add_row(
            cell(each.source),
            cell(ago(seen.at - each.last_at) if each.last_at else "-"),
            cell("-" if each.webhooks_24h is None else each.webhooks_24h),
            cell(each.refused_24h, "yellow" if each.refused_24h else ""),
            cell(f"{each.failed_2h} of {each.most_failed}", "red" if each.failed_2h * 2 >= each.most_failed else ""),
            cell(_subscription(each)),
        )
    return shown


def _subscription(source: SourceDocument) -> str:
    seen = source.subscription
    if seen is None:
        return "not watched"
    if not seen.guarded:
        return "disconnected"
    return (seen.state or "not looked at yet").replace("_", " ")


def _activity(seen: ActivityDocument) -> Iterator[Table | str]:
    targets = table("TARGET", "LAST HOUR", "DELIVERED", "FAILED", right=("DELIVERED", "FAILED"))
    for name, hour in seen.targets.items():
        failed = sum(hour.failed)
        every = [one + other for one, other in zip(hour.delivered, hour.failed, strict=True)]
        targets.add_row(
            cell(name), cell(bars(every)), cell(sum(hour.delivered)), cell(failed, "yellow" if failed else "")
        )
    yield targets
    routes = table("ROUTE", "IN 24 H", "LAST", right=("IN 24 H",))
    for each in seen.routes:
        last = ago(seen.at - each.last_at) if each.last_at else f"none since {ago(seen.at - each.since)}"
        routes.add_row(cell(each.route), cell(each.hits_24h), cell(last, "yellow" if each.silent_7d else ""))
    yield ""
    yield routes


def bars(minutes: Sequence[int]) -> str:
    """`▁▁▂▂▁▁▁▇▇▇▇▇`: a character for five minutes each, the highest is the most of them; a blank for none."""
    sums = [sum(minutes[at : at + 5]) for at in range(0, len(minutes), 5)]
    most = max(sums, default=0)
    return "".join("▁▂▃▄▅▆▇█"[-(-each * 8 // most) - 1] if each else "·" for each in sums) if most else "·" * len(sums)
