"""Deaths in PostgreSQL that a row does not date, as one that was written by hand."""

import psycopg

from relay.store.postgres.store import PostgresStore
from tests.store.conftest import MINUTE, NOON, routed, to, webhook
from tests.store.test_dismiss import REFUSED, Dead


async def test_a_death_without_a_time_does_not_keep_the_status_from_the_others(postgres_dsn: str) -> None:
    store = PostgresStore(postgres_dsn, name="one", emit=lambda _signal: None, durable=False, machine=lambda: NOON)
    try:
        await store.ready()
        [one] = await store.keep(webhook(1), [routed(1, to(lease=MINUTE))])
        await store.settle(one, REFUSED, Dead("no"), now=NOON)
        with psycopg.connect(postgres_dsn, autocommit=True) as connection:
            connection.execute("update deliveries set settled_at = null")
        bot = (await store.status()).targets["bot"]
        assert (bot.dead, bot.deaths) == (1, None)
    finally:
        await store.close()
