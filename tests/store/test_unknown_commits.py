"""Every verb may be repeated after a commit whose answer was lost: it is as if it had been called once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from relay.errors import StoreBusy
from relay.model import Dead, Delivered, Health, Json, Retention, RetryAt, State
from relay.store.contract import Archive
from relay.store.records import Filter, HealthReport
from tests.store.conftest import MINUTE, NOON, OK, REFUSED, Kind, act, claim, deliver, routed, to, webhook

Verb = Callable[[Archive], Awaitable[object]]

LATER = NOON + timedelta(days=2)


async def prepare(store: Archive) -> None:
    """Events 1 to 5: claimed, dead, delivered, without deliveries, and due; and an unparsed webhook."""
    held = await store.keep(webhook(1), [routed(1, to("held", lease=MINUTE))])
    [dead] = await store.keep(webhook(2), [routed(2, to("bot", lease=MINUTE))])
    [done] = await store.keep(webhook(3), [routed(3, to("bot", lease=MINUTE))])
    await store.settle(dead, REFUSED, Dead("400"), now=NOON)
    await deliver(store, done)
    await store.keep(webhook(4), [routed(4)])
    await store.keep(webhook(5), [routed(5, to("due"))])
    await store.keep(webhook(6, unparsed="not UTF-8"), [])
    assert len(held) == 1


async def settled(store: Archive, verdict: Delivered | RetryAt) -> bool:
    """By the holder of the claim on event 1."""
    [delivery] = HELD[store]
    return await store.settle(delivery, OK, verdict, now=NOON)


HELD: dict[Archive, list] = {}

VERBS: dict[str, Verb] = {
    "keep": lambda store: store.keep(webhook(7), [routed(7, to("new"))]),
    "keep with events what was unparsed": lambda store: store.keep(webhook(6), [routed(6, to("new"))], now=NOON),
    "claim": lambda store: claim(store, "due"),
    "settle as delivered": lambda store: settled(store, Delivered()),
    "settle as a retry": lambda store: settled(store, RetryAt(NOON + MINUTE)),
    "release": lambda store: store.release(HELD[store], now=NOON),
    "replay": lambda store: store.replay(Filter(states=(State.DEAD, State.DELIVERED)), act(at=LATER)),
    "reroute": lambda store: store.reroute([routed(4, to("new"))], act(at=LATER)),
    "reparse": lambda store: store.reparse(webhook(6, unparsed="not UTF-8"), [routed(6, to("new"))], act(at=LATER)),
    "drop": lambda store: store.drop("due", act(at=LATER, command="drop")),
    "dismiss": lambda store: store.dismiss(Filter(), act(at=LATER, command="dismiss")),
    "dismiss_unparsed": lambda store: store.dismiss_unparsed(["webhook-0006"], act(at=LATER, command="dismiss")),
    "pause": lambda store: store.pause("bot", act(command="pause", reason="moves")),
    "resume": lambda store: store.resume("paused", act(command="resume")),
    "purge": lambda store: store.purge(
        Retention(delivered=timedelta(), dead=timedelta()), now=LATER, act=act(command="purge")
    ),
    "publish_health": lambda store: store.publish_health(
        {"bot": HealthReport(health=Health.OPEN, since=NOON, as_of=NOON)}
    ),
    "publish": lambda store: store.publish("files", {"a": 1}, now=NOON),
    "record_audit": lambda store: store.record_audit(act(command="backup"), 12),
    "accept_losses": lambda store: store.accept_losses(act(command="verify --accept-loss")),
    "probe": lambda store: store.probe(),
    "fulfil_probes": lambda store: store.fulfil_probes({"paused": NOON}),
}


async def everything(store: Archive) -> Json:
    """All that can be asked of it, but for claims: what is claimed is due for nobody, or for whoever comes."""
    found = await store.find(Filter(), limit=100)
    shown = [await store.show(f"webhook-{number:04}") for number in range(1, 8)]
    status = await store.status()
    await store.release(HELD[store], now=NOON)
    due = {name: [d.event_id for d in await claim(store, name, now=LATER)] for name in ("held", "bot", "due", "new")}
    return {
        "deliveries": [(each.event_id, each.target, each.state, each.attempt, each.replays) for each in found],
        "attempts": [(e.id, d.attempts) for each in shown if each for e in each.events for d in e.deliveries],
        "unparsed": [each.id for each in await store.unparsed(limit=10)],
        "audit": await store.audit(limit=10),
        "targets": status.targets,
        "reports": status.reports,
        "due": due,
    }


@pytest.mark.parametrize("name", VERBS)
async def test_a_verb_repeated_after_a_lost_answer_is_done_once(
    name: str, kind: Kind, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = []
    for lost in (False, True):
        store = kind.open_store(tmp_path_factory.mktemp("store"), NOON)
        await prepare(store)
        await store.pause("paused", act(9, command="pause"))
        await store.replay(Filter(states=(State.PENDING,), target="due"), act(8))  # a wish for a probe
        HELD[store] = [each for each in await claim(store, "held", now=NOON + MINUTE) if each.target == "held"]
        if lost:
            kind.lose_answer(store, monkeypatch)
            with pytest.raises(StoreBusy):
                await VERBS[name](store)
        await VERBS[name](store)
        ends.append(await everything(store))
        await store.close()
    assert ends[0] == ends[1]


async def test_what_a_lost_answer_left_claimed_at_insert_is_due(
    store: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await store.keep(webhook(), [routed(1, to(lease=60 * MINUTE))])
    assert await store.keep(webhook(), [routed(1, to(lease=60 * MINUTE))]) == []
    [again] = await claim(store)
    assert again.attempt == 1, "nobody could make an attempt"


async def test_what_a_lost_answer_left_claimed_is_due_and_not_what_others_hold(
    store: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.keep(webhook(), [routed(n, to()) for n in (1, 2, 3)])
    [first] = await claim(store, limit=1)
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await claim(store, limit=1)
    again = await claim(store)
    assert [(each.event_id, each.attempt) for each in again] == [("event-0002", 1), ("event-0003", 1)]
    assert await deliver(store, first)
    assert all([await deliver(store, each) for each in again])


async def test_what_was_claimed_for_a_caller_that_has_gone_is_due(store: Archive) -> None:
    await store.keep(webhook(), [routed(1, to())])
    asked = asyncio.ensure_future(claim(store, now=store.clock()))
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    async with asyncio.timeout(30):
        while not (again := await claim(store, now=store.clock())):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
    assert [each.attempt for each in again] == [1]


@pytest.mark.parametrize("rate", [None, 1.0])
async def test_a_replay_repeated_after_a_lost_answer_moves_what_waits_for_its_turn_no_further(
    store: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch, rate: float | None
) -> None:
    for number in (1, 2, 3):
        await store.keep(webhook(number), [routed(number, to())])
    for each in await claim(store):
        await store.settle(each, REFUSED, RetryAt(LATER), now=NOON)
    wanted = Filter(states=tuple(State))
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await store.replay(wanted, act(), rate=rate)
    first = [(each.due_at, each.replays) for each in await store.find(Filter(), limit=9)]
    assert await store.replay(wanted, act(), rate=rate) == 0
    assert [(each.due_at, each.replays) for each in await store.find(Filter(), limit=9)] == first
    assert [each.count for each in await store.audit(limit=9)] == [3]


async def test_a_repeated_replay_leaves_alone_what_came_of_the_first_call(
    store: Archive, kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One was delivered meanwhile, one has failed once more, and one died."""
    born = await store.keep(webhook(1), [routed(number, to(lease=MINUTE)) for number in (1, 2, 3)])
    for each in born:
        await store.settle(each, REFUSED, Dead("400"), now=NOON)
    kind.lose_answer(store, monkeypatch)
    with pytest.raises(StoreBusy):
        await store.replay(Filter(states=tuple(State)), act(at=NOON + MINUTE))
    delivered, failed, dead = await claim(store, now=NOON + MINUTE)
    await deliver(store, delivered, now=NOON + MINUTE)
    await store.settle(failed, REFUSED, RetryAt(LATER), now=NOON + MINUTE)
    await store.settle(dead, REFUSED, Dead("400"), now=NOON + MINUTE)
    assert await store.replay(Filter(states=tuple(State)), act(at=NOON + MINUTE)) == 0
    assert await store.replay(Filter(states=(State.DEAD,)), act(2, at=NOON + MINUTE)) == 1, "another act is none of it"
    assert [each.count for each in await store.audit(limit=9)] == [1, 3]
