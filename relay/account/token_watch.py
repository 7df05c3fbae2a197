"""An account's token, looked after from time to time -> renewed in time, its end shown and warned of.

The call that shows whether it is accepted also tells the account's clock, which every relay needs for what it receives.
"""

from datetime import datetime, timedelta

from relay.account.client import AccountClient
from relay.account.limiter import Priority
from relay.account.renamed import host_after, new_host
from relay.errors import AccountError
from relay.signals import Emit
from relay.signals.account import TOKEN_WARNED_OF, AccountRenamed, AccountTokenEnds, AccountTokenRead

EVERY = timedelta(minutes=10)
"""A clock that was not told for an hour is not known, and a token that lives for a day is renewed after half of it."""


class TokenWatch:
    """Of one account, in one process."""

    def __init__(self, client: AccountClient, *, emit: Emit) -> None:
        self._client = client
        self._emit = emit
        self._host: str | None = None
        self._said: tuple[datetime, int] | None = None

    async def look(self, now: datetime) -> None:
        """Ask the account who it is, with a token that is renewed if it is time. Raises an AccountError."""
        client = self._client
        try:
            self._announce(new_host(client.account.host, await client.get("/api/v4/account", priority=Priority.TOKEN)))
        except AccountError as error:
            self._announce(await host_after(client, error))
            raise
        finally:
            self._show(now)

    def _announce(self, host: str | None) -> None:
        """Announce the account's new host, once."""
        if host and host != self._host:
            self._emit(AccountRenamed(account=self._client.account.name, host=host))
        self._host = host

    def _show(self, now: datetime) -> None:
        account, ends_at = self._client.account, self._client.tokens.expires_at
        self._emit(AccountTokenRead(account=account.name, expires_at=ends_at))
        if ends_at is None or account.oauth:  # a grant is renewed by itself, and its loss is another fact
            return
        reached = [days for days in TOKEN_WARNED_OF if ends_at - now <= timedelta(days=days)]
        if reached and self._said != (ends_at, reached[-1]):
            self._said = ends_at, reached[-1]
            self._emit(AccountTokenEnds(account=account.name, days=reached[-1], expires_at=ends_at))
