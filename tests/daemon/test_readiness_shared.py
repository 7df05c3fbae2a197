"""Readiness before a store that several relays share: where a webhook can be committed, and what is said."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.daemon.readiness import Readiness
from relay.errors import StoreBusy, StoreFailed
from relay.signals import Rejection, WebhookRejected
from relay.store.records import AckGap, SpoolState

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DIRECT = SpoolState(direct=True, since=NOON, why="")
AWAY = SpoolState(
    direct=False, since=NOON + timedelta(seconds=3), why="PostgreSQL is away: connection refused", webhooks=37
)
FORWARDING = replace(AWAY, forwarding=True, oldest_at=NOON)
SPOOLING = "spooling since 2026-11-22T12:00:03.000Z (37 webhooks): PostgreSQL is away: connection refused"


class Shared:
    """A store with a spool before it, in which the test says what answers."""

    def __init__(self, spool: SpoolState | None) -> None:
        self.state = spool
        self.now = NOON
        self.stopping = False
        self.trouble: Exception | None = None
        self.losses_known = True
        self.readiness = Readiness(stopping=lambda: self.stopping, spool=lambda: self.state, clock=lambda: self.now)

    async def probe(self) -> None:
        if self.trouble:
            raise self.trouble

    async def losses(self) -> list[AckGap]:
        if not self.losses_known:
            raise StoreBusy("PostgreSQL is away")
        return [AckGap(count=3, after=None, noticed_at=NOON)]

    async def answers(self) -> tuple[str | None, str | None, str | None]:
        """What /readyz, /readyz/store and the remark say after a probe."""
        probing = asyncio.create_task(self.readiness.keep_probing(self))
        await asyncio.sleep(0.01)
        probing.cancel()
        return await self.readiness.unready(), await self.readiness.store_unready(), self.readiness.remark()


async def told(shared: Shared) -> tuple[str | None, str | None, str | None]:
    shared.losses_known = False
    return await shared.answers()


@pytest.mark.parametrize(
    ("state", "after", "store", "remark"),
    [
        (None, 0, None, None),
        (DIRECT, 0, None, None),
        (replace(DIRECT, refused=2), 0, None, "PostgreSQL refuses 2 webhooks, set apart in the spool"),
        (FORWARDING, 0, None, "forwarding 37 webhooks"),
        (replace(FORWARDING, webhooks=1), 0, None, "forwarding 1 webhook"),
        (FORWARDING, 9, None, "forwarding 37 webhooks"),
        (FORWARDING, 10, "forwarding 37 webhooks", "forwarding 37 webhooks"),
        (replace(FORWARDING, webhooks=999), 0, None, "forwarding 999 webhooks"),
        (replace(FORWARDING, webhooks=1000), 0, "forwarding 1000 webhooks", "forwarding 1000 webhooks"),
        (replace(FORWARDING, webhooks=0, oldest_at=None), 99, None, "forwarding 0 webhooks"),
        (AWAY, 0, SPOOLING, SPOOLING),
        (replace(AWAY, webhooks=0), 0, SPOOLING.replace("37", "0"), SPOOLING.replace("37", "0")),
    ],
)
async def test_a_relay_is_ready_while_the_store_or_the_spool_commits(
    state: SpoolState | None, after: int, store: str | None, remark: str | None
) -> None:
    shared = Shared(state)
    shared.now += timedelta(seconds=after)
    assert await told(shared) == (None, store, remark)


@pytest.mark.parametrize("state", [None, DIRECT, FORWARDING, AWAY])
@pytest.mark.parametrize("trouble", [StoreBusy("the spool's disk is full"), StoreFailed("the spool is gone")])
async def test_neither_is_ready_once_nothing_commits(state: SpoolState | None, trouble: Exception) -> None:
    shared = Shared(state)
    shared.trouble = trouble
    assert (await told(shared))[:2] == (str(trouble), str(trouble))
    shared.trouble = None
    shared.readiness.on_rejected(
        WebhookRejected(source="crm", reason=Rejection.UNAVAILABLE, detail="late", remote="", took=timedelta())
    )
    assert await shared.readiness.store_unready() == "late"


@pytest.mark.parametrize("state", [None, DIRECT, AWAY])
async def test_a_relay_that_stops_takes_no_webhook(state: SpoolState | None) -> None:
    shared = Shared(state)
    shared.stopping = True
    assert (await told(shared))[:2] == ("stopping", "stopping")


async def test_losses_are_remarked_on_beside_the_spool() -> None:
    lost = "webhooks that were answered 200 are missing, at most 3: relay verify"
    assert await Shared(DIRECT).answers() == (None, None, lost)
    assert await Shared(AWAY).answers() == (None, SPOOLING, f"{SPOOLING}; {lost}")
