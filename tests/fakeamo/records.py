"""State of the account, its feed, and the log of all changes with the rows that ought to be told."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from random import Random

from tests.fakeamo import forms
from tests.fakeamo.clock import VirtualClock
from tests.fakeamo.posts import Item, Posts
from tests.fakeamo.structure import Structure
from tests.fakeamo.subscriptions import Subscription, Trigger
from tests.fakeamo.ulid import Ulids
from tests.fakeamo.values import Card, Exactness, FeedEvent, Fields, Json, Mutation, Quirks, Row

SINGULAR = {"leads": "lead", "contacts": "contact", "companies": "company", "customers": "customer", "tasks": "task"}


@dataclass(frozen=True, kw_only=True)
class Happened:
    """An event of the feed to be."""

    type: str
    entity_type: str
    entity_id: int
    after: Sequence[Json] = ()
    before: Sequence[Json] = ()
    talk_contact: int | None = None


@dataclass(frozen=True, kw_only=True)
class Telling:
    """An item of webhooks to be: of subscriptions with one of `settings`, or of triggers where there are none."""

    key: str
    action: str
    fields: Fields
    entity_id: int | str
    exactness: Exactness
    settings: frozenset[str] = frozenset()
    lead: Card | None = None
    """Whose stage fires triggers."""
    entity: str = ""
    """Where the relay's word differs from the body's: companies."""
    event: int = 0
    """Which of the feed's events tells the same; -1: none."""
    old: tuple[int | str, ...] = ()
    new: tuple[int | str, ...] = ()


class Records:
    """What changes write and requests read. Time is amoCRM's own, Unix seconds."""

    def __init__(self, seed: int, clock: VirtualClock, quirks: Quirks) -> None:
        self.clock = clock
        self.quirks = quirks
        self.random = Random(seed)
        self.ids = Ulids(self.random)
        self.structure = Structure(int(clock()), kommo=quirks.kommo)
        self.base = f"https://{self.structure.host}"
        """Where the links of answers lead."""
        self.cards: dict[str, dict[int, Card]] = {kind: {} for kind in SINGULAR}
        self.notes: dict[int, Fields] = {}
        self.feed: list[FeedEvent] = []
        self.log: list[Mutation] = []
        self.subscriptions: list[Subscription] = []
        self.triggers: list[Trigger] = []
        self.posts = Posts(self.random, quirks, clock)
        self._last_id = 1_000
        self._together: dict[int, tuple[Subscription | Trigger, list[Item]]] | None = None

    # ---- what changes need

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def card(self, kind: str, number: int) -> Card:
        return self.cards[kind][number]

    def touch(self, card: Card, by: int) -> None:
        """Note a change: its time, unless times of this kind stand still, and who made it."""
        card.revision += 1
        card.fields["updated_by"] = by
        if card.kind == "leads" or not self.quirks.still_times:
            card.fields["updated_at"] = int(self.clock())

    def time_in_body(self, card: Card) -> int:
        """The time that an account webhook gives a change."""
        jitter = self.quirks.time_jitter
        return int(card.fields["updated_at"]) + (self.random.randint(-jitter, jitter) if jitter else 0)

    def form(self, card: Card, **more: Json) -> Fields:
        return forms.card(card, self.structure.id, self.time_in_body(card)) | more

    def record(
        self,
        kind: str,
        entity: str,
        entity_id: int | str,
        happened: Sequence[Happened] = (),
        tellings: Sequence[Telling] = (),
        *,
        by: int = 0,
        client: str | None = None,
    ) -> Mutation:
        """Append one change to the log and the feed, and queue its webhooks."""
        now = self.clock()
        events = tuple(self._written(each, now, by, client) for each in happened)
        self.feed += events
        rows = tuple(row for telling in tellings for row in self._told(telling, events, int(now)))
        mutation = Mutation(
            number=len(self.log), at=now, kind=kind, entity=entity, entity_id=entity_id, events=events, rows=rows
        )
        self.log.append(mutation)
        return mutation

    @contextmanager
    def together(self) -> Iterator[None]:
        """Put all that changes inside into one body for each destination."""
        self._together = {}
        try:
            yield
        finally:
            found, self._together = self._together, None
            for sender, items in found.values():
                self.posts.add(sender, self.structure.account_block(), items)

    # ---- what requests and tests read

    def window(self, since: int, until: int) -> Iterator[FeedEvent]:
        """Readable events with since <= created_at <= until, newest first."""
        now, when = self.clock(), attrgetter("created_at")
        first, last = bisect_left(self.feed, since, key=when), bisect_right(self.feed, until, key=when)
        return (self.feed[at] for at in range(last - 1, first - 1, -1) if self.feed[at].visible_at <= now)

    def rows(self) -> list[Row]:
        """All that ought to be told, in order."""
        return [row for mutation in self.log for row in mutation.rows]

    # ----

    def _written(self, each: Happened, now: float, by: int, client: str | None) -> FeedEvent:
        return FeedEvent(
            id=self.ids.next(now),
            type=each.type,
            entity_type=each.entity_type,
            entity_id=each.entity_id,
            created_by=by,
            created_at=int(now),
            after=[*each.after],
            before=[*each.before],
            visible_at=now + self._lag(),
            client=client,
            talk_contact=each.talk_contact,
        )

    def _lag(self) -> float:
        if self.random.random() < self.quirks.stragglers:
            return self.random.uniform(self.quirks.late_by, self.quirks.straggle_by)
        return min(self.random.expovariate(0.7), self.quirks.late_by)

    def _told(self, telling: Telling, events: Sequence[FeedEvent], at: int) -> Iterator[Row]:
        event_id = events[telling.event].id if events and telling.event >= 0 else ""
        for sender, channel in self._senders(telling):
            row = Row(
                destination=sender.destination,
                channel=channel,
                event_id=event_id,
                entity=telling.entity or telling.key,
                action=telling.action,
                entity_id=telling.entity_id,
                old=telling.old,
                new=telling.new,
                at=at,
                exactness=telling.exactness,
                was_active=isinstance(sender, Trigger) or not sender.disabled,
            )
            if row.was_active:
                self._post(sender, Item(entity=telling.key, action=telling.action, fields=telling.fields, row=row))
            yield row

    def _senders(self, telling: Telling) -> Iterator[tuple[Subscription | Trigger, str]]:
        if telling.settings:
            yield from ((each, "account") for each in self.subscriptions if telling.settings & {*each.settings})
        elif telling.lead:
            for trigger in self.triggers:
                if trigger.fires(telling.action, telling.lead):
                    yield trigger, trigger.channel(telling.action)

    def _post(self, sender: Subscription | Trigger, item: Item) -> None:
        if self._together is None:
            self.posts.add(sender, self.structure.account_block(), [item])
        else:
            self._together.setdefault(id(sender), (sender, []))[1].append(item)
