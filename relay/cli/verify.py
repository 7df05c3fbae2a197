"""`relay verify`: the store, in use or not -> what in it is corrupt or missing, and what to do."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import click
from rich.text import Text

from relay.cli.options import asynchronous, elsewhere, json_option, relay_option
from relay.cli.output import cell, counted, counted_rows, print_document, put
from relay.cli.store import notice_losses, operator, store_option, visiting
from relay.cli.times import local
from relay.operations import clock
from relay.operations import verify as operation
from relay.operations.documents.verified import LossDocument, VerifiedDocument
from relay.operations.verify import VERIFY, Verify
from relay.store.open import StoreUrl

MOST_SHOWN = 20


@click.command("verify")
@click.option("--accept-loss", is_flag=True, help="Accept what is missing: report it no more.")
@store_option
@relay_option
@json_option
@asynchronous
async def verify(accept_loss: bool, store_url: StoreUrl, relay_url: str | None, as_json: bool) -> None:
    """Look for what is corrupt or missing in the store.

    Three things: what SQLite finds wrong with its file; bodies and events that do not match their checksums; and
    webhooks that were answered 200 and are not there any more, after a WAL was lost or a backup was restored. Works
    beside a running daemon, and changes nothing unless --accept-loss is given. Ends with 1 if anything is wrong. With
    --relay, a process beside that relay looks at its store.

    \b
    relay verify
    relay verify --accept-loss
    relay verify --relay https://relay.example
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    if there := elsewhere(relay_url, "store_url"):
        from relay.cli.remote import remote_desk

        async with remote_desk(there) as desk:
            found, name = await desk.ask(VERIFY, Verify(accept_loss=accept_loss)), f"the store of the relay at {there}"
    else:
        found, name = await asyncio.to_thread(operation.verify, store_url), str(store_url)
        if accept_loss and found.losses:
            accepted = await _accept(store_url)
            found = replace(await asyncio.to_thread(operation.verify, store_url), accepted=accepted)
    if as_json:
        print_document(found)
    else:
        _print(found, name)
    if not found.sound:
        raise click.exceptions.Exit(1)


async def _accept(store_url: StoreUrl) -> int:
    """How many webhooks are reported no more."""
    await notice_losses(store_url)
    async with visiting(store_url) as store:
        return await operation.accept_loss(store, by=operator(), now=clock.now(store))


# ---- for people


def _print(report: VerifiedDocument, name: str) -> None:
    if report.accepted:
        put(f"accepted that at most {counted(report.accepted, 'webhook is', 'webhooks are')} missing; see relay audit")
    put(*_faults(report))
    unmarked = report.webhooks.without_checksum + report.events.without_checksum
    checked = f"{counted_rows(report.webhooks.checked, 'webhooks')} and {counted_rows(report.events.checked, 'events')}"
    put(f"looked at {checked}{f', {unmarked} of them without a checksum' if unmarked else ''}")
    put(*(cell(each, "yellow") for each in report.notes))
    put(f"{name} is sound" if report.sound else cell(f"{name} is not sound", "red"))


def _faults(report: VerifiedDocument) -> Iterator[Text]:
    """Each with what to do."""
    yield from (cell(f"corrupt file: {fault}", "red") for fault in report.structure)
    if report.structure:
        yield cell("  Stop the daemon, copy the database, its -wal and -shm away, and restore the last sound backup.")
    events, webhooks = report.events.corrupt, report.webhooks.corrupt
    yield from _corrupt("event", events)
    if events:
        yield cell("  Not sent: their deliveries are dead with the reason corrupt. Look up in amoCRM what they were.")
    yield from _corrupt("webhook", webhooks)
    if webhooks:
        yield cell("  Only reparse and targets with format: form need the body; they do not use it.")
    if events or webhooks:
        yield cell("  Disks and memory do this: check them. Corrupt rows go when retention purges them.")
    yield from map(_missing, report.losses)
    if report.losses:
        yield cell("  Look up in amoCRM what happened then; then relay verify --accept-loss.")


def _corrupt(what: str, ids: tuple[str, ...]) -> Iterator[Text]:
    yield from (cell(f"corrupt {what} {id_}", "red") for id_ in ids[:MOST_SHOWN])
    if len(ids) > MOST_SHOWN:
        yield cell(f"corrupt {what}s besides: {len(ids) - MOST_SHOWN}, see --json", "red")


def _missing(loss: LossDocument) -> Text:
    after = "" if loss.after is None else f", that came after {local(loss.after)}"
    spool = f", from the spool of relay {loss.relay}" if loss.relay else ""
    lost = counted(loss.at_most, "webhook that was", "webhooks that were")
    return cell(f"missing: at most {lost} answered 200{after}{spool}", "red")
