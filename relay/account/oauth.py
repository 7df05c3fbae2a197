"""An OAuth grant in the store -> access tokens, refreshed by one process at a time.

    get ──▶ in memory, and good ──▶ token
      │ half of its life is over
      ▼
    one task ──▶ stored by another process meanwhile? take that
             └─▶ hold the record ──▶ ask amoCRM ──▶ on disk ──▶ in use, and the record free

A refresh token works once. What ends this process between amoCRM's answer and our fsync loses the grant, and nothing
can close that gap: the old access token is used to its end, and a person grants access again. Nothing else loses it:
other processes wait for the record, a caller that gives up does not stop the task, and a grant that cannot be written
is used, and written later.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from relay.account.grants import ENDPOINT, LIFE, by_refresh, read_grant
from relay.account.limiter import Limiter, Priority
from relay.account.session import Session
from relay.errors import AccountAway, AccountError, StoreError, TokenRefused
from relay.model import Account, OAuthGrant, Secret
from relay.signals import Emit
from relay.signals.account import AccountGrantLost, AccountTokenRead
from relay.store.account_records import AccountRecords, Grant, HeldRecord

SHARE_OF_LIFE = 0.5  # after which an access token is renewed
OFTEN_ENOUGH = timedelta(days=7)  # a refresh token ends after three months
EARLY = timedelta(seconds=10)  # before its end a token is not used: the clocks differ
PAUSE = timedelta(seconds=10)  # between two tries to renew a token that is good, or to write a grant
REFUSED_PAUSE = timedelta(minutes=10)  # before a refresh token that was refused is tried again


class OAuthTokens:
    """The access tokens of one account. Is a `Tokens`; lives in one event loop."""

    def __init__(
        self,
        account: Account,
        oauth: OAuthGrant,
        *,
        records: AccountRecords,
        session: Session,
        limiter: Limiter,
        clock: Callable[[], datetime],
        emit: Emit,
    ) -> None:
        self._account = account
        self._oauth = oauth
        self._records = records
        self._session = session
        self._limiter = limiter
        self._clock = clock
        self._emit = emit
        self._grant: Grant | None = None
        self._unsaved = False  # the store does not have that grant
        self._lost: TokenRefused | None = None  # there is no grant, or its refresh token was refused
        self._lost_until: datetime | None = None  # then it is tried once more
        self._failed: AccountError | None = None  # why the last try did not end
        self._try_at: datetime | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def expires_at(self) -> datetime | None:
        """When the grant ends unless it is renewed; if that was refused, when the access token does."""
        if self._grant is None:
            return None
        return self._grant.expires_at if self._lost else self._grant.obtained_at + LIFE

    async def get(self) -> Secret:
        """Return a token that is good; one that ends soon is renewed meanwhile."""
        now, grant = self._clock(), self._grant
        if grant is None or now >= grant.expires_at - EARLY:
            await asyncio.shield(self._renewing(None))
        elif (self._unsaved or self._is_worn(grant)) and (self._try_at is None or now >= self._try_at):
            self._renewing(None)
        if self._grant is None or self._clock() >= self._grant.expires_at - EARLY:
            raise self._why()
        return self._grant.access

    async def instead_of(self, refused: Secret) -> Secret | None:
        """Return what another process has stored meanwhile, or what amoCRM gives for the refresh token."""
        if self._task and not self._task.done():  # it may not know that this one was refused
            await asyncio.shield(self._task)
        if self._grant and self._grant.access == refused:
            await asyncio.shield(self._renewing(refused))
        if self._grant is None or self._grant.access == refused:
            raise self._why()
        return self._grant.access

    async def close(self) -> None:
        """Wait for a renewal that is under way: what amoCRM gave must be written."""
        if self._task:
            await asyncio.wait([self._task])

    def _is_worn(self, grant: Grant) -> bool:
        life = grant.expires_at - grant.obtained_at
        return self._clock() >= grant.obtained_at + min(life * SHARE_OF_LIFE, OFTEN_ENOUGH)

    def _why(self) -> AccountError:
        return self._lost or self._failed or AccountAway(f"the account {self._account.name} has no valid token")

    def _renewing(self, refused: Secret | None) -> asyncio.Task[None]:
        """Begin a renewal, unless one is under way: one for all callers, which nobody cancels."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew(refused))
        return self._task

    async def _renew(self, refused: Secret | None) -> None:
        """Have a good token in memory, or know why there is none."""
        self._try_at = self._clock() + PAUSE
        try:
            if self._unsaved or not self._takes(await self._stored(), refused):
                async with self._records.held(self._account.name) as held:
                    await self._renew_held(held, refused)
            self._failed = None
        except TokenRefused as error:
            self._on_refused(error)
        except AccountError as error:
            self._failed = error
        except StoreError as error:
            self._failed = AccountAway(f"the account {self._account.name} has no valid token: {error}")

    async def _stored(self) -> Grant | None:
        return (await self._records.read(self._account.name)).grant

    def _takes(self, stored: Grant | None, refused: Secret | None) -> bool:
        """Use what is stored, if it is newer; False if it has to be renewed."""
        if stored is None:
            raise TokenRefused(f"the account {self._account.name} has no grant yet")
        if stored != self._grant:
            self._use(stored)
        return stored.access != refused and not self._is_worn(stored)

    async def _renew_held(self, held: HeldRecord, refused: Secret | None) -> None:
        stored = held.record.grant
        if self._unsaved and self._grant and (stored is None or stored.generation < self._grant.generation):
            await held.write(replace(held.record, grant=self._grant))
            self._unsaved = False
        elif not self._takes(stored, refused) and stored:
            await self._refresh(held, stored)

    async def _refresh(self, held: HeldRecord, grant: Grant) -> None:
        if self._lost and self._lost_until and self._clock() < self._lost_until:
            raise self._lost
        asked_at, body = self._clock(), by_refresh(self._oauth, grant)
        async with self._limiter.turn(Priority.TOKEN):
            answer = await self._session.ask("POST", ENDPOINT, body=body)
        renewed = read_grant(
            answer if answer.status == 200 else answer.without(grant.refresh).without(self._oauth.client_secret),
            now=asked_at,
            generation=grant.generation + 1,
        )
        try:
            await held.write(replace(held.record, grant=renewed))
        except StoreError:
            self._use(renewed)
            self._unsaved = True
            raise
        self._use(renewed)

    def _use(self, grant: Grant) -> None:
        self._grant, self._unsaved, self._lost = grant, False, None
        self._emit(AccountTokenRead(account=self._account.name, expires_at=self.expires_at))

    def _on_refused(self, error: TokenRefused) -> None:
        """Remember it: until somebody grants access anew, the refresh token is tried every ten minutes."""
        if self._lost is error:
            return
        name = self._account.name
        is_news = self._lost is None
        self._lost = TokenRefused(f"{error}; grant access with: relay account login {name}")
        self._lost_until = self._clock() + REFUSED_PAUSE
        if is_news:
            self._emit(AccountGrantLost(account=name, detail=str(error), ends_at=self.expires_at))
        self._emit(AccountTokenRead(account=name, expires_at=self.expires_at))
