"""Webhooks on their way: due, sent, repeated at amoCRM's own times, lost."""

import heapq
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from urllib.parse import quote_plus
from uuid import UUID

from tests.fakeamo.subscriptions import KOMMO_TRIGGER, LONG, SHORT, Subscription, Trigger, is_good
from tests.fakeamo.values import Fields, Json, Quirks, Row


@dataclass(frozen=True, kw_only=True)
class Item:
    """`entity[action][n]` of a body, and the row that it tells of."""

    entity: str
    action: str
    fields: Fields
    row: Row


@dataclass(kw_only=True, eq=False)
class Post:
    """One webhook, through all its attempts."""

    number: int
    sender: Subscription | Trigger
    body: bytes
    request_id: str
    rows: Sequence[Row]
    first_at: float
    at: float
    attempt: int = 1
    state: str = "due"  # due | sent | ok | lost
    answers: list[tuple[float, int | None]] = field(default_factory=list)
    repeats: bool = False
    """A second time after a good answer."""

    @property
    def destination(self) -> str:
        return self.sender.destination

    @property
    def headers(self) -> Mapping[str, str]:
        return {
            "Content-Type": "application/x-www-form-urlencoded",
            "User-Agent": "amoCRM-Webhooks/3.0",
            "X-Amocrm-Requestid": self.request_id,
            "Accept-Encoding": "gzip",
        }


class Posts:
    """The queue, and every post that ever was."""

    def __init__(self, random: Random, quirks: Quirks, clock: Callable[[], float]) -> None:
        self.all: list[Post] = []
        self._random = random
        self._quirks = quirks
        self._clock = clock
        self._queue: list[tuple[float, int, Post]] = []

    def add(self, sender: Subscription | Trigger, account: Fields, items: Sequence[Item]) -> Post:
        """Queue a body of these items; what the network does with it is the quirks' business."""
        first_at = self._clock() + self._random.random() * self._quirks.disorder
        if isinstance(sender, Trigger):
            first_at += sender.delay
        post = Post(
            number=len(self.all),
            sender=sender,
            body=form(items, account, account_last=isinstance(sender, Trigger)),
            request_id=self._request_id(),
            rows=[item.row for item in items],
            first_at=first_at,
            at=first_at,
        )
        self.all.append(post)
        if self._random.random() < self._quirks.lost:
            post.state = "lost"
        else:
            self._push(post, first_at)
        return post

    def next_at(self) -> float | None:
        """When the next attempt is due."""
        return self._queue[0][0] if self._queue else None

    def due(self, now: float) -> list[Post]:
        """Take what is due; each wants its answer by `answered`. What was switched off meanwhile is lost."""
        found = []
        while self._queue and self._queue[0][0] <= now:
            _at, _number, post = heapq.heappop(self._queue)
            if isinstance(post.sender, Trigger) and post.sender.paused_until > now:
                self._push(post, post.sender.paused_until)
            elif isinstance(post.sender, Subscription) and (post.sender.disabled or post.sender.deleted):
                post.state = "lost"
            else:
                post.state = "sent"
                found.append(post)
        return found

    def answered(self, post: Post, status: int | None) -> None:
        """Settle an attempt: None is a time-out (2 s) or no connection."""
        now = self._clock()
        post.answers.append((now, status))
        if isinstance(post.sender, Subscription):
            post.sender.note_answer(status, now, self._quirks.switch_off_after)
        elif self._quirks.kommo:
            post.sender.note_answer(status, now)
        if not is_good(status):
            self._retry(post, status)
            return
        post.state = "ok"
        if not post.repeats and self._random.random() < self._quirks.duplicates:
            post.repeats = True
            self._push(post, now + self._random.random() * 600)

    def _retry(self, post: Post, status: int | None) -> None:
        minutes = self._retry_times(post.sender, status)
        if post.repeats or post.attempt > len(minutes):
            post.state = "lost" if not any(is_good(each) for _, each in post.answers) else "ok"
            return
        at = post.first_at + minutes[post.attempt - 1] * 60
        post.attempt += 1
        if not self._quirks.repeats_keep_request_id:
            post.request_id = self._request_id()
        self._push(post, max(at, self._clock()))

    def _retry_times(self, sender: Subscription | Trigger, status: int | None) -> Sequence[int]:
        if isinstance(sender, Trigger):
            return KOMMO_TRIGGER if self._quirks.kommo else ()
        return LONG if status is not None and (status == 499 or status >= 500) else SHORT

    def _push(self, post: Post, at: float) -> None:
        post.at, post.state = at, "due"
        heapq.heappush(self._queue, (at, post.number, post))

    def _request_id(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))


def form(items: Sequence[Item], account: Fields, *, account_last: bool) -> bytes:
    """A body as amoCRM's: the account first, or last; the items of one action numbered from 0."""
    about = ({"account": {name: account[name] for name in ("id", "subdomain")}} if account_last
             else {"account": account})  # fmt: skip
    pairs = [] if account_last else flat(about)
    numbers: Counter[tuple[str, str]] = Counter()
    for item in items:
        number = numbers[item.entity, item.action]
        numbers[item.entity, item.action] += 1
        pairs += flat(item.fields, f"{item.entity}[{item.action}][{number}]")
    if account_last:
        pairs += flat(about)
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs).encode()


def flat(node: Json, path: str = "") -> list[tuple[str, str]]:
    """Nested values -> PHP's pairs: a[b][0]=1; None and empty lists are left out."""
    match node:
        case dict():
            children = node.items()
        case list():
            children = enumerate(node)
        case None:
            return []
        case bool():
            return [(path, "1" if node else "0")]
        case _:
            return [(path, str(node))]
    return [pair for name, child in children for pair in flat(child, f"{path}[{name}]" if path else str(name))]
