"""An OAuth grant against the double: what renews it, what loses it, and what does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.account.client import AccountClient
from relay.account.oauth import PAUSE, REFUSED_PAUSE
from relay.account.opening import open_client
from relay.errors import AccountAway, AccountError, StoreBusy, TokenRefused
from relay.model import Account, OAuthGrant, Secret
from relay.operations.accounts import login
from relay.signals import Signal
from relay.signals.account import AccountGrantLost, AccountTokenRead
from relay.store.account_records import AccountRecords
from relay.store.sqlite.account_files import AccountFiles, HeldFile
from tests.fakeamo import FakeAmo, VirtualClock
from tests.fakeamo.server import Server

HOUR = 3600.0


@dataclass
class Scene:
    """The double, and processes of a relay that share a store; all see the double's clock."""

    amo: FakeAmo
    server: Server
    account: Account
    records: AccountRecords
    facts: list[Signal]
    clients: list[AccountClient]

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.amo.clock(), UTC)

    def client(self) -> AccountClient:
        opened = open_client(self.account, self.records, clock=self.now, emit=self.facts.append)
        self.clients.append(opened)
        return opened

    async def log_in(self) -> None:
        assert self.account.oauth
        code = self.amo.tokens.authorize(self.account.oauth.client_id)
        await login(self.account, self.records, code, clock=self.now)

    @property
    def renewals(self) -> list[int]:
        """The status of each."""
        return [status for _generation, status in self.amo.tokens.refreshes]

    async def generation(self) -> int:
        grant = (await self.records.read("main")).grant
        assert grant
        return grant.generation


@asynccontextmanager
async def scene(folder: Path) -> AsyncIterator[Scene]:
    amo = FakeAmo(7, clock=VirtualClock())
    amo.limiter.most = 1000  # its clock stands still while ours runs
    found = amo.tokens.add_integration("https://relay.example/oauth")
    oauth = OAuthGrant(
        client_id=found.client_id, client_secret=Secret(found.client_secret), redirect_uri=found.redirect_uri
    )
    async with Server(amo).serving() as server:
        account = Account(name="main", host=server.host, oauth=oauth)
        made = Scene(amo, server, account, AccountFiles(folder / "relay.db"), [], [])
        try:
            yield made
        finally:
            for each in made.clients:
                await each.close()


async def ask(client: AccountClient) -> Any:
    return await client.get("/api/v4/account")


async def refused(client: AccountClient) -> AccountError:
    with pytest.raises(AccountError) as raised:
        await ask(client)
    return raised.value


async def test_a_grant_is_used_from_the_store_and_renewed_at_half_its_life(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        assert await ask(client)
        at.amo.clock.advance(11 * HOUR)
        assert await ask(client)
        assert at.renewals == []
        at.amo.clock.advance(2 * HOUR)
        assert await ask(client)
        await client.tokens.close()
        assert (at.renewals, await at.generation()) == ([200], 1)
        assert client.tokens.expires_at == at.now() + timedelta(days=90)
        at.amo.clock.advance(80 * 24 * HOUR)
        assert await ask(client)
        assert at.renewals == [200, 200]


async def test_without_a_grant_it_is_said_what_to_do_and_a_login_is_noticed(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        client = at.client()
        for _ in range(3):
            error = await refused(client)
        assert isinstance(error, TokenRefused)
        assert str(error) == "the account main has no grant yet; grant access with: relay account login main"
        assert len([fact for fact in at.facts if isinstance(fact, AccountGrantLost)]) == 1
        await at.log_in()
        assert await ask(client)


async def test_a_refused_renewal_is_alarmed_about_once_and_the_old_token_used_to_its_end(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        grant = (await at.records.read("main")).grant
        assert grant
        client = at.client()
        assert await ask(client)
        at.amo.tokens.revoke(grant.refresh.reveal())
        at.amo.clock.advance(13 * HOUR)
        for _ in range(5):
            assert await ask(client)
            await client.tokens.close()
            at.amo.clock.advance(PAUSE.total_seconds())
        [lost] = [fact for fact in at.facts if isinstance(fact, AccountGrantLost)]
        assert lost.detail.startswith("POST /oauth2/access_token: answered 401: Token has been revoked")
        assert lost.ends_at == grant.expires_at
        assert client.tokens.expires_at == grant.expires_at
        assert at.renewals == [401]
        at.amo.clock.advance(REFUSED_PAUSE.total_seconds())
        assert await ask(client)
        await client.tokens.close()
        assert at.renewals == [401, 401]
        at.amo.clock.advance(24 * HOUR)
        error = await refused(client)
        assert str(error).endswith("grant access with: relay account login main")
        await at.log_in()
        assert await ask(client)
        assert at.facts[-2:][0] == AccountTokenRead(account="main", expires_at=at.now() + timedelta(days=90))


async def test_an_access_token_that_is_refused_is_replaced_by_what_another_process_stored(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        first, second = at.client(), at.client()
        assert await ask(first) and await ask(second)
        at.amo.clock.advance(13 * HOUR)
        await ask(first)
        await first.tokens.close()
        at.amo.tokens.revoke((await second.tokens.get()).reveal())  # it has the old one in memory
        assert await ask(second)
        assert at.renewals == [200]


async def test_an_access_token_that_is_refused_is_renewed_if_nobody_has(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        at.amo.tokens.revoke((await client.tokens.get()).reveal())
        assert await ask(client)
        assert at.renewals == [200]


async def test_while_amocrm_is_away_the_good_token_is_used(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        await ask(client)
        at.amo.clock.advance(13 * HOUR)
        at.amo.faults.plan("500", "/oauth2/access_token", times=2)
        assert await ask(client)
        await client.tokens.close()
        at.amo.clock.advance(12 * HOUR)
        error = await refused(client)
        assert isinstance(error, AccountAway)
        assert await ask(client)
        assert not [fact for fact in at.facts if isinstance(fact, AccountGrantLost)]


async def test_callers_that_give_up_do_not_stop_a_renewal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        await ask(client)
        at.amo.clock.advance(25 * HOUR)
        calls = [asyncio.create_task(client.tokens.get()) for _ in range(3)]
        while not at.renewals:  # noqa: ASYNC110  the double has no event
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await client.close()
        assert (at.renewals, await at.generation()) == ([200], 1)


async def test_a_grant_that_cannot_be_written_is_used_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(_self: object, _record: object) -> None:
        raise StoreBusy("the disk is full")

    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        await ask(client)
        at.amo.clock.advance(25 * HOUR)
        with monkeypatch.context() as patch:
            patch.setattr(HeldFile, "write", full)
            assert await ask(client)
            assert (at.renewals, await at.generation()) == ([200], 0)
        at.amo.clock.advance(PAUSE.total_seconds())
        assert await ask(client)
        await client.tokens.close()
        assert (at.renewals, await at.generation()) == ([200], 1)


async def test_a_busy_store_is_no_lost_grant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def busy(_self: object, _account: str) -> None:
        raise StoreBusy("the disk is slow")

    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        with monkeypatch.context() as patch:
            patch.setattr(AccountFiles, "read", busy)
            error = await refused(client)
        assert isinstance(error, AccountAway)
        assert await ask(client)


async def test_tokens_are_in_no_text(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        await at.log_in()
        client = at.client()
        await ask(client)
        grant = (await at.records.read("main")).grant
        assert grant
        at.amo.gone = True
        error = await refused(client)
        shown = f"{error} {at.facts} {client.tokens!r} {grant} {at.account}"
        for secret in (grant.access, grant.refresh, at.account.oauth.client_secret):
            assert secret.reveal() not in shown


async def test_a_code_of_another_account_or_an_old_one_is_refused(tmp_path: Path) -> None:
    async with scene(tmp_path) as at:
        with pytest.raises(TokenRefused):
            await login(at.account, at.records, "no-code", clock=at.now)
        assert (await at.records.read("main")).grant is None
