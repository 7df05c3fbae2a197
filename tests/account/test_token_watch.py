from datetime import UTC, datetime, timedelta

import pytest

from relay.account.token_watch import TokenWatch
from relay.account.tokens import LongLivedToken
from relay.account_signals import AccountTokenEnds, AccountTokenRead
from relay.errors import TokenRefused
from tests.account.host import asking, html, serving
from tests.account.test_tokens import jwt

ENDS = datetime(2027, 1, 15, 8, 0, tzinfo=UTC)
DAY = timedelta(days=1)


async def test_the_end_of_a_long_lived_token_is_warned_of_once_for_each_threshold() -> None:
    async with serving() as host, asking(host, LongLivedToken(jwt({"exp": ENDS.timestamp()}))) as ask:
        watch = TokenWatch(ask.client, emit=ask.facts.append)
        for left in (31.0, 30.0, 29.5, 7.0, 6.9, 0.5, 0.4, -0.1):
            await watch.look(ENDS - left * DAY)
        assert [fact.days for fact in ask.facts if isinstance(fact, AccountTokenEnds)] == [30, 7, 1, 0]
        assert [fact.expires_at for fact in ask.facts if isinstance(fact, AccountTokenRead)] == [ENDS] * 8
        assert ask.client.server_time()
        assert host.asked == ["GET /api/v4/account"] * 8


async def test_a_relay_that_starts_late_warns_once() -> None:
    async with serving() as host, asking(host, LongLivedToken(jwt({"exp": ENDS.timestamp()}))) as ask:
        await TokenWatch(ask.client, emit=ask.facts.append).look(ENDS - DAY / 2)
        assert [fact.days for fact in ask.facts if isinstance(fact, AccountTokenEnds)] == [1]


async def test_a_token_that_is_refused_is_shown_all_the_same() -> None:
    async with serving() as host, asking(host, LongLivedToken(jwt({"exp": ENDS.timestamp()}))) as ask:
        host.will(html(401))
        with pytest.raises(TokenRefused):
            await TokenWatch(ask.client, emit=ask.facts.append).look(ENDS - 90 * DAY)
        assert [fact.expires_at for fact in ask.facts if isinstance(fact, AccountTokenRead)] == [ENDS]
