"""A store that was closed: every verb fails, none of them hangs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from relay.errors import StoreFailed
from relay.model import Retention, State
from relay.store.contract import Archive
from relay.store.records import Filter
from tests.store.conftest import MINUTE, NOON, Reopen, act, claim, deliver, routed, to, webhook

VERBS: dict[str, Callable[[Archive], Awaitable[object]]] = {
    "keep": lambda store: store.keep(webhook(2), [routed(2, to())]),
    "claim": claim,
    "release": lambda store: store.release([], now=NOON),
    "due": lambda store: store.due(["bot"]),
    "fulfil_probes": lambda store: store.fulfil_probes({"bot": NOON}),
    "publish_health": lambda store: store.publish_health({}),
    "published_health": lambda store: store.published_health(),
    "publish": lambda store: store.publish("files", [], now=NOON),
    "show": lambda store: store.show("webhook-0001"),
    "probe": lambda store: store.probe(),
    "losses": lambda store: store.losses(),
    "purge": lambda store: store.purge(Retention(unrouted=timedelta()), now=NOON),
    "audit_changes": lambda store: store.audit_changes(None),
    "status": lambda store: store.status(),
    "starting": lambda store: store.starting("webhook", limit=1),
    "find": lambda store: store.find(Filter(), limit=1),
    "count": lambda store: store.count(Filter()),
    "unparsed": lambda store: store.unparsed(limit=1),
    "webhooks": lambda store: store.webhooks(limit=1, max_bytes=1),
    "events": lambda store: store.events(Filter(), limit=1),
    "replay": lambda store: store.replay(Filter(states=(State.DEAD,)), act()),
    "reroute": lambda store: store.reroute([routed(1, to())], act()),
    "reroutable": lambda store: store.reroutable([routed(1, to())]),
    "drop": lambda store: store.drop("bot", act()),
    "dismiss": lambda store: store.dismiss(Filter(), act()),
    "dismiss_unparsed": lambda store: store.dismiss_unparsed(["webhook-0001"], act()),
    "pause": lambda store: store.pause("bot", act()),
    "resume": lambda store: store.resume("bot", act()),
    "reparse": lambda store: store.reparse(webhook(1), [routed(1, to())], act()),
    "record_audit": lambda store: store.record_audit(act(), 1),
    "end_sessions": lambda store: store.end_sessions(act()),
    "accept_losses": lambda store: store.accept_losses(act()),
    "audit": lambda store: store.audit(limit=1),
    "bury": lambda store: store.erasure.bury([], act()),
    "tombstones": lambda store: store.erasure.tombstones(),
    "history": lambda store: store.erasure.history(0, most=1),
    "open_erasures": lambda store: store.erasure.open_erasures(),
    "conclude": lambda store: store.erasure.conclude(act(), 1),
}


@pytest.mark.parametrize("name", VERBS)
async def test_a_store_that_was_closed_cannot_be_used_again(opener: Reopen, name: str) -> None:
    store = opener(NOON)
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        async with asyncio.timeout(30):
            await VERBS[name](store)


async def test_what_a_closed_store_refuses_is_not_done(opener: Reopen) -> None:
    store = opener(NOON)
    [delivery] = await store.keep(webhook(), [routed(1, to(lease=MINUTE))])
    await store.close()
    with pytest.raises(StoreFailed, match="closed"):
        async with asyncio.timeout(30):
            await deliver(store, delivery)
    store = opener(NOON)
    [kept] = await store.find(Filter(), limit=9)
    await store.close()
    assert kept.state == State.PENDING
