"""Tombstones, and what is kept of an event that one of them forbids; inside the transaction that stores it."""

from collections.abc import Sequence

from relay.model import Webhook
from relay.model.erasure import Tombstone
from relay.store.checksum import checksum
from relay.store.erasure_rows import tombstone_of
from relay.store.postgres.arrays import Texts
from relay.store.postgres.connection import Transaction
from relay.store.postgres.text import clean

TOMBSTONES = "select entity, entity_id, source, at, act from tombstones order by at, entity, entity_id"
_WEBHOOK = "update webhooks set body = %s, checksum = %s, query = %s where id = %s"
_EVENTS = "update events set erased_at = %s where id = any(%s::text[])"


async def tombstones(transaction: Transaction) -> list[Tombstone]:
    """Return all of them; mostly there are none."""
    return [tombstone_of(row) for row in await transaction.rows(TOMBSTONES)]


async def mark_erased(transaction: Transaction, webhook: Webhook, events: Sequence[str], now: int) -> None:
    """Note that of these events only ids are left, and replace the body of a webhook that was stored before."""
    kept = (webhook.body, checksum(webhook.body), clean(webhook.query), clean(webhook.id))
    await transaction.rows(_WEBHOOK, kept)
    await transaction.rows(_EVENTS, (now, Texts(map(clean, events))))
