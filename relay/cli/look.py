"""`relay status`, `relay list`: the store's records -> tables for people, JSON for programs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from relay.cli import deliveries, documents
from relay.cli.filters import doubt, filtered, state_option
from relay.cli.options import (
    asynchronous,
    config_option,
    json_option,
    load_to_look,
    store_option,
    targets_now,
    visiting,
    was_given,
)
from relay.cli.outlook import Scene
from relay.cli.screen import cell, is_wide, length, note, print_json, put, rfc3339, short_time, starts, table
from relay.errors import RoutesInvalid
from relay.model import State, Webhook
from relay.store.contract import Archive, DeliveryRecord, Filter, Standing, Status

MOST_TARGETS = 10_000


# ---- status


@click.command("status")
@config_option
@store_option
@json_option
@asynchronous
async def status(config_path: Path, store_path: Path, as_json: bool) -> None:
    """Show how targets and webhooks stand.

    Reads the store, so it works whether the daemon runs or not.

    \b
    relay status
    relay status --store sqlite:////var/lib/relay/relay.db
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    routed = _targets_of(config_path)
    async with visiting(store_path) as store:
        seen = await store.status()
        known = await store.count(Filter()) if routed is None else routed
    standing = {name: seen.targets.get(name, Standing()) for name in sorted({*seen.targets, *known})}
    if as_json:
        targets = [
            documents.standing(name, each, routed=None if routed is None else name in routed)
            for name, each in standing.items()
        ]
        print_json({"targets": targets, "webhooks": documents.intake(seen), "daemon": seen.owner})
    else:
        _print_status(standing, routed, seen, datetime.now(UTC))


def _targets_of(config_path: Path) -> Mapping[str, object] | None:
    """By name; None if the file cannot be used: how things stand must be seen all the more then."""
    if not was_given("config_path") and not config_path.exists():
        note(f"no {config_path} here")
        return None
    try:
        return load_to_look(config_path).targets
    except RoutesInvalid as invalid:
        note(f"relay: {config_path} cannot be used, `relay check` says why: {len(invalid.problems)} problem(s)")
        return None


def _print_status(
    standing: Mapping[str, Standing], routed: Mapping[str, object] | None, seen: Status, now: datetime
) -> None:
    targets = table(
        "TARGET", "PENDING", "DEAD", "OLDEST", "STATE", "IN ROUTES", right=("PENDING", "DEAD"), folds=("TARGET",)
    )
    for name, each in standing.items():
        targets.add_row(
            cell(name),
            cell(each.pending, "yellow" if each.pending else ""),
            cell(each.dead, "red" if each.dead else ""),
            "-" if each.oldest_at is None else length(now - each.oldest_at),
            _state(each, running=seen.owner is not None),
            "?" if routed is None else "yes" if name in routed else cell("no longer", "red"),
        )
    put(targets if standing else "no targets")
    if held := [line for name, each in standing.items() for line in _held(name, each, now)]:
        put("", *held)
    last = "never" if seen.last_at is None else f"{rfc3339(seen.last_at)}, {length(now - seen.last_at)} ago"
    put(
        f"\nlast webhook  {last}",
        f"unparsed      {seen.unparsed}{', see relay list --unparsed' if seen.unparsed else ''}",
        f"daemon        {'not running' if seen.owner is None else f'running, pid {seen.owner}'}",
    )


def _state(standing: Standing, *, running: bool) -> Text:
    """`paused`, or what the daemon says; if it does not run, what it said last."""
    if standing.pause:
        return cell("paused", "yellow")
    if standing.condition is None:
        return cell("-")
    health = standing.condition.health
    as_of = "" if running else f", as of {short_time(standing.condition.as_of)}"
    return cell(f"{health}{as_of}", "" if health == "ok" else "red")


def _held(name: str, standing: Standing, now: datetime) -> Iterator[Text]:
    """Why its deliveries wait: who paused it, and what it answers while the daemon holds it."""
    if pause := standing.pause:
        reason = f": {pause.reason}" if pause.reason else ""
        yield cell(f"{name} was paused {length(now - pause.at)} ago by {pause.who}{reason}")
    condition = standing.condition
    if condition and condition.health != "ok":
        yield cell(f"{name} fails since {short_time(condition.since)}: {condition.error}")


# ---- list


@click.command("list")
@state_option(*State, text="pending, delivered or dead; may be repeated.")
@filtered
@click.option("--unparsed", is_flag=True, help="Unparsed webhooks instead, oldest first.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, metavar="N", help="At most so many."
)
@click.option("--before", type=int, metavar="SEQ", help="Page on: what came before this one.")
@click.option("--after", metavar="ID", help="Page on in --unparsed: what came after this one.")
@config_option
@store_option
@json_option
@asynchronous
async def list_(
    states: Sequence[str],
    wanted: Filter,
    unparsed: bool,
    limit: int,
    before: int | None,
    after: str | None,
    config_path: Path,
    store_path: Path,
    as_json: bool,
) -> None:
    """List deliveries, or unparsed webhooks, newest first.

    \b
    relay list --state dead
    relay list --state pending --target warehouse --since 2h
    relay list --entity leads --id 4831596
    relay list --unparsed
    """  # noqa: D301  # \b is click's sign for "keep these lines"
    wanted = replace(wanted, states=tuple(map(State, states)))
    if unparsed and (wanted != Filter() or before is not None):
        raise click.UsageError("--unparsed lists webhooks: of the other options it takes --limit and --after alone")
    if after is not None and not unparsed:
        raise click.UsageError("--after is for --unparsed: page through deliveries with --before")
    async with visiting(store_path) as store:
        if unparsed:
            _print_unparsed(await store.unparsed(limit=limit, after=after or ""), limit, as_json)
            return
        page = await _page(store, wanted, limit, before)
        if as_json:
            print_json([documents.delivery(each) for each in page])
        elif page:
            deliveries.show(page, await _scene(store, page, config_path), hide_state=len(set(states)) == 1)
        else:
            note("no deliveries")
            await doubt(store, wanted, config_path)
    if len(page) >= limit and not as_json:
        note(f"more: --before {page[-1].seq}")


async def _scene(store: Archive, page: Sequence[DeliveryRecord], config_path: Path) -> Scene:
    pending = any(each.state is State.PENDING for each in page)
    return Scene(
        now=datetime.now(UTC),
        status=await store.status() if pending else Status(),
        routed=targets_now(config_path) if pending else None,
    )


async def _page(store: Archive, wanted: Filter, limit: int, before: int | None) -> list[DeliveryRecord]:
    """`limit` of them, and the rest of the last event's: `--before` pages by events, so it would skip them."""
    page = await store.find(wanted, limit=limit, before=before)
    if len(page) < limit:
        return page
    last = page[-1]
    rest = await store.find(replace(wanted, event_ids=(last.event_id,)), limit=MOST_TARGETS)
    return page + [each for each in rest if each.target > last.target]


def _print_unparsed(page: Sequence[Webhook], limit: int, as_json: bool) -> None:
    if as_json:
        print_json([documents.webhook(each) for each in page])
        return
    shown = table("ID", "ARRIVED (UTC)", "SOURCE", "BYTES", "UNPARSED", right=("BYTES",), folds=("UNPARSED",))
    ids = starts([each.id for each in page])
    for each in page:
        shown.add_row(
            cell(each.id if is_wide() else ids[each.id]),
            rfc3339(each.received_at) if is_wide() else short_time(each.received_at),
            cell(each.source),
            cell(len(each.body)),
            cell(each.unparsed),
        )
    if page:
        put(shown)
    else:
        note("nothing is unparsed")
    if len(page) == limit:
        note(f"more: --after {page[-1].id}")
