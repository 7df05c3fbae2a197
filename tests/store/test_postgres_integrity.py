"""What `relay verify` finds in a PostgreSQL store that does not fit together."""

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from relay.store.postgres import integrity
from relay.store.postgres.store import PostgresStore
from relay.store.records import IntegrityReport
from relay.store.url import PostgresUrl, parse_store_url
from tests.store.conftest import MINUTE, NOON, routed, to, webhook


@pytest.fixture
async def url(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[PostgresUrl]:
    """Of a store with two deliveries of one key, one alone, and one that a relay which lives has claimed."""
    monkeypatch.setattr(integrity, "MENDED_AFTER", 0.0)
    store = PostgresStore(postgres_dsn, name="one", emit=lambda _signal: None, durable=False, machine=lambda: NOON)
    await store.ready()
    await store.keep(webhook(1), [routed(1, to(key="lead-7")), routed(2, to(key="lead-7")), routed(3, to("dwh"))])
    await store.keep(webhook(2), [routed(4, to("erp", lease=MINUTE))])
    parsed = parse_store_url(postgres_dsn)
    assert isinstance(parsed, PostgresUrl)
    yield parsed
    await store.close()


async def verified(url: PostgresUrl, *changes: str) -> IntegrityReport:
    with psycopg.connect(url.dsn, autocommit=True) as connection:
        for change in changes:
            connection.execute(change.encode())
    return await asyncio.to_thread(integrity.verify, url)


async def test_a_store_that_is_in_use_is_sound(url: PostgresUrl) -> None:
    report = await verified(url)
    assert report.sound and not report.structure
    assert {name: (each.rows, each.unmarked) for name, each in report.contents.items()} == {
        "webhooks": (2, 0),
        "events": (4, 0),
    }


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            ["update deliveries set due_at = null where key is not null"],
            "ordering keys with pending deliveries of",
        ),
        (
            ["drop index deliveries_head", "update deliveries set due_at = 1 where key is not null"],
            "ordering keys with more than one delivery that is due: 1",
        ),
        (
            ["update deliveries set due_at = null where target = 'dwh'"],
            "pending deliveries with no due time and no",
        ),
        (
            ["update deliveries set claim = 99::bigint << 40 where target = 'dwh'"],
            "deliveries claimed by no relay that",
        ),
        (["delete from events where seq = 3"], "deliveries that belong to no event: 1"),
        (["delete from webhooks where seq = 2"], "events that belong to no webhook: 1"),
        (
            ["insert into attempts values (1, 'nobody', 1, 0, 0, 'retry', '5xx', 503, '')"],
            "attempts that belong to no delivery: 1",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
async def test_what_does_not_fit_is_counted_and_nothing_else_is(
    url: PostgresUrl, changes: list[str], fault: str
) -> None:
    report = await verified(url, *changes)
    assert [each[: len(fault)] for each in report.structure] == [fault]
    assert not report.sound


async def test_a_bit_that_has_changed_is_found_on_whichever_page(
    url: PostgresUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(integrity, "PAGE", 2)
    monkeypatch.setattr(integrity, "MOST_BYTES", 1)
    report = await verified(
        url, "update events set payload = '{}' where seq in (1, 4)", "update webhooks set body = ''"
    )
    assert report.contents["events"].corrupt == ("event-0001", "event-0004")
    assert report.contents["webhooks"].corrupt == ("webhook-0001", "webhook-0002")


async def test_the_claims_of_relays_wait_where_none_lives(url: PostgresUrl) -> None:
    assert (await verified(url, "update relays set gone_at = 0")).sound
