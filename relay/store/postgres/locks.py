"""Ordering keys and entities -> advisory locks, which a transaction takes in one statement of its own, before others.

Two transactions must not insert, settle or replay deliveries of one key at the same time: settle would see no
successor, keep would see a predecessor, and the delivery would wait for ever. They are transaction locks of few
buckets: the server's lock table is small and shared, and 20,000 locks of one webhook do not fit into it.

A lock is of a key alone, not of key and target: one for all targets of an event, and SQL can compute it.
"""

import hashlib
from collections.abc import Iterable

from relay.store.postgres.migrate import LOCK

BUCKETS = 512
_FIRST = LOCK + 1

TAKE = "select pg_advisory_xact_lock(lock) from unnest(%s::bigint[]) lock"
"""Take what `locks` returned; in that order, or two transactions wait for each other."""


def hashed(key: str) -> bytes:
    """Return what `deliveries.key` holds: a key may be longer than an entry of an index."""
    return hashlib.blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest()


def hashed_hook(source: str, channel: str, key: str) -> bytes:
    """Return the hash of what hooks and events of the feed share that can match.

    A transaction that stores such a hook excludes one that heals such an event: neither would see the other's row.
    """
    return hashed("\0".join((source, channel, key)))


def locks(hashes: Iterable[bytes]) -> list[int]:
    """Return the locks of these hashes, each once, sorted."""
    return [_FIRST + bucket for bucket in sorted({(each[0] << 8 | each[1]) % BUCKETS for each in hashes})]


def take_of(keys: str) -> str:
    """SQL that takes the locks of `keys`, a query of one column `key`: what `deliveries.key` holds, or null."""
    bucket = f"mod(get_byte(key, 0) * 256 + get_byte(key, 1), {BUCKETS})"
    return (
        f"select pg_advisory_xact_lock({_FIRST} + bucket) from (select distinct {bucket} as bucket"
        f" from ({keys}) keys where key is not null order by bucket) buckets"
    )
