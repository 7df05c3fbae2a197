"""Flags -> a store's Filter; an id or its start -> what has it."""

from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar

import click

from relay.cli import NotDone
from relay.cli.options import instant
from relay.cli.screen import rfc3339
from relay.model import Json, State
from relay.store.contract import EventRecord, Filter, Store, WebhookRecord

T = TypeVar("T")

_OPTIONS = (
    click.option("--target", metavar="NAME", help="Owed to this target."),
    click.option("--route", metavar="NAME", help="Chosen by this route."),
    click.option("--entity", metavar="WORD", help="About leads, contacts, companies, task, …"),
    click.option("--action", metavar="WORD", help="status, add, update, note, …"),
    click.option("--id", "entity_id", metavar="ID", help="About the lead, contact, … with this id."),
    click.option("--pipeline", "pipeline_id", metavar="ID", help="In this pipeline."),
    click.option(
        "--since", type=instant, metavar="TIME", help="Arrived then or later: 2026-11-22T10:00Z, or 2h for an age."
    ),
    click.option("--until", type=instant, metavar="TIME", help="Arrived before then."),
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


async def named(store: Store, id_: str) -> tuple[WebhookRecord, tuple[EventRecord, ...]]:
    """The webhook that `id_`, or its start, names, and its events that are meant: one, or all of the webhook's."""
    record = await store.show(id_) if id_.replace("-", "").isalnum() else None
    if record is None:
        raise NotDone(f"no webhook or event, or more than one, has an id that starts with {id_!r}")
    if record.webhook.id.startswith(id_):
        return record, record.events
    return record, tuple(event for event in record.events if event.id.startswith(id_))
