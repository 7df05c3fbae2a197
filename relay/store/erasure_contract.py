"""What a store promises to those who erase the data of a person; `tests/store/test_erasure.py` holds each promise."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from relay.model.erasure import Tombstone
from relay.store.erasure_records import ErasedWebhook, OpenErasure, StoredWebhook
from relay.store.records import AuditEntry


class ErasureStore(Protocol):
    """Verbs of `Store.erasure`. Transactions are short, so that webhooks that arrive come first."""

    async def bury(self, tombstones: Sequence[Tombstone], act: AuditEntry) -> None:
        """Store tombstones, one commit with the audit entry: the erasure has begun, and is open.

        From then on nothing that happened to these up to their time comes back whole by `reparse`, by `forward` of a
        spool, or by healing: its events keep their ids and are planned for nobody, a record of healing is final. What
        healing knows of them loses what changed.
        """
        ...

    async def tombstones(self) -> Sequence[Tombstone]:
        """Return all of them."""
        ...

    async def history(self, after: int, *, most: int) -> Sequence[StoredWebhook]:
        """Return the oldest webhooks whose seq is greater, at most so many, fewer if they are large; [] at the end."""
        ...

    async def stored(self, seqs: Collection[int]) -> Sequence[StoredWebhook]:
        """Return those of these webhooks that are stored, in their order."""
        ...

    async def erase(self, webhooks: Sequence[ErasedWebhook], act: AuditEntry) -> int:
        """Replace what these hold; return how many pending deliveries became dead, with the reason `erased`.

        Of an event that is erased as a whole: what its attempts told goes, and its deliveries are never attempted,
        replayed or rerouted again; what an attempt under way tells later is not stored, nor what is fetched for it.
        The audit entry counts the events.
        """
        ...

    async def scrub(self, found: Callable[[str], bool], events: Collection[int]) -> Mapping[str, int]:
        """Blank every other text that is `found`; return how many by the name of their table.

        Those are texts of attempts, of targets, relays and operators. Of attempts also the texts of all that shared a
        request with one of these events.
        """
        ...

    async def conclude(self, act: AuditEntry, count: int) -> None:
        """Replace the audit entry of the act: its details are the receipt."""
        ...

    async def open_erasures(self) -> Sequence[OpenErasure]:
        """Return the erasures that are not complete yet, and what each waits for, the oldest first."""
        ...

    async def out_of_reach(self) -> Sequence[str]:
        """Return where copies of the store may be that it does not erase, as `relay.db.before-9`."""
        ...

    async def rewrite(self) -> None:
        """Rewrite what may hold erased bytes, now; they are then in no file of the store.

        SQLite: in steps between commits, by the owner if there is one, and then it returns at once for another process.
        PostgreSQL: table by table, each under its lock, while relays spool; StoreBusy if a lock is not to be had.
        """
        ...
