"""Claimed delivery -> its request, rendered and sent -> Outcome; a fault of the relay is an Outcome, too."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from relay.delivery.batch import as_one
from relay.delivery.enriched import enriched
from relay.delivery.payload import Original, original_body
from relay.delivery.request import Renderer
from relay.delivery.retry_busy import retry_busy
from relay.delivery.send import Sends
from relay.errors import CorruptError, TemplateFailed, UnreadableError
from relay.http.request import Request
from relay.model import Delivery, Outcome, Reason, Webhook
from relay.store.contract import DeliveryStore
from relay.store.records import WebhookRecord

_REASONS: Mapping[type[Exception], Reason] = {CorruptError: Reason.CORRUPT, TemplateFailed: Reason.TEMPLATE}


async def attempt(
    delivery: Delivery,
    renderer: Renderer,
    *,
    store: DeliveryStore,
    sender: Sends,
    clock: Callable[[], datetime],
    batch: Sequence[Delivery] = (),
) -> Outcome:
    """Make one attempt. Never raises: an error of the relay itself is an attempt that failed.

    `batch`: the deliveries that this one stands for.
    """
    try:
        now = clock()
        if (enrich := renderer.target.enrich) is not None:
            made = await enriched(batch or [delivery], enrich, store=store, now=now)
            delivery = as_one(made) if batch else made[0]
            now = clock()
        if delivery.payload and not delivery.corrupt and not renderer.needs_original:
            request = renderer.render(delivery, now=now)
        else:
            request = await _request_of_original(delivery, renderer, store, now)
            now = clock()  # the store may have taken its time
        target = renderer.target
        return await sender.send(request, now=now, timeout=target.timeout, tls=target.tls, egress=target.egress)
    except (CorruptError, TemplateFailed, UnreadableError, LookupError) as error:
        reason = _REASONS.get(type(error), Reason.REQUEST)
        return Outcome(reason=reason, started_at=clock(), took=timedelta(), detail=str(error))
    except Exception as error:  # noqa: BLE001  one bad delivery must not stop the lane
        detail = f"the relay failed: {error!r}"
        return Outcome(reason=Reason.PROTOCOL, started_at=clock(), took=timedelta(), detail=detail)


async def _request_of_original(delivery: Delivery, renderer: Renderer, store: DeliveryStore, now: datetime) -> Request:
    """Build a request that needs the webhook; CorruptError, UnreadableError or LookupError if it cannot be built."""
    if delivery.corrupt:
        raise CorruptError("its JSON in the store is corrupt, see `relay verify`")
    if delivery.raw:
        return renderer.render_raw(delivery, await _unparsed(delivery, store), now=now)
    return renderer.render(delivery, now=now, original=await _original(delivery, store))


async def _original(delivery: Delivery, store: DeliveryStore) -> Original:
    """Read what amoCRM sent of this event."""
    record = await _record(delivery, store)
    webhook, ids = record.webhook, [event.id for event in record.events]
    body = original_body(webhook.body, webhook.content_type, position=ids.index(delivery.event_id), of=len(ids))
    return Original(body=body, query=webhook.query)


async def _unparsed(delivery: Delivery, store: DeliveryStore) -> Webhook:
    """Read the webhook that this raw delivery sends."""
    webhook = (await _record(delivery, store)).webhook
    if webhook.unparsed is None:
        raise LookupError("its webhook has been reparsed (relay reparse): its events are delivered instead")
    return webhook


async def _record(delivery: Delivery, store: DeliveryStore) -> WebhookRecord:
    record = await retry_busy(lambda: store.show(delivery.event_id))
    if record is None or delivery.event_id not in {each.id for each in (*record.events, record.raw) if each}:
        raise LookupError("its webhook is no longer in the store")
    if record.webhook.corrupt:
        raise CorruptError("the body of its webhook in the store is corrupt, see `relay verify`")
    return record
