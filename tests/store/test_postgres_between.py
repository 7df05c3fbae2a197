"""What may stand between a relay and PostgreSQL: a pooler of connections, TLS, a file of passwords."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import trustme

from relay.errors import StoreBusy
from relay.model import Delivered, Retention
from relay.store.postgres.store import PostgresStore
from relay.store.records import Duplicate, Filter
from tests.certificates import Pair
from tests.postgres import Cluster
from tests.store.conftest import OK, act, routed, to, webhook
from tests.store.test_postgres_connection import bouncer, busy, open_

HOUR = timedelta(hours=1)


async def test_behind_pgbouncer_a_relay_keeps_claims_settles_and_replays(postgres_dsn: str, postgres: Cluster) -> None:
    with bouncer(postgres_dsn, postgres) as through:
        relays = [
            PostgresStore(through, name=name, emit=lambda _signal: None, prepare=False, durable=False) for name in "ab"
        ]
        for each in relays:
            async with asyncio.timeout(20):
                while not each.registered:
                    with suppress(StoreBusy):
                        await each.ready()
        a, b = relays
        kept = await asyncio.gather(
            *(a.keep(webhook(n), [routed(n, to(key="k"), to("dwh"))], window=HOUR) for n in range(20)),
            *(b.keep(webhook(n), [routed(n, to(key="k"), to("dwh"))], window=HOUR) for n in range(20, 40)),
        )
        assert sum(isinstance(each, Duplicate) for each in kept) == 39, "the same body"
        claimed = [
            each
            for store in relays
            for target in ("bot", "dwh")
            for each in await store.claim(target, limit=10, max_bytes=10**6, now=store.clock() + HOUR, lease=HOUR)
        ]
        assert [each.target for each in claimed] == ["bot", "dwh"]
        assert [await a.settle(each, OK, Delivered(), now=a.clock()) for each in claimed] == [True, True]
        assert await b.replay(Filter(), act()) == 2
        assert await a.purge(Retention(delivered=HOUR), now=a.clock()) == {}
        for each in relays:
            await each.close()
    with psycopg.connect(postgres_dsn) as connection:
        assert connection.execute("select count(*) from relays where gone_at is null").fetchone() == (0,)


# ---- TLS


@pytest.fixture
def tls(postgres: Cluster) -> Iterator[Pair]:
    """The server has this certificate meanwhile."""
    pair = Pair.within(postgres.folder)
    pair.key.chmod(0o600)
    for each in pair.files:
        shutil.chown(each, *(["nobody"] if os.geteuid() == 0 else [os.geteuid()]))
    try:
        postgres.configure(ssl="on", ssl_cert_file=str(pair.certificate), ssl_key_file=str(pair.key))
    except psycopg.errors.InvalidParameterValue as error:  # of the wheel's PostgreSQL
        pytest.skip(str(error))
    yield pair
    postgres.configure(ssl="off")


async def test_the_server_is_verified_and_the_password_is_in_a_file(
    postgres_dsn: str, postgres: Cluster, tls: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passwords = tmp_path / "passwords"
    passwords.write_text(f"127.0.0.1:{postgres.port}:*:relay:{postgres.password}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    for name, authority in (("ours", tls.authority), ("another", trustme.CA())):
        authority.cert_pem.write_to_path(tmp_path / name)
    place = f"postgresql://relay@127.0.0.1:{postgres.port}/{postgres_dsn.rpartition('/')[2]}?sslmode=verify-full&sslrootcert="
    async with open_(f"{place}{tmp_path / 'ours'}") as connection:
        encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()"
        assert await connection.run([(encrypted, ())]) == [[(True,)]]
    async with open_(f"{place}{tmp_path / 'another'}") as connection:
        await busy(connection.run([("select 1", ())]), "certificate verify failed$")
