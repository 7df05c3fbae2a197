"""Day two of a real process: paused and resumed, asked twice, purged, and copied while it works."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from relay.model import Event, PlannedDelivery, RoutedEvent, Webhook
from relay.store.sqlite.store import SqliteStore
from tests.e2e.history import judge
from tests.e2e.processes import RELAY, RelayProcess, run, running, until
from tests.e2e.sender import Load, body, lead, post, post_lead
from tests.e2e.targets import Behaviour, Targets, hanging, listening, refusing, well

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{timeout: 5s, concurrency: 4, retry: {{initial: 50ms, max: 500ms}}}}
targets:
  bot: {{url: "{bot}"}}
  dwh: {{url: "{dwh}"}}
routes:
  - {{name: all, match: {{entity: leads}}, to: [bot, dwh]}}
"""
BOTH = frozenset({"bot", "dwh"})


def routes(targets: Targets) -> str:
    return ROUTES.format(bot=targets.url("bot"), dwh=targets.url("dwh"))


@asynccontextmanager
async def scene(folder: Path, *, bot: Behaviour = well) -> AsyncIterator[tuple[RelayProcess, Targets]]:
    async with listening(bot=bot, dwh=well) as targets, running(folder, routes(targets)) as relay:
        yield relay, targets


async def order(relay: RelayProcess, *arguments: str) -> str:
    """What a command prints that changes something."""
    store = f"--store=sqlite:///{relay.store}"
    code, printed, complaint = await run(*RELAY, *arguments, store, RELAY_CONFIG=str(relay.routes))
    assert code == 0, complaint
    return printed


# ---- pause and resume


async def test_a_paused_target_gets_nothing_until_it_is_resumed_not_even_after_kill_9(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets):
        await order(relay, "pause", "bot", "--reason", "upgrade")
        await until(lambda: is_paused(relay))
        load = Load(url=relay.hook, stages={1: BOTH}, per_second=200)
        async with load.flowing():
            await until(lambda: load.acknowledged >= 50)
        await relay.kill()
        await relay.start()
        await until(lambda: is_paused(relay))  # the gauge is up to a second late
        await until(lambda: len(set(targets.accepted("dwh"))) == load.acknowledged)
        assert targets.of("bot") == []
        [bot, _dwh] = (await relay.command("status"))["targets"]
        assert (bot["pending"], bot["paused"]["reason"]) == (load.acknowledged, "upgrade")
        await order(relay, "resume", "bot")
        await relay.drained()
        assert not judge(load.sent, targets.received).lost
        assert {each.attempt for each in targets.of("bot")} == {1}, "waiting spent no attempt"
        assert not await is_paused(relay)


async def is_paused(relay: RelayProcess) -> bool:
    return await relay.metric("relay_target_state", target="bot", state="paused") == 1


# ---- repeats


async def test_a_webhook_that_is_sent_again_after_kill_9_is_the_same_webhook(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets):
        content = body("leads[update][0]", lead(7, "m1", 1) | {"last_modified": 1764000600})
        first = await post(relay.hook, content)
        await relay.kill()
        await relay.start()
        again = await post(relay.hook, content)
        assert again == {"webhook": first["webhook"], "events": 1, "deliveries": 0, "duplicate": True}
        assert await relay.metric("relay_webhooks_total", source="crm", outcome="duplicate") == 1
        await relay.drained()
        assert {each.event_id for each in targets.received} == {targets.of("dwh")[0].event_id}


# ---- retention


async def test_a_daemon_purges_what_its_routes_file_no_longer_wants_kept(tmp_path: Path) -> None:
    await fill(tmp_path / "relay.db", datetime.now(UTC) - timedelta(days=100))
    async with scene(tmp_path) as (relay, targets):
        purged, *_ = await relay.said("purged")
        assert (purged["unrouted"], purged["unparsed"]) == (1, 1)
        assert (await relay.command("list", "--unparsed"))["data"] == []
        await until(lambda: len(targets.received) == 1)
        assert [each.event_id for each in targets.received] == ["owed"], "a pending delivery is made, however old"


async def fill(path: Path, at: datetime) -> None:
    """A pending event, one without a route, and an unparsed webhook, all of that age."""
    store = SqliteStore.open(path, now=at, emit=lambda _signal: None, failed=lambda: None)
    for name, planned in (("owed", (PlannedDelivery(target="bot", routes=("all",)),)), ("unrouted", ())):
        event = Event(id=name, source="crm", received_at=at, account={}, entity="leads", action="add", data={"id": 1})
        payload = b'{"data": {"name": "m1"}}'
        webhook = Webhook(id=f"webhook-{name}", source="crm", received_at=at, body=b"leads[add][0][id]=1")
        await store.keep(webhook, [RoutedEvent(event=event, payload=payload, planned=planned)])
    await store.keep(Webhook(id="unread", source="crm", received_at=at, body=b"?", unparsed="no events"), [])
    await store.close()


# ---- backup


async def test_a_copy_made_under_load_has_all_that_was_answered_before_and_is_drained(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    async with scene(tmp_path, bot=hanging) as (relay, targets):
        load = Load(url=relay.hook, stages={1: BOTH}, per_second=200)
        async with load.flowing():
            await until(lambda: load.acknowledged >= 100)
            before = [each.marker for each in load.sent if each.acknowledged]
            printed = await order(relay, "backup", str(copy / "relay.db"))
            await until(lambda: load.acknowledged >= len(before) + 100)
        assert "verified" in printed
        assert load.acknowledged == len(load.sent), "nobody was refused for it"
        relay.signal(signal.SIGTERM)
        assert await relay.ended() == 0
        targets.behaviour["bot"] = well
        targets.received.clear()
        async with running(copy, routes(targets)) as restored:
            await restored.drained()
            assert set(before) <= set(targets.accepted("bot"))
            assert not restored.faults()


async def test_a_replay_of_what_no_route_took_is_delivered_by_the_running_daemon(tmp_path: Path) -> None:
    async with scene(tmp_path) as (relay, targets):
        file = relay.routes.read_text()
        relay.routes.write_text(file.replace("entity: leads", "entity: contacts"))
        await relay.said("routes reloaded")
        await post_lead(relay.hook, "m1")
        relay.routes.write_text(file)
        assert "replayed 2" in await order(relay, "replay", "--unrouted", "--rate", "20/s")
        await until(lambda: len(targets.received) == 2)
        assert {each.headers["relay-replay"] for each in targets.received} == {"true"}
        [act] = await relay.command("audit")
        assert (act["command"], act["count"]) == ("replay --unrouted", 2)


async def test_what_a_target_put_off_for_a_day_is_delivered_now_by_a_replay(tmp_path: Path) -> None:
    async with scene(tmp_path, bot=refusing(1, **{"Retry-After": "86400"})) as (relay, targets):
        await post_lead(relay.hook, "m1")
        await until(lambda: len(targets.of("bot")) == 1)
        assert "replayed 0" in await order(relay, "replay", "--target", "bot", "--since", "1h")
        await relay.said("attempt", 2)
        await until(lambda: is_put_off(relay))
        assert "replayed 1" in await order(relay, "replay", "--target", "bot", "--state", "pending")
        await relay.drained()
        assert targets.accepted("bot") == ["m1"]


async def is_put_off(relay: RelayProcess) -> bool:
    """Its one delivery to `bot` waits for a later attempt."""
    [delivery] = (await relay.command("list", "--target", "bot"))["data"]
    due_at = delivery["due_at"]  # null while it is claimed
    return due_at is not None and datetime.fromisoformat(due_at) > datetime.now(UTC) + timedelta(hours=23)
