"""The routes file's accounts -> what is done for them while the daemon runs.

Without accounts nothing is done, but that a source that has healed is marked as one that does not.

`duties` has the list. One relay alone carries them out (`store.leads()`), but for those that are `by_all`.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from relay.account.client import AccountClient
from relay.account.duties import Means, duties_of, duties_without_accounts
from relay.account.duty import carry_out
from relay.account.failed_answers import FailedAnswers
from relay.account.heal.hooks import ClockOffset
from relay.model import Account
from relay.routes.config import Config
from relay.signals import Emit, WebhookRejected
from relay.store.contract import OwnedStore


class Accounts:
    """The accounts of the routes that are in use, with the folder of their `names`. Lives in one event loop.

    A client is kept over reloads: it knows how often the account was asked lately, and whether it is blocked.
    """

    def __init__(
        self, store: OwnedStore, *, names: Path, emit: Emit, open_client: Callable[[Account], AccountClient]
    ) -> None:
        self._store = store
        self._emit = emit
        self._open_client = open_client
        self._clients: dict[str, AccountClient] = {}
        self._config: Config | None = None
        self._had_accounts = False
        self._changed = asyncio.Event()
        self._failed_answers = FailedAnswers(store.clock)
        self._means = Means(store=store, failed_answers=self._failed_answers, names=names, emit=emit)

    def use(self, config: Config) -> None:
        """Have the accounts of these routes in place of those before."""
        self._config = config
        self._had_accounts = self._had_accounts or bool(config.accounts)
        self._changed.set()

    def on_rejected(self, rejected: WebhookRejected) -> None:
        """Count a webhook that was not answered with 2xx, if its source is watched."""
        source = self._config.sources.get(rejected.source) if self._config else None
        if source and source.guard:
            self._failed_answers.count(rejected)

    def offset_of(self, account: str) -> ClockOffset | None:
        """How far the account's clock is ahead of the store's; None if that is not known."""
        server = self._clients[account].server_time() if account in self._clients else None
        return ClockOffset(server.at - self._store.clock(), server.within) if server else None

    async def run(self) -> None:
        """Carry out every duty, for ever; after a reload those of the new routes. StoreFailed ends it."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._config:
                await self._carry_out_until_changed(self._config)

    async def close(self) -> None:
        """Close all clients; `run` has ended."""
        await self._keep_clients({})

    async def _carry_out_until_changed(self, config: Config) -> None:
        await self._keep_clients(config.accounts)
        make = duties_of if self._had_accounts else duties_without_accounts
        duties = make(config, self._clients, self._means)
        changed = asyncio.ensure_future(self._changed.wait())
        running = [asyncio.ensure_future(carry_out(each, leads=self._store.leads, emit=self._emit)) for each in duties]
        try:
            done, _ = await asyncio.wait([changed, *running], return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()  # no duty ends but by StoreFailed
        finally:
            for each in (changed, *running):
                each.cancel()
            await asyncio.wait([changed, *running])

    async def _keep_clients(self, accounts: Mapping[str, Account]) -> None:
        """Open those that are new, and close those that are gone or have changed."""
        for name, client in list(self._clients.items()):
            if accounts.get(name) != client.account:
                del self._clients[name]
                await client.close()
        for name, account in accounts.items():
            if name not in self._clients:
                self._clients[name] = self._open_client(account)
