"""`relay.operations.replay`: a filter or ids -> deliveries that are pending and due, and who did it."""

from dataclasses import replace

import pytest

from relay.errors import ConflictError, NotFoundError
from relay.model import State
from relay.operations.replay import replay, replay_ids
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.cli.conftest import CALL, GARBLED, MINUTE, NOON, OFFER, event_of
from tests.operations.conftest import BY, last

DEAD = Filter(states=(State.DEAD,))


async def test_dead_deliveries_are_due_when_they_are_replayed(store: Archive) -> None:
    done = await replay(store, DEAD, by=BY, now=NOON + MINUTE)
    assert (done.found, done.replayed, done.done, done.nothing) == ({"warehouse": 1}, 1, 1, False)
    [delivery] = await store.find(Filter(target="warehouse", entity="leads"), limit=9)
    assert (delivery.state, delivery.due_at, delivery.replays) == (State.PENDING, NOON + MINUTE, 1)
    entry = await last(store)
    assert (entry.command, entry.who, entry.count) == ("replay", BY, 1)
    assert entry.details == {"states": ["dead"]}


async def test_a_dry_run_counts_and_changes_nothing(store: Archive) -> None:
    done = await replay(store, DEAD, by=BY, now=NOON, dry_run=True)
    assert (done.found, done.replayed) == ({"warehouse": 1}, 0)
    assert await store.count(DEAD) == {"warehouse": 1}
    assert await store.audit(limit=9) == []


async def test_a_filter_that_fits_nothing_is_no_act(store: Archive) -> None:
    done = await replay(store, replace(DEAD, target="nowhere"), by=BY, now=NOON)
    assert done.nothing
    assert await store.audit(limit=9) == []


async def test_by_ids_only_their_deliveries_are_replayed(store: Archive, config: Config) -> None:
    done = await replay_ids(store, [OFFER], Filter(states=(State.DELIVERED,)), lambda: config, by=BY, now=NOON)
    assert (done.targets, done.done) == ({"sales-bot": 1}, 1)
    assert (await last(store)).details == {"event_ids": [event_of(OFFER)], "states": ["delivered"]}


async def test_ids_that_fit_nothing_are_an_error_that_says_why(store: Archive, config: Config) -> None:
    with pytest.raises(NotFoundError, match="nothing dead under these ids"):
        await replay_ids(store, [CALL], DEAD, lambda: config, by=BY, now=NOON)
    with pytest.raises(NotFoundError, match="no id in the store starts with 'ffff'"):
        await replay_ids(store, ["ffff"], DEAD, lambda: config, by=BY, now=NOON)
    with pytest.raises(NotFoundError, match="no events came of these webhooks"):
        await replay_ids(store, [GARBLED], DEAD, lambda: config, by=BY, now=NOON)
    with pytest.raises(ConflictError, match="several webhooks have an id that starts with '019a'"):
        await replay_ids(store, ["019a"], DEAD, lambda: config, by=BY, now=NOON)
    assert await store.audit(limit=9) == []
