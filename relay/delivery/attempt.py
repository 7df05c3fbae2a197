"""One attempt of a claimed delivery -> Outcome: what amoCRM sent, if the format needs it, then rendered, then sent."""

from collections.abc import Callable
from datetime import datetime, timedelta

from relay.delivery.body import Sent, original
from relay.delivery.insist import insist
from relay.delivery.render import Request, render
from relay.delivery.send import Sender
from relay.errors import Damaged, Unreadable
from relay.model import Delivery, Format, Outcome, Reason, Target
from relay.store.contract import Store


async def attempt(
    delivery: Delivery, target: Target, *, store: Store, sender: Sender, clock: Callable[[], datetime]
) -> Outcome:
    """An Outcome comes back whatever happens: a fault of ours is an attempt that failed."""
    try:
        request = await _request(delivery, target, store, clock())
        return await sender.send(request, timeout=target.timeout, tls=target.tls)
    except (Damaged, Unreadable, LookupError) as error:
        reason = Reason.CORRUPT if isinstance(error, Damaged) else Reason.REQUEST
        return Outcome(reason=reason, started_at=clock(), took=timedelta(), detail=str(error))
    except Exception as error:  # noqa: BLE001  one delivery that trips us must not stop the lane
        detail = f"the relay failed: {error!r}"
        return Outcome(reason=Reason.PROTOCOL, started_at=clock(), took=timedelta(), detail=detail)


async def _request(delivery: Delivery, target: Target, store: Store, now: datetime) -> Request:
    """Damaged, Unreadable or LookupError says why there can be none."""
    if delivery.damaged:
        raise Damaged("its JSON in the store is not what was kept, see `relay verify`")
    sent = await _sent(delivery, store) if target.format is Format.FORM else None
    return render(delivery, target, now=now, sent=sent)


async def _sent(delivery: Delivery, store: Store) -> Sent:
    """What amoCRM sent of this event."""
    record = await insist(lambda: store.show(delivery.event_id))
    ids = [event.id for event in record.events] if record else []
    if record is None or delivery.event_id not in ids:
        raise LookupError("its webhook is no longer in the store")
    webhook, position = record.webhook, ids.index(delivery.event_id)
    if webhook.damaged:
        raise Damaged("the body of its webhook in the store is not what was kept, see `relay verify`")
    body = original(webhook.body, webhook.content_type, position=position, of=len(ids))
    return Sent(body=body, query=webhook.query)
