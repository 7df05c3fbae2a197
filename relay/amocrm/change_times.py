"""Events of a body -> whether an equal body repeats it (a retransmission), or may report another change.

An item of an account-level webhook carries the time of its change (`last_modified`, `updated_at`), or of its creation
if it was added, in seconds. Equal bodies then report the same change, unless another change of the same second came in
between. Bodies of the digital pipeline, and deletions, carry no time: a lead that enters a stage, leaves it and enters
it again makes two equal bodies of two changes.
"""

from collections.abc import Sequence

from relay.model import Event

_CHANGED = ("last_modified", "updated_at")
_ADDED = (*_CHANGED, "created_at", "date_create")
_NO_TIMES = ("", "0", 0)


def all_dated(events: Sequence[Event]) -> bool:
    """True if there are events and each carries the time of its change."""
    return bool(events) and all(map(changed_at, events))


def changed_at(event: Event) -> str:
    """The time of the change as received, Unix seconds or a date and time; empty if the event carries none."""
    for name in _ADDED if event.action == "add" else _CHANGED:
        found = event.data.get(name)
        if found is not None and found not in _NO_TIMES:
            return str(found)
    return ""
