"""A relay and an account on virtual time, in one process: webhooks that come or are lost, and the healer beside them.

What was routed, delivered or healed, is compared with the account's own log of what ought to have been told.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

from relay.account.answers import Answer, TooMany, read
from relay.account.heal.channels import DpChannel, Stage, canonical, channel_of, parse
from relay.account.heal.healer import Healer, Scan
from relay.account.heal.hooks import ClockOffset, hooks_of
from relay.account.heal.limits import limits
from relay.account.heal.reader import Params
from relay.account.heal.wanted import AccountFacts, Wanted, webhook_type
from relay.account.server_clock import ServerTime
from relay.amocrm import events
from relay.amocrm.change_times import all_dated
from relay.amocrm.shapes import BodyReader
from relay.errors import AccountAway, AccountError, RateLimited
from relay.model import Event, Json, RoutedEvent, Webhook
from relay.model.accounts import Heal, HealMode
from relay.model.heal import HealState, Span
from relay.store.requests import KeepRequest
from tests.account.memory_store import Crashed, MemoryStore
from tests.fakeamo import Ending, Exactness, FakeAmo, Post, Row, VirtualClock

HOOK = "http://127.0.0.1/hooks/crm/token"
_ACTIONS = ("add", "update", "delete", "note", "responsible")
SETTINGS = [
    *(f"{action}_{kind}" for action in _ACTIONS for kind in ("lead", "contact")),
    *("status_lead", "restore_lead", "restore_contact", "add_company", "delete_company", "note_company"),
    *("add_task", "delete_task", "update_task", "responsible_task", "add_message", "add_outgoing_message"),
    *("add_talk", "update_talk", "add_customer", "update_customer", "status_customer"),
    *("add_unsorted", "delete_unsorted"),
]  # fmt: skip
SECOND = timedelta(seconds=1)
REQUEST_TAKES = 0.2  # seconds: the client's own pace

_VALUES = (
    ("leads", "leads", "price", "price", ("update",)),
    ("contacts", "contacts", "name", "name", ("update",)),
    ("customers", "customers", "status_id", "status_id", ("status",)),
    ("tasks", "task", "is_completed", "status", ("complete",)),
    ("tasks", "task", "responsible_user_id", "responsible_user_id", ("give",)),
)
"""Kind, the webhooks' word, field of the API and of webhooks; and what changes it."""
Told = tuple[Any, ...]


@dataclass(kw_only=True)
class World:
    """`skew`: how far the relay's clock is ahead of the account's, seconds; `error`: of what it knows of that."""

    seed: int
    skew: float = 0.0
    error: float = 0.0
    heal: Heal = field(default_factory=lambda: Heal(mode=HealMode.ON, most=100_000))
    quirks: dict[str, Any] = field(default_factory=dict)
    knows_offset: bool = True
    by_own_clock: bool = False
    approves: bool = True
    more: dict[str, Any] = field(default_factory=dict)
    """Of what is wanted, where a test has its own."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.clock = VirtualClock()
        self.amo = FakeAmo(self.seed, clock=self.clock, **self.quirks)
        self.store = MemoryStore()
        self.answer: int | None = 200
        """What webhooks are answered at the moment; None: no relay is there."""
        self.arrived: list[tuple[Row, datetime]] = []
        """What webhooks told, and when by the account's clock."""
        self.scans: list[Scan] = []
        self.failed: list[AccountError] = []
        self.crashes = 0
        self._bodies = BodyReader()
        self._ids = count(1)
        self._seen: dict[bytes, datetime] = {}
        self._triggers: list[DpChannel] = []
        self.amo.subscribe(HOOK, SETTINGS)
        self.restart()

    # ---- the account

    def trigger(self, stage: Any, query: str, *on: str) -> None:
        """A trigger of the digital pipeline, in the account and in the routes file."""
        self.amo.add_trigger(stage.id, f"{HOOK}?{query}", *on)
        pipeline = self.amo.structure.pipeline_of(stage.id).id
        self._triggers += [DpChannel(each, Stage(pipeline, stage.id), canonical(query)) for each in on]

    # ---- the relay

    def now(self) -> datetime:
        """By the relay's own clock."""
        return datetime.fromtimestamp(self.clock() + self.skew, UTC)

    def _server_now(self) -> datetime:
        return datetime.fromtimestamp(self.clock(), UTC)

    def server(self) -> ServerTime:
        """As the relay knows it."""
        return ServerTime(datetime.fromtimestamp(self.clock() + self.error, UTC), SECOND)

    def restart(self) -> None:
        """A new process on the same store."""
        kommo = self.amo.quirks.kommo
        self.healer = Healer(self.store, self._get, plan=_plan, kommo=kommo)

    def wanted(self, **more: Any) -> Wanted:
        structure = self.amo.structure
        account = AccountFacts(
            id=structure.id,
            subdomain=structure.subdomain,
            url=f"https://{structure.host}",
            kommo=self.amo.quirks.kommo,
            filters=self.amo.quirks.alpha or self.amo.quirks.kommo,
        )
        found = Wanted(
            source="crm",
            mode=self.heal.mode,
            limits=limits(self.heal, kommo=account.kommo),
            account=account,
            subscribed=frozenset(map(webhook_type, SETTINGS)),
            triggers=tuple(self._triggers),
            most=self.heal.most,
        )
        return replace(found, **{**self.more, **more})

    async def scan(self) -> None:
        """One run of the healer; an operator approves what waits. Killed, it begins anew."""
        try:
            self.scans.append(await self.healer.run(self.wanted(), self.server(), now=self.now()))
        except AccountError as error:
            self.failed.append(error)
        except Crashed:
            self.crashes += 1
            self.restart()
        if self.approves:
            await self.store.approve("crm", at=self.now())

    async def _get(self, path: str, params: Params) -> Any:
        self.clock.advance(REQUEST_TAKES)
        query = urlencode(params, doseq=True)
        answer = self.amo.request("GET", f"{path}?{query}" if query else path)
        if answer.ending is not Ending.WHOLE or answer.delay > 20:
            raise AccountAway(path)
        headers = {name.lower(): text for name, text in answer.headers.items()}
        found = read(Answer(status=answer.status, headers=headers, body=answer.body), path)
        if isinstance(found, TooMany):
            raise RateLimited(path)
        return found

    # ---- time

    def advance(self, seconds: float) -> None:
        """Let time go by, and webhooks come in it."""
        until = self.clock() + seconds
        while (at := self.amo.posts.next_at()) is not None and at <= until:
            self.clock.advance(max(at - self.clock(), 0))
            for post in self.amo.due(self.clock()):
                self.amo.answered(post, self._receive(post))
        self.clock.advance(max(until - self.clock(), 0))

    async def run(self, seconds: float, *, every: float = 900) -> None:
        """Let time go by with the healer at work, if a relay is there."""
        until = self.clock() + seconds
        while self.clock() < until:
            self.advance(min(every, until - self.clock()))
            if self.answer is not None:
                await self.scan()

    def outage(self, seconds: float, *, answer: int | None = None, change: Callable[[], None] | None = None) -> None:
        """No relay for a while, or (`answer`) one, or a proxy, that refuses everything."""
        began = self.now()
        self.answer = answer
        steps = 12
        for _ in range(steps):
            if change:
                change()
            self.advance(seconds / steps)
        self.answer = 200
        self.amo.switch_on(HOOK)  # the guard's work, if that many answers failed
        if answer is None:
            self.store.down.append(Span(began, self.now()))

    def _receive(self, post: Post) -> int | None:
        if self.answer != 200:
            return self.answer
        received = self.now()
        query = urlsplit(post.destination).query
        id_, request = f"w{next(self._ids)}", post.request_id
        webhook = Webhook(id=id_, source="crm", received_at=received, body=post.body, query=query, request_id=request)
        found = self._bodies.read(
            post.body, "", source="crm", received_at=received, new_id=lambda: f"e{next(self._ids)}", query=query
        )
        if all_dated(found):
            before = self._seen.get(post.body)
            self._seen[post.body] = received
            if before is not None and received - before <= timedelta(hours=3):
                return 200
        ahead = 0.0 if self.by_own_clock else self.error - self.skew
        clock = ClockOffset(timedelta(seconds=ahead), SECOND) if self.knows_offset else None
        rules = limits(self.heal, kommo=self.amo.quirks.kommo)
        hooks = () if self.heal.mode is HealMode.OFF else hooks_of(webhook, found, limits=rules, clock=clock)
        self.arrived += [(row, self._server_now()) for row in post.rows]
        self.store.keep(KeepRequest(webhook, [_plan(each) for each in found], hooks=hooks))
        return 200

    # ---- what ought to have been told, and what was

    def oracle(self, *, exact: bool = True) -> Counter[Told]:
        """What is in the table as exact, or exact but for other fields."""
        return Counter(_of_row(each) for each in self.amo.rows() if _is_exact(each) is exact)

    def routed(self, *, exact: bool = True) -> Counter[Told]:
        """What webhooks brought, and what was healed."""
        found = [each.event for each in (*self.store.kept, *self.store.healed)]
        return Counter(_of_event(each) for each in found if _is_exact_event(each) is exact)

    def healed(self) -> list[Event]:
        return [each.event for each in self.store.healed]

    def healed_though_told(self) -> set[tuple[str, str]]:
        """What was healed though its own webhook had come in time; not if several have its key: any of them may be."""
        settle = limits(self.heal, kommo=self.amo.quirks.kommo).of
        keys = Counter((each.channel, each.key) for each in self.store.known.values())
        told = {
            (*_of_row(row)[:1], row.entity, row.action, row.event_id)
            for row, at in self.arrived
            if at - datetime.fromtimestamp(row.at, UTC) <= settle(row.channel).settle
        }
        return {
            (each.action, each.event_id)
            for each in self.store.known.values()
            if each.state in (HealState.HEALED, HealState.LATE_HOOK) and keys[each.channel, each.key] == 1
            if (_channel(each.channel), *each.action.split("."), each.event_id) in told
        }

    def stale(self) -> list[str]:
        """Cards and talks whose last value came in no webhook, and was not healed.

        The owner of a task is in no event: where the list's times stand still, too, nothing shows that it changed.
        """
        routed = [each.event for each in (*self.store.kept, *self.store.healed)]
        found = []
        for kind, entity, name, text, by in _VALUES:
            if by == ("give",) and self.amo.quirks.still_times:
                continue
            changed = {each.entity_id for each in self.amo.log if each.kind in by}
            cards = [each for each in self.amo.cards[kind].values() if each.id in changed and each.state == "live"]
            for card in cards:
                told = {
                    str(each.data.get(text))
                    for each in routed
                    if (each.entity, each.entity_id) == (entity, str(card.id))
                }
                now = card.fields[name]
                if str(int(now) if isinstance(now, bool) else now) not in told:
                    found.append(f"{kind} {card.id}: {name} is {now}, told were {sorted(told)}")
        updates = [each.data for each in routed if each.type == "talk.update"]
        closed = {each["talk_id"] for each in updates if str(each.get("is_in_work")) == "0"}
        ought = {each.id for each in self.amo.talks.values() if not each.fields["is_in_work"]}
        return [*found, *(f"talk {each} is closed, and nothing told" for each in ought - closed)]

    def states(self) -> Counter[HealState]:
        return Counter(each.state for each in self.store.known.values())


def _plan(event: Event) -> RoutedEvent:
    return RoutedEvent(event=event, payload=events.dump(event))


def _is_exact(row: Row) -> bool:
    """An incoming lead that left its list is told of once, too; only what became of it is not sure."""
    return row.exactness in (Exactness.EXACT, Exactness.STATE) or (row.entity, row.action) == ("unsorted", "delete")


def _is_exact_event(event: Event) -> bool:
    if event.action == "update":
        return event.entity in ("contacts", "companies") and "old_responsible_user_id" in event.data
    return event.action not in ("call_in", "mail_in", "chat", "site_visit") and event.entity not in (
        "message",
        "outgoing_message",
        "talk",
    )


def _of_row(row: Row) -> Told:
    new = () if row.action in ("add", "delete", "restore") else row.new
    kind, *rest = row.channel.split(":", 3)
    channel = ":".join([kind, *rest[:2], canonical(rest[2])]) if rest else kind
    return channel, row.entity, row.action, str(row.entity_id), row.old, new


def _of_event(event: Event) -> Told:
    data = event.data
    channel = channel_of(event, urlencode(event.query, doseq=True)) or ""
    trigger = parse(channel)
    return (
        _channel(channel),
        event.entity,
        event.action,
        event.entity_id,
        *_change(event.action, data, of_account=not trigger),
    )


def _channel(name: str) -> str:
    """A channel as the account's log names it: without the pipeline, and one for the account."""
    trigger = parse(name)
    return f"dp:{trigger.action}:{trigger.stage.status_id}:{trigger.query}" if trigger else "account"


def _change(action: str, data: Any, *, of_account: bool) -> tuple[Sequence[Json], Sequence[Json]]:
    if action == "status":
        old = (data["old_status_id"],) if of_account else (data["old_status_id"], data["old_pipeline_id"])
        return old, (data["status_id"], *([data["pipeline_id"]] if "pipeline_id" in data else []))
    if "old_responsible_user_id" in data:
        return (data["old_responsible_user_id"],), (data["responsible_user_id"],)
    return (), ((data["id"],) if action == "note" else ())
