"""A source of the routes -> its webhook in amoCRM is set up, removed, or looked after again by the guard."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from relay.account.limiter import Priority
from relay.account.needs import beyond_subscription, needed_settings
from relay.account.reenable import Api, remove, set_up
from relay.account.subscription import DESTINATION, WEBHOOKS, Subscription, destinations, read_subscriptions
from relay.errors import ConflictError, NotFoundError, RequestRefused
from relay.model import Secret, Source
from relay.model.accounts import Reenable
from relay.model.subscription import SubscriptionState
from relay.operations import audit
from relay.routes.config import Config
from relay.routes.diagnostics import quoted, suggestion
from relay.store.contract import Archive
from relay.store.records import AuditEntry

ACCOUNT = "/api/v4/account"
_REFUSED = re.compile(r"\bsettings\.(\d+)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected:
    """What `connect` did. `address`: where amoCRM posts to, with the token masked.

    `unsupported`: settings that the routes need and this account does not take; `beyond`: types that routes name and no
    setting brings. `removed`: how many webhooks of other tokens of the source were deleted.
    """

    account: str
    address: str
    settings: tuple[str, ...]
    unsupported: tuple[str, ...]
    beyond: tuple[str, ...]
    removed: int
    filters: bool


def watched_source(config: Config, name: str) -> Source:
    """Return the source; NotFoundError or ConflictError if it is none whose webhook can be set up."""
    source = config.sources.get(name)
    if source is None:
        raise NotFoundError(f"no source {quoted(name)} {suggestion(name, sorted(config.sources))}")
    for key, value, example in (
        ("account", source.account, "main"),
        ("guard", source.guard, "{url: https://hooks.example.com}"),
    ):
        if value is None:
            raise ConflictError(f"{config.file}: sources.{name} has no {key}: write {key}: {example}")
    return source


async def connect(store: Archive, config: Config, name: str, api: Api, *, by: str, now: datetime) -> Connected:
    """Have amoCRM post what the routes need to the first token's address, and nothing of ours elsewhere.

    Settings that are there already stay. Raises an AccountError; ConflictError if the token is another account's, no
    route takes anything, or the webhook stays switched off.
    """
    source = watched_source(config, name)
    needed = needed_settings(config, name)
    if not needed:
        raise ConflictError(f"no route takes anything from {name} that amoCRM can be asked for")
    account = await api.get(ACCOUNT, {"with": "is_api_filter_enabled"}, priority=Priority.GUARD) or {}
    if refusal := source.refusal(account):
        raise ConflictError(f"the token of accounts.{source.account} is of another account: {refusal}")
    first, *others = destinations(source)
    before = await _listed(api, first)
    wanted = tuple(dict.fromkeys((*(setting for each in before for setting in each.settings), *needed)))
    settings = await _set_up(api, first, wanted)
    await _verify(api, first, settings, name)
    removed = await _remove(api, others)
    await store.guard.switch(name, off=False, act=audit.entry("connect", {"source": name}, by=by, now=now))
    return Connected(
        account=f"{account.get('subdomain') or account.get('name') or ''} (id {account.get('id')})",
        address=_masked(source),
        settings=settings,
        unsupported=tuple(each for each in needed if each not in settings),
        beyond=beyond_subscription(config, name),
        removed=removed,
        filters=bool(account.get("is_api_filter_enabled")),
    )


async def disconnect(store: Archive, config: Config, name: str, api: Api, *, by: str, now: datetime) -> int:
    """Have the guard leave the source alone, then delete our webhooks of it; return how many there were.

    An account that cannot be asked raises an AccountError, and the guard goes on.
    """
    source = watched_source(config, name)
    await _listed(api, destinations(source)[0])
    await store.guard.switch(name, off=True, act=audit.entry("disconnect", {"source": name}, by=by, now=now))
    return await _remove(api, destinations(source))


async def resume(store: Archive, config: Config, name: str, act: AuditEntry) -> None:
    """Have the guard switch the webhook on, whoever switched it off; ConflictError if there is nothing to do."""
    source = watched_source(config, name)
    if source.guard and source.guard.reenable is Reenable.FALSE:
        raise ConflictError(
            f"{config.file}: sources.{name}.guard.reenable is false: switch the webhook on in amoCRM, or write true"
        )
    record = (await store.guard.records()).get(name)
    if record is None or record.state is not SubscriptionState.DISABLED:
        raise ConflictError(f"the webhook of {name} was not switched off when it was last looked at: see relay status")
    await store.guard.resume(name, act)


async def _listed(api: Api, destination: Secret) -> list[Subscription]:
    listed = await api.get(WEBHOOKS, {DESTINATION: destination.reveal()}, priority=Priority.GUARD)
    return read_subscriptions(listed, [destination])


async def _set_up(api: Api, destination: Secret, wanted: Sequence[str]) -> tuple[str, ...]:
    """Ask for these settings; return those that the account takes: Kommo lacks some."""
    settings = tuple(wanted)
    while True:
        try:
            await set_up(api, destination, settings)
        except RequestRefused as error:
            refused = {int(number) for number in _REFUSED.findall(str(error))}
            left = tuple(each for number, each in enumerate(settings) if number not in refused)
            if not left or left == settings:
                raise
            settings = left
        else:
            return settings


async def _verify(api: Api, destination: Secret, settings: Sequence[str], name: str) -> None:
    found = await _listed(api, destination)
    if not found:
        raise ConflictError(f"amoCRM took the webhook of {name}, and does not list it: try again")
    if found[0].disabled:
        raise ConflictError(
            f"the webhook of {name} is set up and switched off: switch it on in amoCRM, Settings, Integrations,"
            " WebHooks, or delete it there and connect again"
        )
    if missing := {*settings} - {*found[0].settings}:
        raise ConflictError(f"amoCRM took the webhook of {name} without {', '.join(sorted(missing))}: try again")


async def _remove(api: Api, addresses: Sequence[Secret]) -> int:
    removed = 0
    for destination in addresses:
        if await _listed(api, destination):
            await remove(api, destination)
            removed += 1
    return removed


def _masked(source: Source) -> str:
    return f"{source.guard.url if source.guard else ''}/hooks/{source.name}/***"
