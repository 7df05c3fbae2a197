"""Signals of a relay, and what others report -> what to send to whom: everything of it that needs no I/O.

facts       a signal -> what of it is news
accounts    how this relay stands with each account of amoCRM
conditions  whether it changes anything
counts      what relays that share the database count, told by one of them
digest      what waits for one receiver: grouped, spaced, held in quiet hours
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from relay.model import Dead, Delivered, Json
from relay.model.notify import Notify
from relay.notify.accounts import Accounts
from relay.notify.conditions import Conditions, ended
from relay.notify.counts import Counts
from relay.notify.digest import Digest, Entry
from relay.notify.facts import DATABASE_COUNTS, NEWS, AccountSeen, Change, Fact, Topic, facts_of
from relay.signals import Attempted, ConfigActivated, Signal, WebhookStored

DISK_WITHIN = timedelta(minutes=1)
"""A disk that lacks room says so within this time of a start; if it does not, there is room again."""


class Ledger:
    """What was and what is to be told. `began_at`: when the process began, or its notifications did."""

    def __init__(self, relay: str, began_at: datetime, stored: Json = None) -> None:
        found = stored or {}
        self.counts = Counts(relay, began_at)
        self._accounts = Accounts()
        self._conditions = Conditions(found.get("conditions"))
        self._stored_digests: Mapping[str, Json] = found.get("digests", {})
        self._digests: dict[str, Digest] = {}
        self._began_at = began_at
        self._doubtful = set(self._conditions.doubtful(Topic.TARGET))
        self._disk_known = not self._conditions.doubtful(Topic.DISK)
        self._reload_known = False

    def use(self, receivers: Sequence[Notify]) -> None:
        """Notify these receivers from now on; what waits for one of that name still does."""
        before, self._digests = self._digests, {}
        for each in receivers:
            digest = before.get(each.name) or Digest(each, self._stored_digests.get(each.name))
            digest.receiver = each
            self._digests[each.name] = digest
        self._stored_digests = {}

    def stored(self) -> Json:
        """What another process begins with."""
        return {
            "conditions": self._conditions.stored(),
            "digests": {name: each.stored() for name, each in self._digests.items()},
        }

    @property
    def digests(self) -> Sequence[Digest]:
        """One for each receiver."""
        return tuple(self._digests.values())

    @property
    def silence(self) -> Mapping[str, timedelta]:
        """The sources that somebody wants to know the silence of; the shortest span of each."""
        spans: dict[str, timedelta] = {}
        for each in self._digests.values():
            for source, span in each.receiver.silence.items():
                spans[source] = min(span, spans.get(source, span))
        return spans

    # ---- what is seen

    def concerns(self, signal: Signal) -> bool:
        """Whether `on` has to take the signal: few of them, and this is asked of each, three times for a webhook."""
        if isinstance(signal, Attempted):
            return isinstance(signal.verdict, Dead) or bool(self._doubtful)
        if isinstance(signal, WebhookStored):
            self.counts.webhook(signal.webhook.source, signal.webhook.received_at)
            return signal.webhook.unparsed is not None
        return type(signal) in NEWS

    def on(self, signal: Signal, now: datetime) -> None:
        """Take a signal that concerns notifications."""
        match signal:
            case Attempted(verdict=Delivered()):
                self._answered(signal.delivery.target, now)
            case _ if isinstance(signal, AccountSeen):
                self._accounts.see(signal, now)
            case ConfigActivated():
                self._conditions.forget_targets(signal.targets)
                self._doubtful.intersection_update(signal.targets)
        for fact in facts_of(signal, now):
            if fact.topic in DATABASE_COUNTS:
                self.counts.count(fact)
            elif fact.topic is Topic.TARGET:
                self._doubtful.discard(fact.subject)
                self._add(fact)
            else:
                self._disk_known = self._disk_known or fact.topic is Topic.DISK
                self._add(fact)

    def look(self, now: datetime) -> None:
        """Notice what no signal says: that what the process before saw has ended while nothing ran."""
        if not self._reload_known:
            self._reload_known = True
            for part in self._conditions.doubtful(Topic.RELOAD):  # the start has loaded it
                self._add(ended(Topic.RELOAD, part, now))
        if not self._disk_known and now - self._began_at > DISK_WITHIN:
            self._disk_known = True
            self._add(ended(Topic.DISK, "", now))

    def spool(self, *, direct: bool, now: datetime) -> None:
        """Compare with whether webhooks go to the shared store: a start with a full spool begins no spooling."""
        self._add(Fact(topic=Topic.SPOOL, subject="", change=Change.CLEARED if direct else Change.RAISED, at=now))

    def gather(self, reports: Mapping[str, Json], now: datetime) -> None:
        """Take what is news of all relays: only the one that leads does so, or one that is away from the database."""
        for fact in self.counts.news(reports, self.silence, self._accounts.standing(now), now):
            self._add(fact)

    # ---- what is sent

    def due(self, now: datetime, local: Callable[[datetime], datetime]) -> list[tuple[Digest, tuple[Entry, ...]]]:
        """What is to be sent now, and to whom."""
        return [(each, entries) for each in self._digests.values() if (entries := each.take(now, local))]

    def _answered(self, target: str, now: datetime) -> None:
        if target in self._doubtful:
            self._doubtful.discard(target)
            self._add(ended(Topic.TARGET, target, now))

    def _add(self, fact: Fact) -> None:
        if news := self._conditions.take(fact):
            for each in self._digests.values():
                if news.topic is not Topic.SILENCE or news.subject in each.receiver.silence:
                    each.add(news)
