"""Unparsed webhooks -> the events and deliveries that the code and the routes of today make of them."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from uuid_utils import uuid7

from relay.account.heal.indexing import hooks_to_index, unknown_offset
from relay.amocrm import events, form
from relay.errors import ConflictError, UnreadableError
from relay.model import RoutedEvent, Webhook
from relay.model.heal import Hook
from relay.operations import audit
from relay.operations.lookup import pages, show
from relay.routes.config import Config
from relay.routes.plan import plan
from relay.store.contract import OperationsStore

PAGE = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Reparsed:
    """A webhook with its events, or with the reason why it stays `unparsed`."""

    webhook: Webhook
    routed: Sequence[RoutedEvent] = ()
    hooks: Sequence[Hook] = ()
    unparsed: str | None = None


async def reparse(
    store: OperationsStore,
    ids: Sequence[str],
    config: Config,
    *,
    charset: str | None = None,
    by: str,
    now: datetime,
    dry_run: bool = False,
    act_id: str | None = None,
) -> AsyncIterator[Reparsed]:
    """Read the webhooks with these ids or starts of ids again, or all unparsed ones; yield each once it is committed.

    ConflictError for a webhook that is not unparsed.
    """
    act = audit.entry("reparse", {"ids": [*ids], "charset": charset}, by=by, now=now, id_=act_id)
    async for webhook in _chosen(store, ids):
        reparsed = _read(webhook, config, charset)
        if reparsed.unparsed is None and not dry_run:
            await store.reparse(webhook, reparsed.routed, act, reparsed.hooks)
        yield reparsed


async def _chosen(store: OperationsStore, ids: Sequence[str]) -> AsyncIterator[Webhook]:
    for id_ in ids:
        webhook = (await show(store, id_)).record.webhook
        if webhook.unparsed is None:
            raise ConflictError(f"{webhook.id} is not unparsed: see relay show")
        yield webhook
    if not ids:
        async for page in pages(lambda after: store.unparsed(limit=PAGE, after=after)):
            for webhook in page:
                yield webhook


def _read(webhook: Webhook, config: Config, charset: str | None) -> Reparsed:
    if webhook.corrupt:
        return Reparsed(webhook=webhook, unparsed="its body in the store is corrupt, see relay verify")
    try:
        tree = form.decode(webhook.body, webhook.content_type, charset=charset)
        found = events.read(
            tree,
            source=webhook.source,
            received_at=webhook.received_at,
            new_id=lambda: str(uuid7()),
            query=webhook.query,
        )
        source = config.sources.get(webhook.source)
        if source and (refusal := source.refusal(found[0].account)):  # intake could not read whose it was
            return Reparsed(webhook=webhook, unparsed=refusal)
        return Reparsed(
            webhook=webhook,
            routed=[plan(event, config) for event in found],
            hooks=hooks_to_index(webhook, found, config, offset_of=unknown_offset),
        )
    except UnreadableError as unreadable:
        return Reparsed(webhook=webhook, unparsed=str(unreadable))
    except Exception as error:  # noqa: BLE001  a fault of ours with one webhook must not stop the rest
        return Reparsed(webhook=webhook, unparsed=f"a fault of the relay: {error!r}")
