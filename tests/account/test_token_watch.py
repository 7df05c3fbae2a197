from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from relay.account.renamed import new_host
from relay.account.token_watch import TokenWatch
from relay.account.tokens import LongLivedToken
from relay.errors import AccountAway, RequestRefused, TokenRefused
from relay.signals.account import AccountRenamed, AccountTokenEnds, AccountTokenRead
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


async def test_an_account_that_is_not_at_its_host_any_more_is_announced_with_the_new_one() -> None:
    def renamed() -> list[str]:
        return [fact.host for fact in ask.facts if isinstance(fact, AccountRenamed)]

    async with serving() as host, asking(host) as ask:
        watch = TokenWatch(ask.client, emit=ask.facts.append)
        for _ in range(2):
            host.will(html(404), web.json_response({"domain": "renamed.amocrm.ru"}))
            with pytest.raises(RequestRefused):
                await watch.look(ENDS)
        assert renamed() == ["renamed.amocrm.ru"]
        assert host.asked[:2] == ["GET /api/v4/account", "GET /oauth2/account/subdomain"]
        for answer in (html(404), web.json_response({"domain": "evil.example"}), web.json_response([])):
            host.will(html(404), answer)
            with pytest.raises(RequestRefused):
                await watch.look(ENDS)
        host.will(html(503))
        with pytest.raises(AccountAway):
            await watch.look(ENDS)
        assert renamed() == ["renamed.amocrm.ru"]


@pytest.mark.parametrize(
    ("host", "account", "found"),
    [
        ("old.amocrm.ru", {"subdomain": "new"}, "new.amocrm.ru"),
        ("old.kommo.com", {"subdomain": "old"}, None),
        ("old.kommo.com", {}, None),
        ("old.kommo.com", None, None),
        ("old.kommo.com", {"subdomain": "a.b/"}, None),
        ("127.0.0.1:8080", {"subdomain": "new"}, None),
    ],
)
def test_an_account_that_calls_itself_otherwise_has_another_host(
    host: str, account: dict[str, str] | None, found: str | None
) -> None:
    assert new_host(host, account) == found


async def test_a_token_that_is_refused_is_shown_all_the_same() -> None:
    async with serving() as host, asking(host, LongLivedToken(jwt({"exp": ENDS.timestamp()}))) as ask:
        host.will(html(401))
        with pytest.raises(TokenRefused):
            await TokenWatch(ask.client, emit=ask.facts.append).look(ENDS - 90 * DAY)
        assert [fact.expires_at for fact in ask.facts if isinstance(fact, AccountTokenRead)] == [ENDS]
