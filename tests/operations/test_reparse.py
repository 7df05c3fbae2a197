"""`relay.operations.reparse`: unparsed webhooks -> events, or why not; and who did it."""

from collections.abc import Sequence
from typing import Any

import pytest

from relay.errors import ConflictError
from relay.operations.reparse import Reparsed, reparse
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.cli.conftest import CYRILLIC, GARBLED, NOON, OFFER
from tests.operations.conftest import BY, last


async def reparsed(store: Archive, ids: Sequence[str], config: Config, **more: Any) -> list[Reparsed]:
    return [each async for each in reparse(store, ids, config, by=BY, now=NOON, **more)]


async def test_what_can_be_read_by_now_gets_its_events(store: Archive, config: Config) -> None:
    [done] = await reparsed(store, [CYRILLIC], config, charset="cp1251")
    assert (done.webhook.id, done.unparsed, len(done.routed)) == (CYRILLIC, None, 1)
    record = await store.show(CYRILLIC)
    assert record
    assert record.webhook.unparsed is None
    assert [each.target for event in record.events for each in event.deliveries] == ["warehouse"]
    entry = await last(store)
    assert (entry.command, entry.who, entry.count) == ("reparse", BY, 1)
    assert entry.details == {"ids": [CYRILLIC], "charset": "cp1251"}


async def test_what_cannot_be_read_stays_with_its_reason_and_is_no_act(store: Archive, config: Config) -> None:
    [done] = await reparsed(store, [GARBLED], config)
    assert (done.webhook.id, done.routed) == (GARBLED, ())
    assert (done.unparsed or "").startswith("no events")
    assert await store.audit(limit=9) == []


async def test_without_ids_it_is_all_and_one_act(store: Archive, config: Config) -> None:
    done = await reparsed(store, [], config, charset="cp1251")
    assert [(each.webhook.id, each.unparsed is None) for each in done] == [(GARBLED, False), (CYRILLIC, True)]
    assert len(await store.audit(limit=9)) == 1


async def test_a_dry_run_changes_nothing(store: Archive, config: Config) -> None:
    [done] = await reparsed(store, [CYRILLIC], config, charset="cp1251", dry_run=True)
    assert done.unparsed is None
    assert [each.id for each in await store.unparsed(limit=9)] == [GARBLED, CYRILLIC]
    assert await store.audit(limit=9) == []


async def test_what_was_read_before_is_a_conflict(store: Archive, config: Config) -> None:
    with pytest.raises(ConflictError, match=f"{OFFER} is not unparsed"):
        await reparsed(store, [OFFER], config)
