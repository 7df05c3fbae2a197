"""Events of one body -> whether an equal body would be the same news, sent again.

An account-level item says when it was changed (`last_modified`, `updated_at`), or made if it was added: to the second,
so equal bodies tell of one change, unless another of that second came in between. The digital pipeline's bodies have
no time, nor have deletions: a lead that moves there, back and there again makes equal bodies of two moves.
"""

from collections.abc import Sequence

from relay.model import Event

_CHANGED = ("last_modified", "updated_at")
_MADE = ("created_at", "date_create")


def dated(events: Sequence[Event]) -> bool:
    """True if each event, and there is one, carries the time of what it tells."""
    return bool(events) and all(map(second, events))


def second(event: Event) -> str:
    """The time of what the event tells, as it came: unix seconds or a date and time; empty if it carries none."""
    names = (*_CHANGED, *_MADE) if event.action == "add" else _CHANGED
    found = (event.data.get(name) for name in names)
    return next((str(each) for each in found if each not in (None, "", "0", 0)), "")
