"""A session of signals of every counted and logged kind, always the same; odd words wherever a sender can put one."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from relay.model import Dead, Delivered, Delivery, Event, Outcome, Reason, RetryAt, RoutedEvent, Webhook
from relay.model.trace import webhook_trace
from relay.signals import (
    Attempted,
    Blocked,
    ClientLockedOut,
    Committed,
    ConfigActivated,
    DuplicateReceived,
    Evicted,
    Notice,
    Probed,
    Purged,
    Rejection,
    Reloaded,
    Signal,
    WebhookRejected,
    WebhookStored,
)
from tests.observe.conftest import MS, NOON

SOURCES = ("crm", "other-crm", 'a"b\\c', "ё")
TARGETS = ("bot", "data.warehouse", 'q"uo\\te', "склад", "two words")
REASONS = tuple(each for each in Reason if each not in (Reason.PROXY, Reason.DENIED, Reason.TEMPLATE))
"""Those that there were when the session was recorded: one more would roll another session."""
ROUTES = ("won", "all", "new\nline")
RECORDED = "2xx 3xx 4xx 429 5xx other timeout connect tls disconnected protocol request corrupt"
REASONS = tuple(map(Reason, RECORDED.split()))  # a later one would change what the dice fall on
WORDS = ("leads", "contacts", "status", "add", "invented", "", "ё", "a b")
ODD = ("", "4831596", "ok", '{"ok":true}', "\x1b[31m", 'a"b\\c', "ё\u2028\u202e", "a\r\nb", "\ud800", "d" * 501)
REASONS = (
    Reason.OK, Reason.REDIRECT, Reason.CLIENT_ERROR, Reason.TOO_MANY, Reason.SERVER_ERROR, Reason.OTHER_STATUS,
    Reason.TIMEOUT, Reason.CONNECT, Reason.TLS, Reason.DISCONNECTED, Reason.PROTOCOL, Reason.REQUEST, Reason.CORRUPT,
)  # fmt: skip
"""Those that there were when the session was recorded: a later one would change every line after it."""


class _Dice:
    def __init__(self) -> None:
        self._random = random.Random(21)

    def word(self, of: Sequence[Any]) -> Any:
        return self._random.choice(of)

    def took(self) -> timedelta:
        """From 0 to days, and often exactly on a bucket's bound."""
        exact = (0.0, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0, 2.0, 5.0, 60.0, 259_200.0)
        return timedelta(seconds=self.word((*exact, self._random.expovariate(50.0), self._random.expovariate(0.001))))

    def number(self, most: int) -> int:
        return self._random.randint(0, most)

    def words(self, of: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(self._random.sample(of, self.number(len(of))))


def session(signals: int = 120) -> Iterator[Signal]:
    """The names of the routes file first, as in a relay; then whatever comes."""
    dice = _Dice()
    yield ConfigActivated(sources=SOURCES[:2], targets=TARGETS[:2], routes=ROUTES)
    kinds = [_attempted, _attempted, _attempted, _stored, _stored, _stored, _committed, _rejected, _rare]
    for number in range(signals):
        yield dice.word(kinds)(dice, number)


def _attempted(dice: _Dice, number: int) -> Signal:
    delivered = dice.number(3) > 0
    due_at = NOON + timedelta(seconds=number)
    return Attempted(
        delivery=Delivery(
            event_id=dice.word((f"019ab000-0000-7000-8000-{number:012}",) * 9 + ODD),
            target=dice.word(TARGETS[:2] * 4 + TARGETS),
            attempt=1 + dice.number(3),
            policy_attempt=1,
            received_at=NOON,
            pending_since=NOON,
            payload=b"{}",
            replay=dice.number(9) == 0,
            entity=dice.word(("leads", "contacts") * 8 + WORDS),
            entity_id=dice.word((str(number),) * 20 + ODD),
            trace=_trace(number),
        ),
        outcome=Outcome(
            reason=Reason.OK if delivered else dice.word(REASONS),
            started_at=NOON,
            took=dice.took(),
            status=200 + dice.number(4) if delivered else dice.word((None, 400, 429, 503)),
            detail=dice.word(("",) * 10 + ODD),
        ),
        verdict=Delivered()
        if delivered
        else dice.word((RetryAt(due_at), RetryAt(NOON), Dead("status 400"), Dead("ё "))),
        lag=dice.took(),
    )


def _trace(number: int) -> str:
    """Of some webhooks a trace that came and is not sampled; of others none, as if they were gone."""
    came = f"00-{number:032x}-{number:016x}-{number % 4:02x}"
    return "" if number % 10 == 9 else webhook_trace(f"w-{number}", came if number % 3 == 0 else "")


def _webhook(dice: _Dice, number: int) -> Webhook:
    return Webhook(
        id=f"w-{number}",
        source=dice.word(SOURCES),
        received_at=NOON + number * MS,
        body=b"a=1",
        request_id=dice.word(ODD),
        unparsed=dice.word((None,) * 5 + ODD),
    )


def _routed(dice: _Dice) -> list[RoutedEvent]:
    def event() -> Event:
        entity, action = dice.word(WORDS), dice.word(WORDS)
        return Event(
            id="e",
            source="crm",
            received_at=NOON,
            account={},
            entity=entity,
            action=action,
            data={"id": dice.word(ODD)},
        )

    return [RoutedEvent(event=event(), payload=b"", routes=dice.words(ROUTES)) for _ in range(dice.number(3))]


def _stored(dice: _Dice, number: int) -> Signal:
    routed = _routed(dice)
    return WebhookStored(webhook=_webhook(dice, number), routed=routed, deliveries=dice.number(5), took=dice.took())


def _committed(dice: _Dice, number: int) -> Signal:
    return Committed(writes=1 + number, took=dice.took())


def _rejected(dice: _Dice, _number: int) -> Signal:
    refused = WebhookRejected(
        source=dice.word(("-", *SOURCES)),
        reason=dice.word(tuple(Rejection)),
        detail=dice.word(ODD),
        remote="192.0.2.7",
        took=dice.took(),
    )
    return replace(refused, address="POST /***/hooks/crm/***") if dice.number(1) else refused


def _rare(dice: _Dice, number: int) -> Signal:
    rare: tuple[Signal, ...] = (
        DuplicateReceived(
            webhook=_webhook(dice, number), first=f"w-{number - 1}", took=dice.took(), routed=_routed(dice)
        ),
        Probed(source=dice.word(SOURCES), remote="192.0.2.7"),
        Evicted(after=dice.took()),
        Blocked(late=dice.took()),
        Reloaded(file="routes.yaml", problems=dice.words(ODD)),
        Reloaded(file="routes.yaml", activated=("certificate",), orphaned=("bot",)),
        ClientLockedOut(remote="192.0.2.7"),
        Purged(counts={"delivered": number, "unparsed": 0}, took=dice.took()),
        Notice(
            level="warning", text=dice.word(ODD), fields={"error": dice.word(ODD), "path": Exception(dice.word(ODD))}
        ),
        ConfigActivated(sources=dice.words(SOURCES), targets=dice.words(TARGETS), routes=ROUTES),
    )
    return dice.word(rare)
