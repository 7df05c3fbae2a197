"""The client against a host on loopback, in virtual time where it waits."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.account.block import LOOKED_UP_EACH
from relay.account.limiter import Priority
from relay.errors import AccountAway, AccountError, Blocked, Forbidden, RateLimited, TokenRefused
from relay.model import Secret
from relay.signals.account import AccountBlocked
from relay.store.sqlite.account_files import AccountFiles
from tests.account.host import TOKEN, Asking, Host, asking, html, serving
from tests.delivery.virtual import run


def hosted(main: Any) -> None:
    """Run the test with a host and a client of it, on virtual time."""

    async def both() -> None:
        async with serving() as host, asking(host) as ask:
            await main(host, ask)

    run(both())


async def refused(call: Coroutine[Any, Any, object]) -> AccountError:
    with pytest.raises(AccountError) as raised:
        await call
    return raised.value


async def cut(request: web.Request) -> web.StreamResponse:
    """Half of what the head promises, then nothing."""
    response = web.StreamResponse(headers={"Content-Length": "40", "Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"_embedded": {')
    request.transport.close()
    return response


async def reset(request: web.Request) -> web.StreamResponse:
    request.transport.abort()
    return web.Response()


async def silence(_request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


def test_a_request_has_the_token_and_a_list_repeats_its_name() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(web.json_response({"_page": 1}), web.Response(status=204))
        types = {"filter[type][]": ["lead_added", "lead_deleted"], "page": 2, "name": "Сделка & co"}
        assert await ask.client.get("/api/v4/events", types) == {"_page": 1}
        assert await ask.client.get("/api/v4/events") is None
        query = "filter%5Btype%5D%5B%5D=lead_added&filter%5Btype%5D%5B%5D=lead_deleted&page=2"
        name = "name=%D0%A1%D0%B4%D0%B5%D0%BB%D0%BA%D0%B0+%26+co"
        assert host.asked == [f"GET /api/v4/events?{query}&{name}", "GET /api/v4/events"]
        assert host.tokens == [TOKEN, TOKEN]
        assert ask.outcomes == ["ok", "ok"]

    hosted(main)


def test_what_is_posted_and_deleted_is_json() -> None:
    async def main(host: Host, ask: Asking) -> None:
        hook = {"destination": "https://relay.example/h", "settings": ["add_lead"]}
        host.will(web.json_response({"id": 1}, status=201), web.Response(status=204))
        assert await ask.client.post("/api/v4/webhooks", hook) == {"id": 1}
        assert await ask.client.delete("/api/v4/webhooks", {"destination": "x"}) is None
        assert host.bodies == [
            b'{"destination":"https://relay.example/h","settings":["add_lead"]}',
            b'{"destination":"x"}',
        ]

    hosted(main)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (cut, "the answer was cut short"),
        (silence, "no answer within 20 s"),
        (html(200), "something else than JSON"),
        (html(502), "answered 502"),
    ],
)
def test_what_is_no_answer_may_be_asked_again(answer: Any, said: str) -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(answer)
        error = await refused(ask.client.get("/api/v4/leads"))
        assert type(error) is AccountAway
        assert said in str(error)
        assert await ask.client.get("/api/v4/leads") == {}
        assert ask.outcomes == ["away", "ok"]

    hosted(main)


def test_a_get_is_repeated_once_on_another_connection_and_in_its_turn() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(reset)
        assert await ask.client.get("/api/v4/leads") == {}
        host.will(reset, reset)
        error = await refused(ask.client.get("/api/v4/leads"))
        assert "the connection was closed without an answer" in str(error)
        host.will(reset)
        assert isinstance(await refused(ask.client.delete("/api/v4/webhooks", {})), AccountAway)
        assert len(host.asked) == len(ask.outcomes) == 5

    hosted(main)


def test_nobody_listening_is_away() -> None:
    async def main() -> None:
        async with serving() as host:
            pass
        async with asking(host) as ask:
            error = await refused(ask.client.get("/api/v4/leads"))
            address = ask.client.account.host
            assert str(error) == f"GET /api/v4/leads: no connection to {address}: Connection refused"

    run(main())


def test_a_redirect_gets_no_token() -> None:
    async def main(host: Host, ask: Asking) -> None:
        async with serving() as stranger:
            host.will(web.Response(status=302, headers={"Location": f"{stranger.url}/api/v4/leads"}))
            await refused(ask.client.get("/api/v4/leads"))
            assert stranger.asked == []

    hosted(main)


def test_a_429_makes_all_wait_and_is_repeated() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(html(429), html(429, headers={"Retry-After": "30"}))
        first, second = await asyncio.gather(ask.client.get("/api/v4/leads"), ask.client.get("/api/v4/users"))
        assert (first, second) == ({}, {})
        assert ask.outcomes.count("limited") == 2
        assert host.at[2] - host.at[1] >= 30

    hosted(main)


def test_a_429_that_does_not_end_is_given_up() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(*(html(429) for _ in range(9)))
        error = await refused(ask.client.get("/api/v4/leads"))
        assert isinstance(error, RateLimited)
        assert len(host.asked) == 4

    hosted(main)


def test_after_a_block_nothing_more_is_sent() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(*[html(403) for _ in range(30)])
        calls = [ask.client.get(f"/api/v4/leads/{number}") for number in range(30)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(each) for each in ended} == {Blocked}
        asked = len(host.asked)
        assert asked < 10  # two, and those that were under way before an answer came on a busy machine; of 30
        assert isinstance(await refused(ask.client.get("/api/v4/account", priority=Priority.GUARD)), Blocked)
        assert len(host.asked) == asked
        assert [fact.account for fact in ask.facts if isinstance(fact, AccountBlocked)] == ["main"]

    hosted(main)


def test_a_block_holds_for_every_process_until_one_finds_it_ended(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving() as host, asking(host, folder=tmp_path) as ask:
            assert await ask.client.get("/api/v4/leads") == {}
            host.will(html(403))
            assert isinstance(await refused(ask.client.get("/api/v4/leads")), Blocked)
            async with asking(host, folder=tmp_path) as after_a_restart:
                assert isinstance(await refused(after_a_restart.client.get("/api/v4/leads")), Blocked)
                assert len(host.asked) == 2
                await after_a_restart.client.block.lift()
                assert await after_a_restart.client.get("/api/v4/leads") == {}
            await asyncio.sleep(LOOKED_UP_EACH)
            assert await ask.client.get("/api/v4/leads") == {}

    run(main())


def test_a_block_that_cannot_be_stored_holds_all_the_same(tmp_path: Path) -> None:
    async def main() -> None:
        async with serving() as host, asking(host, folder=tmp_path / "none") as ask:
            host.will(html(403))
            for _ in range(5):
                assert isinstance(await refused(ask.client.get("/api/v4/leads")), Blocked)
                await asyncio.sleep(LOOKED_UP_EACH)
            assert len(host.asked) == 1
            (tmp_path / "none").mkdir()
            await asyncio.sleep(LOOKED_UP_EACH)
            await refused(ask.client.get("/api/v4/leads"))
            assert (await AccountFiles(tmp_path / "none" / "relay.db").read("main")).blocked

    run(main())


def test_a_403_with_a_reason_is_of_that_request_alone() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(web.json_response({"detail": "no rights"}, status=403))
        assert isinstance(await refused(ask.client.get("/api/v4/users")), Forbidden)
        assert await ask.client.get("/api/v4/leads") == {}

    hosted(main)


class Renewed:
    """Tokens that have another one, once or always."""

    expires_at = None

    def __init__(self, *others: str) -> None:
        self.others = list(others)
        self.token = Secret("old")

    async def get(self) -> Secret:
        return self.token

    async def instead_of(self, refused: Secret) -> Secret | None:
        assert refused == self.token
        if not self.others:
            return None
        self.token = Secret(self.others.pop(0))
        return self.token

    async def close(self) -> None:
        pass


def test_a_401_is_repeated_once_with_another_token() -> None:
    async def main() -> None:
        async with serving() as host, asking(host, Renewed("new", "newer")) as ask:
            host.will(web.Response(status=401))
            assert await ask.client.get("/api/v4/leads") == {}
            host.will(web.Response(status=401), web.Response(status=401))
            assert isinstance(await refused(ask.client.get("/api/v4/leads")), TokenRefused)
            assert host.tokens == ["old", "new", "new", "newer"]

    run(main())


def test_a_401_without_another_token_is_final() -> None:
    async def main(host: Host, ask: Asking) -> None:
        host.will(web.json_response({"detail": f"bad token {TOKEN}"}, status=401))
        error = await refused(ask.client.get("/api/v4/leads"))
        assert isinstance(error, TokenRefused)
        assert TOKEN not in str(error)
        assert len(host.asked) == 1

    hosted(main)


def test_who_is_more_urgent_goes_first() -> None:
    async def main(host: Host, ask: Asking) -> None:
        order = [Priority.HEAL, Priority.ENRICH, Priority.GUARD, Priority.TOKEN]
        calls = [ask.client.get(f"/{each.name}", priority=each) for each in order for _ in range(3)]
        await asyncio.gather(*calls)
        names = [asked.removeprefix("GET /") for asked in host.asked]
        assert names[2:] == ["TOKEN"] * 3 + ["GUARD"] * 3 + ["ENRICH"] * 3 + ["HEAL"]  # two went at once

    hosted(main)


def test_a_request_that_is_cancelled_gives_its_turn_away() -> None:
    async def main(host: Host, ask: Asking) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(3):
            calls = [loop.create_task(ask.client.get("/slow")) for _ in range(20)]
            host.answers = [silence] * 20
            await asyncio.sleep(2)
            for call in calls:
                call.cancel()
            await asyncio.wait(calls)
            host.answers.clear()
        began = loop.time()
        await asyncio.gather(*(ask.client.get("/quick") for _ in range(20)))
        assert loop.time() - began < 10

    hosted(main)


def test_no_second_has_more_than_seven_requests() -> None:
    async def main(host: Host, ask: Asking) -> None:
        await asyncio.gather(*(ask.client.get("/x") for _ in range(60)))
        assert max(sum(start <= at <= start + 1 for at in host.at) for start in host.at) <= 7
        assert host.at[-1] - host.at[0] < 15

    hosted(main)


def test_the_hosts_clock_is_known_after_a_call() -> None:
    async def main(host: Host, ask: Asking) -> None:
        assert ask.client.server_time() is None
        host.will(web.json_response({}, headers={"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}))
        await ask.client.get("/api/v4/account")
        found = ask.client.server_time()
        assert found
        assert abs(found.at.timestamp() - 1_795_348_800) < 2

    hosted(main)
