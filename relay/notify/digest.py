"""Facts for one receiver -> what to send it, and when: grouped by subject, not too often, not in quiet hours. Pure.

A subject has one entry, however often it changes until it is sent. What could not be sent is taken back, and sent with
what came meanwhile.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from relay.model import Json
from relay.model.notify import Kind, Notify
from relay.notify.facts import Change, Fact, Topic, kind_of
from relay.rfc3339 import rfc3339

SPACING = timedelta(seconds=10)
"""Between two messages to one receiver: at most six a minute."""
WAIT = timedelta(seconds=5)
"""For what comes with the first fact."""
BLIP = timedelta(seconds=30)
WAITS: Mapping[Topic, timedelta] = {
    Topic.SPOOL: BLIP,
    Topic.DEAD: timedelta(seconds=10),
    Topic.UNPARSED: timedelta(seconds=10),
}
COUNTS_EVERY = timedelta(minutes=10)
"""Between two messages about one thing that is counted."""
OFTEN, WITHIN, CALM = 4, timedelta(minutes=10), timedelta(minutes=5)
"""What was sent `OFTEN` in the last `WITHIN` flaps: its next change is sent once it waited for `CALM`."""
BACK_OFF, MAX_BACK_OFF = timedelta(seconds=2), timedelta(minutes=5)
MAX_ASKED = timedelta(hours=1)
"""The longest pause that a receiver may ask for."""
GIVE_UP = timedelta(hours=24)

Key = tuple[Topic, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is to be said of one subject.

    `first`, `last`: its first and last change. `since`: when the condition that holds, or held, began; `changes`: how
    often it began or ended; `count`: how often it happened.
    """

    topic: Topic
    subject: str
    first: Change
    last: Change
    first_at: datetime
    at: datetime
    since: datetime
    changes: int = 1
    count: int = 0
    values: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The words of the routes file for it: both of a target that was away and is back."""
        return frozenset({kind_of(self.topic, self.first), kind_of(self.topic, self.last)})

    @property
    def passed(self) -> bool:
        """It began and has ended before anything was said."""
        return self.first is Change.RAISED and self.last is Change.CLEARED


class Digest:
    """What waits to be sent to one receiver."""

    def __init__(self, receiver: Notify, stored: Json = None) -> None:
        self.receiver = receiver
        self._entries: dict[Key, Entry] = {}
        self._sending: dict[Key, Entry] = {}
        self._sent: dict[Key, list[datetime]] = {}
        self._not_before: datetime | None = None
        self._failures = 0
        if stored:
            entries = map(_entry, stored["entries"])
            self._entries = {(each.topic, each.subject): each for each in entries}
            self._sent = {
                (Topic(topic), subject): [*map(datetime.fromisoformat, at)] for topic, subject, at in stored["sent"]
            }

    def stored(self) -> Json:
        """What another process begins with; what is being sent counts as not sent."""
        entries = _merged(self._sending, self._entries)
        sent = [[topic, subject, [*map(rfc3339, at)]] for (topic, subject), at in self._sent.items()]
        return {"entries": [_stored(each) for each in entries.values()], "sent": sent}

    @property
    def waiting(self) -> int:
        """How many subjects there is something to say of."""
        return len({*self._entries, *self._sending})

    def add(self, fact: Fact) -> None:
        """Group a fact with what waits."""
        key = (fact.topic, fact.subject)
        entry = _after(self._entries.get(key), fact)
        if _is_blip(entry) and key not in self._sending:
            self._entries.pop(key, None)
        else:
            self._entries[key] = entry

    def take(self, now: datetime, local: Callable[[datetime], datetime]) -> tuple[Entry, ...]:
        """Return what is due, as being sent until `sent`, `failed` or `refused`; nothing while something is."""
        if self._sending or (self._not_before and now < self._not_before):
            return ()
        for key in [key for key, each in self._entries.items() if not each.kinds & self.receiver.kinds]:
            del self._entries[key]
        quiet = self.receiver.quiet if self.receiver.quiet and self.receiver.quiet.holds(local(now).time()) else None
        due = {
            key: each
            for key, each in self._entries.items()
            if (quiet is None or each.kinds & quiet.exempt) and now >= self._due_at(key, each)
        }
        for key in due:
            del self._entries[key]
        self._sending = due
        return tuple(due.values())

    def sent(self, now: datetime) -> None:
        """What was taken has arrived."""
        self._failures, self._not_before = 0, now + SPACING
        for key in self._sending:
            self._sent[key] = [*self._sent.get(key, ()), now][-OFTEN:]
        self._sent = {key: at for key, at in self._sent.items() if now - at[-1] < max(WITHIN, COUNTS_EVERY)}
        self._sending = {}

    def failed(self, now: datetime, *, asked: timedelta | None = None) -> int:
        """Take back what could not be sent, to try again; return how many subjects are given up for their age."""
        self._failures += 1
        pause = min(BACK_OFF * 2 ** min(self._failures - 1, 10), MAX_BACK_OFF)
        self._not_before = now + (min(asked, MAX_ASKED) if asked else pause)
        young = {key: each for key, each in self._sending.items() if now - each.first_at < GIVE_UP}
        lost = len(self._sending) - len(young)
        self._entries, self._sending = _merged(young, self._entries), {}
        return lost

    def refused(self, now: datetime) -> int:
        """Give up what was taken; return how many subjects that is."""
        lost, self._sending = len(self._sending), {}
        self._not_before = now + SPACING
        return lost

    def _due_at(self, key: Key, entry: Entry) -> datetime:
        due = entry.first_at + (BLIP if "asked" in entry.values else WAITS.get(entry.topic, WAIT))
        sent = self._sent.get(key)
        if not sent:
            return due
        if entry.last is Change.HAPPENED:
            return max(due, sent[-1] + COUNTS_EVERY)
        if len(sent) >= OFTEN and entry.first_at - sent[0] < WITHIN:
            return entry.first_at + CALM
        return due


def _after(entry: Entry | None, fact: Fact) -> Entry:
    """The entry with one more fact; of a count the values of the first one stay, of a condition the last ones."""
    if entry is None:
        since = fact.values.get("since")
        return Entry(
            topic=fact.topic,
            subject=fact.subject,
            first=fact.change,
            last=fact.change,
            first_at=fact.at,
            at=fact.at,
            since=datetime.fromisoformat(since) if since else fact.at,
            count=fact.count,
            values=fact.values,
        )
    counted = fact.change is Change.HAPPENED
    begins = fact.change is Change.RAISED and entry.last is Change.CLEARED
    return replace(
        entry,
        last=fact.change,
        at=fact.at,
        since=fact.at if begins else entry.since,
        changes=entry.changes + (not counted),
        count=entry.count + fact.count,
        values=entry.values if counted else {**entry.values, **fact.values},
    )


def _is_blip(entry: Entry) -> bool:
    """A pause that a target asked for, or a spool that was used, and that has ended before anybody was told."""
    asked = entry.topic is Topic.SPOOL or "asked" in entry.values
    return asked and entry.passed and entry.at - entry.first_at < BLIP


def _merged(earlier: Mapping[Key, Entry], later: Mapping[Key, Entry]) -> dict[Key, Entry]:
    merged = dict(earlier)
    for key, each in later.items():
        before = earlier.get(key)
        if before is None:
            merged[key] = each
            continue
        merged[key] = replace(
            each,
            first=before.first,
            first_at=before.first_at,
            since=each.since if each.changes > 1 or each.last is Change.RAISED else before.since,
            changes=before.changes + each.changes,
            count=before.count + each.count,
            values={**each.values, **before.values} if each.count else {**before.values, **each.values},
        )
    return merged


def ordered(entries: Collection[Entry]) -> list[Entry]:
    """In the order of `Kind`, what is bad before what is good."""
    kinds = list(Kind)

    def place(entry: Entry) -> tuple[bool, int, str]:
        return (
            entry.last is Change.CLEARED or entry.topic is Topic.HEALED,
            min(map(kinds.index, entry.kinds)),
            entry.subject,
        )

    return sorted(entries, key=place)


def kinds_of(entries: Iterable[Entry]) -> list[Kind]:
    """What is in a message, in the order of `Kind`."""
    found = {kind for each in entries for kind in each.kinds}
    return [kind for kind in Kind if kind in found]


# ---- stored

_TIMES = ("first_at", "at", "since")


def _stored(entry: Entry) -> Json:
    value = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    return {**value, **{name: rfc3339(value[name]) for name in _TIMES}, "values": dict(entry.values)}


def _entry(stored: Json) -> Entry:
    times = {name: datetime.fromisoformat(stored[name]) for name in _TIMES}
    changes = {name: Change(stored[name]) for name in ("first", "last")}
    return Entry(**{**stored, **times, **changes, "topic": Topic(stored["topic"])})
