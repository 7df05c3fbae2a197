"""Flags -> a store's Filter; an id or its start -> what has it."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from dataclasses import fields
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from relay.cli import NotDone
from relay.cli.options import load_to_look
from relay.cli.output import note, rfc3339
from relay.cli.times import Instant, local
from relay.errors import RoutesInvalid
from relay.model import Json, State
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import Archive, EventRecord, Filter, Page, WebhookRecord

T = TypeVar("T")

SHOWN_IDS = 4

_OPTIONS = (
    click.option("--target", metavar="NAME", help="Owed to this target."),
    click.option("--route", metavar="NAME", help="Chosen by this route."),
    click.option("--entity", metavar="WORD", help="About leads, contacts, companies, task, …"),
    click.option("--action", metavar="WORD", help="status, add, update, note, …"),
    click.option("--id", "entity_id", metavar="ID", help="About the lead, contact, … with this id."),
    click.option("--pipeline", "pipeline_id", metavar="ID", help="In this pipeline."),
    click.option(
        "--since",
        type=Instant(),
        metavar="TIME",
        help="Arrived then or later: 2026-11-22T10:00, 10:00, yesterday, or an age like 2h. Local, unless with a zone.",
    ),
    click.option("--until", type=Instant(), metavar="TIME", help="Arrived before then."),
)


def filtered(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the flags that narrow, as one argument `wanted`."""

    @wraps(command)
    def run(
        *,
        target: str | None,
        route: str | None,
        entity: str | None,
        action: str | None,
        entity_id: str | None,
        pipeline_id: str | None,
        since: datetime | None,
        until: datetime | None,
        **others: Any,
    ) -> T:
        if since is not None and until is not None and until <= since:
            raise click.UsageError(f"nothing arrives between --since {local(since)} and --until {local(until)}")
        wanted = Filter(
            target=target,
            route=route,
            entity=entity,
            action=action,
            entity_id=entity_id,
            pipeline_id=pipeline_id,
            since=since,
            until=until,
        )
        return command(wanted=wanted, **others)

    decorated: Callable[..., T] = run
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def conditions(wanted: Filter) -> dict[str, Json]:
    """What a filter asks, for the audit: only what is given, times as RFC 3339."""
    given = {each.name: getattr(wanted, each.name) for each in fields(wanted)}
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in given.items() if value}


def state_option(*states: State, text: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """`--state`, which may be given several times."""
    choice = click.Choice([each.value for each in states])
    return click.option("--state", "states", type=choice, metavar="STATE", multiple=True, help=text)


def is_start(text: str) -> bool:
    """True for what an id could begin with."""
    return bool(text) and set(text) <= set("0123456789abcdef-")


async def named(store: Archive, id_: str, *, nor: str = "") -> tuple[WebhookRecord, tuple[EventRecord, ...]]:
    """The webhook that `id_`, or its start, names, and its events that are meant: one, or all of the webhook's.

    Of a webhook that went to targets unparsed that is what its raw deliveries hang on.

    NotDone, beginning with `nor`, if there is none; or with some of them, if there are several.
    """
    record = await store.show(id_) if is_start(id_) else None
    if record is None:
        raise NotDone(await _why_none(store, id_, nor))
    made = (*record.events, record.raw) if record.raw else record.events
    if record.webhook.id.startswith(id_):
        return record, made
    return record, tuple(event for event in made if event.id.startswith(id_))


async def _why_none(store: Archive, id_: str, nor: str) -> str:
    found = await store.starting(id_, limit=SHOWN_IDS + 1) if is_start(id_) else []
    if not found:
        return f"{nor}no id in the store starts with {id_[:80]!r}"
    more = ", …" if len(found) > SHOWN_IDS else ""
    return f"several webhooks have an id that starts with {id_!r}: {', '.join(found[:SHOWN_IDS])}{more}"


async def pages(ask: Callable[[str | None], Awaitable[Page[T]]]) -> AsyncIterator[Page[T]]:
    """A whole listing, page by page; `ask` is called with the cursor to go on after."""
    page = await ask(None)
    while page:
        yield page
        if page.next is None:
            return
        page = await ask(page.next)


# ---- names that nothing has


async def doubt(store: Archive, wanted: Filter, config_path: Path) -> None:
    """Note each name of a filter that took nothing which neither the routes file nor the store knows."""
    async for doubted in doubts(store, wanted, config_path):
        note(doubted)


async def doubts(store: Archive, wanted: Filter, config_path: Path) -> AsyncIterator[str]:
    """What to say of each such name."""
    asked = (
        ("target", wanted.target, Filter(target=wanted.target)),
        ("route", wanted.route, Filter(route=wanted.route)),
        ("entity", wanted.entity, Filter(entity=wanted.entity)),
        ("action", wanted.action, Filter(action=wanted.action)),
    )
    for kind, name, alone in asked:
        known = await _known(store, kind, config_path) if name else ()
        if name and name not in known and not await store.find(alone, limit=1):
            yield f"no {kind} {quoted(name)} {suggestion(name, sorted(known))}"


async def _known(store: Archive, kind: str, config_path: Path) -> Collection[str]:
    from relay.amocrm.vocabulary import ACTIONS, ENTITIES

    if kind in ("entity", "action"):
        return ENTITIES if kind == "entity" else ACTIONS
    try:
        config = load_to_look(config_path)
    except RoutesInvalid:
        config = None
    if kind == "route":
        return {route.name for route in config.routes} if config else ()
    return {*(config.targets if config else ()), *(await store.status()).targets}
