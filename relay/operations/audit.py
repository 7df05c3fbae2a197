"""An act of an operator -> its line in the audit, which the store writes in the same commit."""

from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any

from uuid_utils import uuid7

from relay.model import Json
from relay.rfc3339 import rfc3339
from relay.store.records import AuditEntry, Filter

LASTING = ("target", "route", "entity", "action", "entity_id", "pipeline_id", "source", "account")
"""Conditions that a delivery meets whatever is done to it."""


def entry(command: str, details: Mapping[str, Json], *, by: str, now: datetime, id_: str | None = None) -> AuditEntry:
    """The line of one act, new or with a given id; the store fills in how many things it concerned."""
    return AuditEntry(id=id_ or str(uuid7()), at=now, who=by, command=command, details=details)


def conditions(wanted: Filter, **more: Json) -> dict[str, Json]:
    """The conditions of a filter, and `more`, as details of an act: only those that are set, times as RFC 3339."""
    given = {each.name: getattr(wanted, each.name) for each in fields(wanted)} | more
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in given.items() if value}


def filter_of(details: Mapping[str, Json]) -> Filter:
    """Read the conditions of an act again, but for those that its deliveries may meet no longer."""
    texts: dict[str, Any] = {name: str(details[name]) for name in LASTING if details.get(name)}
    times: dict[str, Any] = {
        name: datetime.fromisoformat(str(details[name])) for name in ("since", "until") if details.get(name)
    }
    ids = details.get("event_ids")
    return Filter(event_ids=tuple(map(str, ids)) if isinstance(ids, list | tuple) else (), **texts, **times)
