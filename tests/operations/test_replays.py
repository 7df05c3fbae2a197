"""POST /replays, /reparse, /purge: what they count is what they do, under one id, and only if it is said which."""

from typing import Any

import pytest

from relay.model import Reason, State
from relay.operations.desk import Desk
from relay.operations.purges import PURGE, Purge
from relay.operations.reading import InvalidParameters
from relay.operations.reparses import REPARSE, Reparse
from relay.operations.replays import REPLAYS, Replays
from relay.operations.which import Which
from relay.store.contract import Archive
from tests.cli.conftest import CYRILLIC, NOON
from tests.operations.conftest import last

ACT = "0d4f7a52-8a3c-5c1e-9a35-0c8e5b0e5a01"


async def test_a_dry_run_counts_what_a_replay_does(store: Archive, desk: Desk) -> None:
    asked = Which(target="warehouse")
    counted = await desk.ask(REPLAYS, Replays(filter=asked, dry_run=True))
    assert (counted.targets, counted.total, counted.done, counted.dry_run) == ({"warehouse": 1}, 1, 0, True)
    assert await store.audit(limit=9) == []
    done = await desk.ask(REPLAYS, Replays(filter=asked))
    assert (done.targets, done.total, done.done) == ({"warehouse": 1}, 1, 1)
    assert (await last(store)).command == "replay"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Replays(), "filter: say which"),
        (Replays(all_dead=True, ids=("a",)), "all_dead: stands alone"),
        (Replays(reroute=True), "filter: say how far back"),
        (Replays(reroute=True, unrouted=True), "reroute: looks for events"),
        (Replays(unrouted=True, filter=Which(state=(State.DEAD,))), "unrouted: looks for events"),
        (Replays(reroute=True, filter=Which(since=NOON, reason=Reason.TIMEOUT)), "whatever became of them"),
        (Replays(unrouted=True, filter=Which(dismissed=True)), "whatever became of them"),
    ],
)
async def test_a_replay_of_everything_is_not_begun_by_a_slip(
    store: Archive, desk: Desk, asked: Replays, said: str
) -> None:
    with pytest.raises(InvalidParameters, match=said):
        await desk.ask(REPLAYS, asked)
    assert await store.audit(limit=9) == []


@pytest.mark.parametrize(
    ("operation", "asked"),
    [(REPLAYS, Replays(all_dead=True)), (REPARSE, Reparse(ids=(CYRILLIC,), charset="cp1251"))],
)
async def test_an_act_has_the_id_that_its_key_gives(store: Archive, desk: Desk, operation: Any, asked: Any) -> None:
    await Desk(store, desk.asker, config=desk.config, act_id=ACT).ask(operation, asked)
    assert [each.id for each in await store.audit(limit=9)] == [ACT]


async def test_a_webhook_that_stays_unparsed_says_why(desk: Desk) -> None:
    done = await desk.ask(REPARSE, Reparse(dry_run=True))
    assert done.left == len([each for each in done.webhooks if each.unparsed]) > 0


@pytest.mark.parametrize(
    ("operation", "asked", "said"),
    [
        (REPARSE, Reparse(charset="cp1252"), "charset: no charset 'cp1252'"),
        (PURGE, Purge(older_than="9999999999d"), "older_than: is too long ago"),
    ],
)
async def test_what_cannot_be_read_is_said(desk: Desk, operation: Any, asked: Any, said: str) -> None:
    with pytest.raises(InvalidParameters, match=said):
        await desk.ask(operation, asked)
