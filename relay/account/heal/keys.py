"""Event of a webhook -> the keys by which it is matched with the feed: `leads.status:7:142:143:752662`, and a rule.

Only equal keys of one channel can match. A rule says which times a webhook of that key can report:

    ONCE        the key occurs once, as an id that is never used again
    UNDATED     so does this, and when it happened is only known to a look at a list
    BODY        the time in the body is that of the change
    ARRIVAL     the body's time says nothing, or there is none: the change was before the arrival, and not long before
    LEVEL       an update: it reports every change of its entity up to its time
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import NamedTuple

from relay.account.heal.channels import ACCOUNT
from relay.model import Event, Json


class Rule(StrEnum):
    """Which events a webhook can report, by their times."""

    ONCE = "once"
    UNDATED = "undated"
    BODY = "body"
    ARRIVAL = "arrival"
    LEVEL = "level"


class Key(NamedTuple):
    """A key, the event type in front of it, and its rule."""

    text: str
    rule: Rule

    @property
    def webhook_type(self) -> str:
        """`leads.status`: what a webhook has to be subscribed to, to bring this."""
        return self.text.partition(":")[0]


CAME, LEFT = "unsorted.add", "unsorted.delete"
"""An incoming lead came, and is in the list of them no more: no event of the feed shows either."""

CARDS = frozenset({"leads", "contacts", "companies", "customers"})
_TIMES = ("last_modified", "updated_at")
DATED = frozenset({"leads"})
"""Entities whose webhooks carry the time of their change; of others different changes were seen to carry one time."""


def key(webhook_type: str, *parts: Json, rule: Rule) -> Key:
    """`leads.status`, 7, 142, … -> the key."""
    return Key(":".join([webhook_type, *map(str, parts)]), rule)


def keys_of(event: Event, channel: str) -> list[Key]:
    """The keys of an event; none if it cannot be matched."""
    make = _KEYS.get(event.action)
    if make is None:
        return []
    return [each for each in make(event, channel) if "None" not in each.text.split(":")]


def body_time(event: Event) -> datetime | None:
    """The time of the change in the body, if it is in Unix seconds: a date without a zone, as tasks have, is none."""
    for name in _TIMES:
        seconds = event.data.get(name)
        if isinstance(seconds, int) and seconds > 0:
            return datetime.fromtimestamp(seconds, UTC)
    return None


# ---- what a webhook and the feed must agree on


def added(entity: str, id_: Json) -> Key:
    """An entity, a note or a message came into being: its id is new."""
    return key(f"{entity}.add", id_, rule=Rule.ONCE)


def left(uid: Json) -> Key:
    """An incoming lead was accepted, declined or linked: it leaves its list for good."""
    return key(LEFT, uid, rule=Rule.UNDATED)


def noted(entity: str, note_id: Json) -> Key:
    """A note was added to an entity."""
    return key(f"{entity}.note", note_id, rule=Rule.ONCE)


def gone(entity: str, action: str, id_: Json) -> Key:
    """An entity was deleted, or restored: it may be so again."""
    dated = action == "restore" and entity in DATED
    return key(f"{entity}.{action}", id_, rule=Rule.BODY if dated else Rule.ARRIVAL)


def moved(id_: Json, old_status: Json, status: Json, pipeline: Json) -> Key:
    """A lead moved, as an account-level webhook says: without the pipeline that it left."""
    return key("leads.status", id_, old_status, status, pipeline, rule=Rule.BODY)


def became(id_: Json, old_status: Json, status: Json) -> Key:
    """A customer's status changed."""
    return key("customers.status", id_, old_status, status, rule=Rule.ARRIVAL)


def moved_by_trigger(id_: Json, old: tuple[Json, Json], new: tuple[Json, Json]) -> Key:
    """A lead moved, as a trigger says: with both pipelines, and without a time."""
    return key("leads.status", id_, *old, *new, rule=Rule.ARRIVAL)


def triggered(action: str, id_: Json) -> Key:
    """A call, a letter, a chat or a visit fired a trigger of a lead's stage."""
    return key(f"leads.{action}", id_, rule=Rule.ARRIVAL)


def owned(entity: str, id_: Json, old: Json, new: Json) -> Key:
    """The responsible user changed."""
    rule = Rule.BODY if entity in DATED else Rule.ARRIVAL
    return key(f"{entity}.responsible", id_, old, new, rule=rule)


def updated(entity: str, id_: Json) -> Key:
    """Fields of an entity changed."""
    return key(f"{entity}.update", id_, rule=Rule.LEVEL)


# ---- of a webhook's event


def _add(event: Event, _channel: str) -> Iterator[Key]:
    id_ = event.entity_id
    if id_ and (event.entity in CARDS or event.entity in ("task", "talk", "message", "outgoing_message", "unsorted")):
        yield added(event.entity, id_)


def _gone(event: Event, _channel: str) -> Iterator[Key]:
    if event.entity == "unsorted" and event.action == "delete":
        yield left(event.data.get("uid"))
    elif event.entity_id and (event.entity in CARDS or event.entity == "task"):
        yield gone(event.entity, event.action, event.entity_id)


def _status(event: Event, channel: str) -> Iterator[Key]:
    data = event.data
    if event.entity == "customers":
        yield became(data.get("id"), data.get("old_status_id"), data.get("status_id"))
    elif event.entity != "leads":
        return
    elif channel == ACCOUNT:
        yield moved(data.get("id"), data.get("old_status_id"), data.get("status_id"), data.get("pipeline_id"))
    else:
        old = data.get("old_pipeline_id"), data.get("old_status_id")
        yield moved_by_trigger(data.get("id"), old, (data.get("pipeline_id"), data.get("status_id")))


def _responsible(event: Event, _channel: str) -> Iterator[Key]:
    if event.entity in CARDS:
        yield _owner(event.entity, event.data)


def _update(event: Event, _channel: str) -> Iterator[Key]:
    """A contact's new owner comes as an update, and is one change: it does not stand for the state beside."""
    if event.entity not in CARDS and event.entity not in ("task", "talk"):
        return
    if "old_responsible_user_id" in event.data and event.entity in ("contacts", "companies"):
        yield _owner(event.entity, event.data)
    else:
        yield updated(event.entity, event.entity_id or None)


def _note(event: Event, _channel: str) -> Iterator[Key]:
    if event.entity in CARDS:
        yield noted(event.entity, event.data.get("id"))


def _trigger(event: Event, channel: str) -> Iterator[Key]:
    if channel != ACCOUNT:
        yield triggered(event.action, event.data.get("id"))


def _owner(entity: str, data: Mapping[str, Json]) -> Key:
    return owned(entity, data.get("id"), data.get("old_responsible_user_id"), data.get("responsible_user_id"))


_KEYS: Mapping[str, Callable[[Event, str], Iterator[Key]]] = {
    "add": _add,
    "delete": _gone,
    "restore": _gone,
    "status": _status,
    "responsible": _responsible,
    "update": _update,
    "note": _note,
    "call_in": _trigger,
    "mail_in": _trigger,
    "chat": _trigger,
    "site_visit": _trigger,
}
