"""`relay verify`: the store, in use or not -> what in it is damaged or missing, and what to do."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.text import Text

from relay.cli.options import act, json_option, store_option, visiting
from relay.cli.output import cell, print_json, put, rfc3339
from relay.cli.times import local
from relay.errors import StoreLocked
from relay.model import Json

if TYPE_CHECKING:
    from relay.store.contract import AckGap
    from relay.store.sqlite.integrity import Report

MOST_SHOWN = 20


@click.command("verify")
@click.option("--accept-loss", is_flag=True, help="What is missing is known: say no more of it.")
@store_option
@json_option
def verify(accept_loss: bool, store_path: Path, as_json: bool) -> None:
    """Look for what is damaged or missing in the store.

    Three things: what SQLite finds wrong with its file; bodies and events that are not what was kept, by their
    checksums; and webhooks that were answered 200 and are not there any more, after a WAL was lost or a backup was
    restored. Works beside a running daemon and changes nothing. Ends with 1 if anything is wrong.

    \b
    relay verify
    relay verify --accept-loss
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    from relay.store.sqlite.integrity import verify as look

    report = look(store_path)
    accepted = 0
    if accept_loss and report.losses:
        accepted = asyncio.run(_accept(store_path))
        report = look(store_path)
    if as_json:
        print_json(_document(report, accepted))
    else:
        _print(report, accepted, store_path)
    if not report.sound:
        raise click.exceptions.Exit(1)


async def _accept(store_path: Path) -> int:
    """How many webhooks are told of no more."""
    from relay.store.sqlite.store import SqliteStore

    with suppress(StoreLocked):  # then its owner noticed what is missing when it began
        await SqliteStore.open(
            store_path, now=datetime.now(UTC), emit=lambda _signal: None, failed=lambda: None
        ).close()
    async with visiting(store_path) as store:
        return await store.accept_losses(act("verify --accept-loss", {}))


# ---- for people


def _print(report: "Report", accepted: int, store_path: Path) -> None:
    if accepted:
        put(f"accepted that at most {accepted} webhooks are missing; see relay audit")
    put(*_faults(report))
    unmarked = sum(each.unmarked for each in report.contents.values())
    checked = " and ".join(f"{each.rows} {name}" for name, each in report.contents.items())
    put(f"looked at {checked}{f', {unmarked} of them without a checksum' if unmarked else ''}")
    put(f"{store_path} is sound" if report.sound else cell(f"{store_path} is not sound", "red"))


def _faults(report: "Report") -> Iterator[Text]:
    """Each with what to do."""
    yield from (cell(f"damaged file: {fault}", "red") for fault in report.structure)
    if report.structure:
        yield cell("  Stop the daemon, copy the database, its -wal and -shm away, and restore the last sound backup.")
    events, webhooks = (report.contents[name].corrupt for name in ("events", "webhooks"))
    yield from _damaged("event", events)
    if events:
        yield cell("  Sent to nobody: their deliveries die with the reason corrupt. See in amoCRM what they told.")
    yield from _damaged("webhook", webhooks)
    if webhooks:
        yield cell("  Only reparse and targets with format: form need the body; they will not use it.")
    if events or webhooks:
        yield cell("  Disks and memory do this: check them. What is damaged goes when retention purges it.")
    yield from map(_missing, report.losses)
    if report.losses:
        yield cell("  See in amoCRM what happened then, and act on it; then relay verify --accept-loss.")


def _damaged(what: str, ids: tuple[str, ...]) -> Iterator[Text]:
    yield from (cell(f"damaged {what} {id_}", "red") for id_ in ids[:MOST_SHOWN])
    if len(ids) > MOST_SHOWN:
        yield cell(f"damaged {what}s besides: {len(ids) - MOST_SHOWN}, see --json", "red")


def _missing(loss: "AckGap") -> Text:
    after = "" if loss.after is None else f", that came after {local(loss.after)}"
    return cell(f"missing: at most {loss.count} webhooks that were answered 200{after}", "red")


# ---- for programs


def _document(report: "Report", accepted: int) -> dict[str, Json]:
    return {
        "sound": report.sound,
        "structure": list(report.structure),
        **{
            name: {"checked": each.rows, "without_checksum": each.unmarked, "corrupt": list(each.corrupt)}
            for name, each in report.contents.items()
        },
        "losses": [
            {
                "at_most": loss.count,
                "after": loss.after and rfc3339(loss.after),
                "noticed_at": rfc3339(loss.noticed_at),
            }
            for loss in report.losses
        ],
        "accepted": accepted,
    }
