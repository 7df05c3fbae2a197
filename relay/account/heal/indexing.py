"""What the daemon and `relay reparse` index of a decoded webhook whose source heals."""

from collections.abc import Callable, Sequence

from relay.account.heal.hooks import ClockOffset, hooks_of
from relay.account.heal.limits import limits
from relay.model import Event, HealMode, Webhook
from relay.model.heal import Hook
from relay.routes.config import Config


def hooks_to_index(
    webhook: Webhook, events: Sequence[Event], config: Config, *, offset_of: Callable[[str], ClockOffset | None]
) -> Sequence[Hook]:
    """The hooks of a webhook; none if its source does not heal. `offset_of`: of the clock of the account so named."""
    source = config.sources.get(webhook.source)
    account = config.accounts.get((source and source.account) or "")
    if source is None or account is None or source.heal.mode is HealMode.OFF:
        return ()
    rules = limits(source.heal, kommo=account.is_kommo)
    return hooks_of(webhook, events, limits=rules, clock=offset_of(account.name))


def unknown_offset(_account: str) -> None:
    """Where nothing asks the account what time it is."""
