"""A `HealStore` in memory, with its `keep`: the stores' own decisions, and a crash at the commit that a test names."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from relay.model import Json, RoutedEvent
from relay.model.heal import APPROVED, HealCount, HealRecord, HealRequest, HealState, Hook, Span, StoredHook
from relay.store.heal_decision import decide
from relay.store.records import AuditEntry
from relay.store.requests import KeepRequest


class Crashed(Exception):
    """The process is killed here: what it was about to commit is not committed."""


class MemoryStore:
    """Of one source. `crash_at`: the number of the commit that does not happen, counted from 1."""

    def __init__(self) -> None:
        self.kept: list[RoutedEvent] = []
        self.healed: list[RoutedEvent] = []
        self.late: list[RoutedEvent] = []
        self.known: dict[tuple[str, str], HealRecord] = {}
        self.index: list[StoredHook] = []
        self.marks: dict[str, datetime] = {}
        self.down: list[Span] = []
        self.commits = 0
        self.lost_at: datetime | None = None
        self.crash_at: int | None = None
        self.requested: dict[str, str] = {}
        self._first: datetime | None = None
        self._by_key: dict[tuple[str, str], list[int]] = {}

    def keep(self, request: KeepRequest) -> None:
        """Keep a webhook that came; `late`: its event was healed and sent before."""
        if request.hooks and self._first is None:
            self._first = request.webhook.received_at
        self.requested[request.webhook.id] = request.webhook.request_id
        late = set()
        for hook in request.hooks:
            healed = self._healed(hook)
            if healed is not None:
                late.add(hook.item)
                self.known[healed.channel, healed.event_id] = replace(
                    healed, state=HealState.LATE_HOOK, webhook=request.webhook.id, item=hook.item
                )
            self._by_key.setdefault((hook.channel, hook.key), []).append(len(self.index))
            self.index.append(StoredHook(hook, request.webhook.id, healed.event_id if healed else None))
        for item, routed in enumerate(request.routed):
            (self.late if item in late else self.kept).append(routed)

    def _healed(self, hook: Hook) -> HealRecord | None:
        fit = [
            each
            for each in self.known.values()
            if each.state is HealState.HEALED
            and (each.channel, each.key) == (hook.channel, hook.key)
            and hook.since <= each.at <= hook.until
        ]
        return min(fit, key=lambda each: (each.at, each.event_id), default=None)

    # ---- HealStore

    async def heal_counts(self) -> Sequence[HealCount]:
        raise NotImplementedError

    async def channels(self, source: str) -> Sequence[str]:
        return sorted({each.hook.channel for each in self.index})

    async def heal_marks(self, source: str) -> Mapping[str, datetime]:
        return dict(self.marks)

    async def heal_records(
        self, source: str, *, since: datetime, states: Collection[HealState] | None = None
    ) -> Sequence[HealRecord]:
        found = [each for each in self.known.values() if each.at >= since and (states is None or each.state in states)]
        return sorted(found, key=lambda each: (each.at, each.event_id, each.channel))

    async def approve(self, source: str, act: AuditEntry | None = None, *, at: datetime | None = None) -> int:
        waiting = [each for each in self.known.values() if each.state is HealState.WAITING and not each.approved]
        self.known |= {(each.channel, each.event_id): replace(each, approved=True) for each in waiting}
        if at is not None:
            self.marks[APPROVED] = at
        return len(waiting)

    async def request_heal(self, request: HealRequest, act: AuditEntry) -> None:
        raise NotImplementedError

    async def heal_requests(self, *, answered: bool = False) -> Sequence[HealRequest]:
        return []

    async def hooks(
        self, source: str, *, since: datetime, until: datetime, keys: Collection[tuple[str, str]] | None = None
    ) -> Sequence[StoredHook]:
        chosen = self.index if keys is None else (self.index[at] for key in keys for at in self._by_key.get(key, ()))
        return sorted(
            (each for each in chosen if each.hook.until >= since and each.hook.since <= until),
            key=lambda each: (each.hook.since, each.webhook, each.hook.item),
        )

    async def records_of_webhook_type(self, source: str, webhook_type: str) -> Sequence[HealRecord]:
        found = [
            each
            for each in self.known.values()
            if each.channel == "account" and each.key.startswith(f"{webhook_type}:")
        ]
        return sorted(found, key=lambda each: (each.key, each.at))

    async def request_ids(self, webhooks: Collection[str]) -> Mapping[str, str]:
        return {each: self.requested[each] for each in webhooks if self.requested.get(each)}

    async def first_hook(self, source: str) -> datetime | None:
        return self._first

    async def last_loss(self) -> datetime | None:
        return self.lost_at

    async def record_heal(
        self,
        source: str,
        records: Sequence[HealRecord],
        *,
        healed: Sequence[KeepRequest] = (),
        marks: Mapping[str, datetime] | None = None,
        repeats: Collection[StoredHook] = (),
    ) -> Sequence[HealRecord]:
        self.commits += 1
        if self.commits == self.crash_at:
            raise Crashed
        stored = [found for each in records if (found := self.known.get((each.channel, each.event_id))) is not None]
        places = {at for each in records for at in self._by_key.get((each.channel, each.key), ())}
        decision = decide(records, stored, [self.index[at] for at in sorted(places)], healed, repeats)
        self.known |= {(each.channel, each.event_id): each for each in decision.written}
        for at in places:
            hook, webhook, _ = self.index[at]
            if event := decision.spent.get((webhook, hook.item, hook.channel, hook.key)):
                self.index[at] = StoredHook(hook, webhook, event)
        self.healed += [routed for each in decision.healed for routed in each.routed]
        for lane, upto in (marks or {}).items():
            self.marks[lane] = max(upto, self.marks.get(lane, upto))
        return decision.records

    async def answer_heal(self, id_: str, answer: Json) -> None:
        raise NotImplementedError

    async def beat(self, now: datetime) -> None:
        raise NotImplementedError

    async def outages(self, since: datetime) -> Sequence[Span]:
        return [each for each in self.down if each.until > since]
