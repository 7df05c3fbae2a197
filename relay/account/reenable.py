"""A webhook that is switched off -> one that is on, or why it is not: POST, and where allowed DELETE and POST.

The intent to create it anew is committed before it is deleted, and carried out at the next look, so that a kill leaves
no account without a webhook.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from relay.account.limiter import Priority
from relay.account.subscription import WEBHOOKS, Subscription
from relay.model import Json, Secret
from relay.model.subscription import GuardRecord
from relay.store.guard_contract import GuardStore


class Api(Protocol):
    """What the guard needs of an `AccountClient`; each raises an AccountError."""

    async def get(self, path: str, params: Mapping[str, str], *, priority: Priority) -> Mapping[str, Json] | None:
        """Return the answer's JSON, None for 204."""

    async def post(self, path: str, body: Json) -> Mapping[str, Json] | None:
        """Send JSON."""

    async def delete(self, path: str, body: Json) -> Mapping[str, Json] | None:
        """Delete what JSON describes."""


async def set_up(api: Api, destination: Secret, settings: Sequence[str]) -> None:
    """Create the webhook, or change it: amoCRM has one for each destination."""
    await api.post(WEBHOOKS, {"destination": destination.reveal(), "settings": [*settings]})


async def remove(api: Api, destination: Secret) -> None:
    """Delete the webhook."""
    await api.delete(WEBHOOKS, {"destination": destination.reveal()})


async def reenable(
    api: Api,
    found: Subscription,
    record: GuardRecord,
    *,
    store: GuardStore,
    is_off: Callable[[], Awaitable[bool]],
    recreate: bool,
) -> GuardRecord:
    """Set it up as it was, which may switch it on; if not, and with `recreate`, delete it and create it anew."""
    await set_up(api, found.destination, found.settings)
    if recreate and await is_off():
        record = replace(record, recreating=found.settings)
        await store.record(record)
        await remove(api, found.destination)
        record = await create(api, found.destination, record, store=store)
    return record


async def create(api: Api, destination: Secret, record: GuardRecord, *, store: GuardStore) -> GuardRecord:
    """Create the webhook whose deletion was intended; one that was not deleted is only changed."""
    await set_up(api, destination, record.recreating)
    record = replace(record, recreating=())
    await store.record(record)
    return record
