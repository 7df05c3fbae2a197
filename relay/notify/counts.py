"""What each relay counts -> what is news of all relays together, sent by the one that leads. Pure.

Each relay publishes a report beside the store: how many deliveries to each target died, how many webhooks of each
source were not readable (both only grow), when the last webhook of each source came, and what it has sent of these.
The relay that leads sends what has grown since the largest number that any report has as sent, and conditions that
differ from those sent last: a source is silent, something is wrong with an account. So nothing is sent twice when
another relay leads, or after a restart. Away from the database a relay sends its own, and its report says so later.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from relay.model import Json
from relay.notify.accounts import Standing
from relay.notify.facts import Change, Fact, Topic
from relay.rfc3339 import rfc3339

Key = tuple[Topic, str]
GRACE = timedelta(minutes=5)
"""After a start: what amoCRM sent while nothing ran comes once more."""


@dataclass(slots=True)
class _Own:
    """What this relay has counted: how often in all, and the values of the first that is not sent yet."""

    number: int = 0
    values: Mapping[str, str] = field(default_factory=dict)


class Counts:
    """The counts of one relay, named `relay` among those that share the store, and what it knows to be sent."""

    def __init__(self, relay: str, began_at: datetime) -> None:
        self.relay = relay
        self._own: dict[Key, _Own] = {}
        self._last: dict[str, datetime] = {}
        self._told: dict[str, dict[Key, int]] = {}
        self._held: dict[Key, tuple[str, datetime]] = {}  # of a condition what was told last, and when; empty: it ended
        self._began_at = self._started_at = began_at

    # ---- what this relay sees

    def count(self, fact: Fact) -> None:
        """Count what the relay that leads will send."""
        key = (fact.topic, fact.subject)
        own = self._own.setdefault(key, _Own())
        if own.number <= self._told_of(self.relay, key):
            own.values = fact.values
        own.number += fact.count

    def webhook(self, source: str, at: datetime) -> None:
        """A webhook of this source was kept."""
        self._last[source] = at

    # ---- what relays say to each other

    def report(self) -> Json:
        """What others, and this relay after a restart, have to know; times are cut, as each change is stored."""
        return {
            "counts": [[topic, subject, own.number, dict(own.values)] for (topic, subject), own in self._own.items()],
            "last": {source: rfc3339(at.replace(second=0, microsecond=0)) for source, at in self._last.items()},
            "told": {
                relay: [[topic, subject, number] for (topic, subject), number in told.items()]
                for relay, told in self._told.items()
            },
            "held": [[topic, subject, held, rfc3339(at)] for (topic, subject), (held, at) in self._held.items()],
            "since": rfc3339(self._began_at),
        }

    def begin(self, report: Json) -> None:
        """Go on from the report of the process before, counting what came since this one began."""
        for topic, subject, number, values in report["counts"]:
            own = self._own.setdefault((Topic(topic), subject), _Own(values=values))
            own.number += number
        for source, at in report["last"].items():
            self._last.setdefault(source, datetime.fromisoformat(at))
        self._began_at = datetime.fromisoformat(report["since"])
        meanwhile = self._told.pop(self.relay, {})
        self._learn(report)
        told = self._told.setdefault(self.relay, {})
        for key, number in meanwhile.items():
            told[key] = told.get(key, 0) + number

    # ---- what is news

    def news(
        self,
        reports: Mapping[str, Json],
        silence: Mapping[str, timedelta],
        accounts: Mapping[str, Standing],
        now: datetime,
    ) -> list[Fact]:
        """What is to be told now, and counts as told from now on. `reports`: those of all relays, by name.

        `silence`: the sources that are watched, and after how long each is silent. `accounts`: as this relay sees them.
        """
        for relay, report in reports.items():
            if relay != self.relay:
                self._learn(report)
        numbers = {relay: report["counts"] for relay, report in reports.items() if relay != self.relay}
        numbers[self.relay] = self.report()["counts"]
        return [*self._grown(numbers, now), *self._silences(reports, silence, now), *self._changed(accounts, now)]

    def _grown(self, numbers: Mapping[str, Json], now: datetime) -> list[Fact]:
        found: dict[Key, Fact] = {}
        for relay, counts in numbers.items():
            for topic, subject, number, values in counts:
                key = (Topic(topic), subject)
                grown = number - self._told_of(relay, key)
                if grown <= 0:
                    continue
                self._told.setdefault(relay, {})[key] = number
                grown += found[key].count if key in found else 0
                first = found[key].values if key in found else values
                found[key] = Fact(
                    topic=key[0], subject=subject, change=Change.HAPPENED, at=now, count=grown, values=first
                )
        return [*found.values()]

    def _silences(self, reports: Mapping[str, Json], silence: Mapping[str, timedelta], now: datetime) -> list[Fact]:
        facts = []
        for source, span in silence.items():
            last = [datetime.fromisoformat(each["last"][source]) for each in reports.values() if source in each["last"]]
            last += [self._last[source]] if source in self._last else []
            heard = max(last) if last else None
            key = (Topic.SILENCE, source)
            silent, since = self._held.get(key, ("", self._began_at))
            quiet_since = heard or self._began_at
            if not silent and now - quiet_since > span and now - self._started_at > min(span, GRACE):
                self._held[key] = "silent", now
                facts.append(_silence(source, Change.RAISED, quiet_since, now, never=heard is None))
            elif silent and heard and now - heard <= span:
                self._held[key] = "", now
                facts.append(_silence(source, Change.CLEARED, since, now))
        return facts

    def _changed(self, accounts: Mapping[str, Standing], now: datetime) -> list[Fact]:
        facts = []
        for account, found in accounts.items():
            key = (Topic.ACCOUNT, account)
            held, _ = self._held.get(key, ("", now))
            if (found.trouble or "") != held:
                self._held[key] = found.trouble or "", now
                change = Change.RAISED if found.trouble else Change.CLEARED
                facts.append(Fact(topic=key[0], subject=account, change=change, at=now, values=found.values))
        return facts

    def _told_of(self, relay: str, key: Key) -> int:
        return self._told.get(relay, {}).get(key, 0)

    def _learn(self, report: Json) -> None:
        """Take over what another one, or this relay before, says was told: of each number the largest."""
        for relay, told in report["told"].items():
            known = self._told.setdefault(relay, {})
            for topic, subject, number in told:
                key = (Topic(topic), subject)
                known[key] = max(known.get(key, 0), number)
        for topic, subject, held, text in report["held"]:
            key, at = (Topic(topic), subject), datetime.fromisoformat(text)
            if key not in self._held or self._held[key][1] < at:
                self._held[key] = held, at


def _silence(source: str, change: Change, since: datetime, now: datetime, *, never: bool = False) -> Fact:
    values = {"since": rfc3339(since), **({"never": "yes"} if never else {})}
    return Fact(topic=Topic.SILENCE, subject=source, change=change, at=now, values=values)
