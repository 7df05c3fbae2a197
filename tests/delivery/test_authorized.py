"""A target with `oauth2`: one token for all attempts, renewed in time and after a 401; an authority that lies."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from relay.delivery import authorized
from relay.delivery.request import render
from relay.delivery.send import Sender, Sends
from relay.delivery.sender_chain import SenderChain
from relay.delivery.tasks import Tasks
from relay.http.client import Client
from relay.model import Batch, Egress, Health, OAuth2, Outcome, Proxy, Reason, Secret, State, Target
from relay.signals import CircuitOpened, Signal, TokenFetched, TokenNotRenewed
from tests.delivery import virtual
from tests.delivery.authority import SECRET, Authority, answer, authorizing, grant, guarding
from tests.delivery.bench import Bench
from tests.delivery.conftest import NOON, Talk, delivery, every, read_request, serving, target
from tests.delivery.virtual import VirtualBench
from tests.http.proxies import LocalProxy

NOW: Callable[[], datetime] = lambda: datetime.now(UTC)  # noqa: E731


class Chained:
    """What a lane has of it: a sender, its chain, and the signals."""

    def __init__(self, new_client: Callable[[], Client]) -> None:
        self.signals: list[Signal] = []
        self.tasks = Tasks("test")
        self.sender = Sender(clock=NOW, new_client=new_client)
        self.chain = SenderChain(
            self.sender, emit=self.signals.append, tasks=self.tasks, clock=NOW, new_client=new_client
        )

    async def send(self, to: Target, *, by: Sends | None = None, attempt: int = 1) -> Outcome:
        """One attempt, of which nothing may show a secret."""
        request = render(delivery(attempt=attempt), to, now=NOON)
        outcome = await (by or self.chain.of(to)).send(request, timeout=to.timeout, egress=to.egress)
        assert "canary" not in f"{outcome} {self.signals}"
        return outcome

    async def close(self) -> None:
        await self.tasks.stop(timedelta(), set())
        await self.sender.close()


@pytest.fixture
async def chained(new_client: Callable[[], Client]) -> AsyncIterator[Chained]:
    made = Chained(new_client)
    yield made
    await made.close()


def guarded(url: str, settings: OAuth2, **more: Any) -> Target:
    return target(url=url, oauth2=settings, **{"timeout": timedelta(seconds=5), **more})


# ---- one token for all


async def test_the_request_carries_the_token_that_the_credentials_got(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        outcome = await chained.send(guarded(bot.url, authority.settings()))
        assert (outcome.reason, outcome.detail) == (Reason.OK, "you sent ***")
        assert bot.got == [("canary-token/1", "1")]
        [(head, body)] = authority.requests
        assert head.startswith(b"POST /token HTTP/1.1\r\n")
        assert body == b"grant_type=client_credentials"


async def test_attempts_at_once_share_one_fetch(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        authority.gate.clear()
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        made = [asyncio.create_task(chained.send(to, by=sends)) for _ in range(20)]
        await authority.asked.wait()
        authority.gate.set()
        assert {outcome.reason for outcome in await asyncio.gather(*made)} == {Reason.OK}
        assert (len(authority.requests), len(bot.got)) == (1, 20)
    [fetched] = chained.signals
    assert isinstance(fetched, TokenFetched)


async def test_a_reload_that_changes_something_else_keeps_the_token(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        settings = authority.settings()
        await chained.send(guarded(bot.url, settings))
        await chained.send(guarded(bot.url, settings, concurrency=1))
        assert len(authority.requests) == 1
        await chained.send(guarded(bot.url, authority.settings(scope="hooks")))
        assert len(authority.requests) == 2


async def test_an_attempt_that_is_cancelled_leaves_the_fetch_to_the_others(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        authority.gate.clear()
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        first, second = (asyncio.create_task(chained.send(to, by=sends)) for _ in range(2))
        await authority.asked.wait()
        first.cancel()
        await asyncio.wait([first])
        authority.gate.set()
        assert (await second).reason is Reason.OK
        assert len(authority.requests) == 1


async def test_a_stop_waits_for_no_token_that_no_attempt_waits_for(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        authority.gate.clear()
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        attempt = chained.tasks.start(chained.send(to, by=sends))
        await authority.asked.wait()
        attempt.cancel()
        began = asyncio.get_running_loop().time()
        await chained.tasks.stop(timedelta(seconds=40), set())
        assert asyncio.get_running_loop().time() - began < 4, "the fetch itself may take 10 s"


# ---- the end of a token


async def over_time(seconds: list[float], says: Callable[[int], bytes]) -> tuple[list[str], list[Signal]]:
    """The token of an attempt after each pause, in virtual time."""
    chained = Chained(authorized_client)
    async with authorizing(says) as authority, guarding() as bot:
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        for pause in seconds:
            await asyncio.sleep(pause)
            await chained.send(to, by=sends)
            await asyncio.sleep(0.1)  # a renewal beside it ends
        await chained.close()
        return [token.removeprefix("canary-token/") for token, _ in bot.got], chained.signals


def authorized_client() -> Client:
    from relay.http.client import fast_client

    return fast_client()


def lasting(seconds: float) -> Callable[[int], bytes]:
    return lambda number: grant(f"canary-token/{number}", seconds)


def test_a_token_is_renewed_beside_the_attempts_before_it_ends() -> None:
    got, _ = virtual.run(over_time([0, 500, 45, 1, 500], lasting(600)))
    assert got == ["1", "1", "1", "2", "2"], "the first after 540 s still has the old one, and has another fetched"


def test_a_token_that_has_ended_is_not_sent() -> None:
    got, _ = virtual.run(over_time([0, 601, 1], lasting(600)))
    assert got == ["1", "2", "2"]


def test_a_token_without_an_end_is_not_renewed() -> None:
    got, signals = virtual.run(over_time([0, 10_000_000], lambda number: grant(f"canary-token/{number}")))
    assert (got, len(signals)) == (["1", "1"], 1)


def test_a_token_that_cannot_be_renewed_is_used_to_its_end() -> None:
    def failing(number: int) -> bytes:
        return lasting(600)(number) if number in (1, 4) else answer(503, b"canary")

    got, signals = virtual.run(over_time([0, 545, 1, 1, 11, 50], failing))
    assert got == ["1", "1", "1", "1", "1", "4"]
    assert [type(each) for each in signals] == [TokenFetched, TokenNotRenewed, TokenNotRenewed, TokenFetched]
    assert signals[1] == TokenNotRenewed(target="bot", detail="it answered 503")


# ---- 401


async def test_after_a_401_the_token_is_renewed_and_the_same_attempt_goes_on(chained: Chained) -> None:
    async with authorizing() as authority, guarding(lambda token: token.endswith(valid)) as bot:
        valid = "1"
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        assert (await chained.send(to, by=sends)).reason is Reason.OK
        valid = "2"
        made = await asyncio.gather(*(chained.send(to, by=sends, attempt=7) for _ in range(5)))
        assert {outcome.reason for outcome in made} == {Reason.OK}
        assert len(authority.requests) == 2
        assert [attempt for token, attempt in bot.got if token.endswith("2")] == ["7"] * 5


async def test_a_target_that_accepts_no_token_makes_no_loop(chained: Chained) -> None:
    async with authorizing() as authority, guarding(lambda _token: False) as bot:
        sends = chained.chain.of(to := guarded(bot.url, authority.settings()))
        made = [await chained.send(to, by=sends) for _ in range(10)]
        assert {(outcome.reason, outcome.status) for outcome in made} == {(Reason.CLIENT_ERROR, 401)}
        assert (len(authority.requests), len(bot.got)) == (2, 11)


async def test_the_same_token_again_is_not_sent_again(chained: Chained) -> None:
    async with authorizing(lambda _number: grant("canary-token/1")) as authority, guarding(lambda _token: False) as bot:
        assert (await chained.send(guarded(bot.url, authority.settings()))).status == 401
        assert (len(authority.requests), len(bot.got)) == (2, 1)


async def test_a_401_that_means_delivered_renews_nothing(chained: Chained) -> None:
    async with authorizing() as authority, guarding(lambda _token: False) as bot:
        to = guarded(bot.url, authority.settings(), ok_on=frozenset({401}))
        assert (await chained.send(to)).status == 401
        assert (len(authority.requests), len(bot.got)) == (1, 1)


async def test_a_401_without_another_token_is_no_fault_of_the_delivery(chained: Chained) -> None:
    says = [grant("canary-token/1"), answer(500, b"")]
    async with authorizing(lambda number: says[number - 1]) as authority, guarding(lambda _token: False) as bot:
        outcome = await chained.send(guarded(bot.url, authority.settings()))
        assert (outcome.reason, outcome.status) == (Reason.OAUTH2, None)
        assert outcome.detail == "answered 401, and no other token from token_url: it answered 500"


# ---- an authority that lies


def repeated(start: bytes, more: bytes, every: float = 0.0) -> Talk:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(start)
        while not writer.is_closing():
            writer.write(more)
            await writer.drain()
            await asyncio.sleep(every)

    return talk


def says(response: bytes) -> Talk:
    async def talk(reader: StreamReader, writer: StreamWriter) -> None:
        await read_request(reader)
        writer.write(response)
        await writer.drain()

    return talk


async def hang(reader: StreamReader, _writer: StreamWriter) -> None:
    await reader.read()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n"
ENDLESS = HEAD + b'{"access_token": "canary'
LIES: dict[str, tuple[Talk, str]] = {
    "html": (says(answer(200, b"<html>")), "it answered 200 with a body that is no JSON object"),
    "no token": (says(answer(200, b"{}")), "it answered 200 without an access_token"),
    "error": (says(answer(200, b'{"error": "busy"}')), "it answered 200 without an access_token: busy"),
    "endless": (repeated(ENDLESS, b"x" * 65_536), "it answered 200, and its body is longer than 64 KiB"),
    "dripping": (repeated(HEAD, b" ", every=0.02), "it answered 200, and its body did not end in time"),
    "cut off": (says(answer(200, b"{").replace(b": 1", b": 99")), "it answered 200, and its body broke off"),
    "redirect": (says(answer(302, b"", "Location: http://127.0.0.1:9/canary")), "it answered 302"),
    "not HTTP": (says(b"SSH-2.0-canary\r\n"), "it answered with something else than HTTP"),
    "hangs": (hang, "no answer within 0.4 s"),
    "gone": (says(b""), "Server disconnected"),
}  # fmt: skip
NEVER_END = ("dripping", "hangs")


@pytest.mark.parametrize("lie", LIES)
async def test_an_authority_that_lies_is_one_line_and_no_request(
    lie: str, chained: Chained, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lie in NEVER_END:
        monkeypatch.setattr(authorized, "FETCH_TIMEOUT", timedelta(seconds=0.4))
    talk, line = LIES[lie]
    async with serving(talk) as port, guarding() as bot:
        outcome = await chained.send(guarded(bot.url, Authority(port=port).settings(), timeout=timedelta(seconds=50)))
        assert (outcome.reason, outcome.status, bot.got) == (Reason.OAUTH2, None, [])
    before, _, why = outcome.detail.partition(": ")
    assert before == "no token from token_url"
    assert why == line
    assert len(outcome.detail.splitlines()) == 1


async def test_an_authority_that_is_not_there(chained: Chained) -> None:
    async with guarding() as bot:
        outcome = await chained.send(guarded(bot.url, Authority(port=9).settings()))
    assert outcome.reason is Reason.OAUTH2
    assert "127.0.0.1:9" in outcome.detail


async def test_an_attempt_waits_for_a_token_within_its_own_timeout_and_the_next_finds_it(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        authority.gate.clear()
        to = guarded(bot.url, authority.settings(), timeout=timedelta(seconds=0.2))
        assert (await chained.send(to)).detail == "no token from token_url: none within 0.1 s"
        authority.gate.set()
        later = guarded(bot.url, authority.settings())
        assert (await chained.send(later)).reason is Reason.OK
        assert len(authority.requests) == 1


# ---- how connections leave


async def test_no_token_is_fetched_from_an_address_that_is_not_public(chained: Chained) -> None:
    async with authorizing() as authority, guarding() as bot:
        settings = authority.settings(token_url=f"http://localhost:{authority.port}/token")
        outcome = await chained.send(guarded(bot.url, settings, egress=Egress(deny_private=True)))
        assert (outcome.reason, authority.requests, bot.got) == (Reason.OAUTH2, [], [])
        assert "deny_private" in outcome.detail


async def test_a_token_comes_through_the_proxy_of_its_target(chained: Chained) -> None:
    proxy = LocalProxy()
    async with authorizing() as authority, guarding() as bot, serving(proxy.talk) as port:
        egress = Egress(proxy=Proxy(url=f"http://127.0.0.1:{port}", credentials=Secret("relay:canary-password")))
        settings = authority.settings(token_url=f"http://id.relay.test:{authority.port}/token")
        outcome = await chained.send(guarded(bot.url, settings, egress=egress))
        assert (outcome.reason, len(authority.requests), len(bot.got)) == (Reason.OK, 1, 1)
        assert "id.relay.test" in proxy.lines[0]


async def test_a_proxy_that_refuses_is_why_there_is_no_token(chained: Chained) -> None:
    proxy = LocalProxy(answer=b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n")
    async with guarding() as bot, serving(proxy.talk) as port:
        egress = Egress(proxy=Proxy(url=f"http://127.0.0.1:{port}", credentials=Secret("relay:canary-password")))
        settings = Authority(port=9).settings(token_url="https://id.relay.test/token")
        outcome = await chained.send(guarded(bot.url, settings, egress=egress))
        assert (outcome.reason, bot.got) == (Reason.OAUTH2, [])
        assert "407" in outcome.detail


# ---- the lane


async def without_tokens(folder: Path) -> tuple[list[Signal], list[Any], list[Any]]:
    """An authority that says no for ten minutes, to a target with one attempt for each delivery."""
    async with guarding() as bot, authorizing(lambda _number: answer(401, b'{"error": "invalid_client"}')) as authority:
        policy = every(1_000)
        to = guarded(bot.url, authority.settings(), retry=policy.__class__(attempts=1, initial=policy.initial))
        async with VirtualBench(folder, to) as bench:
            await bench.keep(range(30))
            await bench.until_reported("bot", Health.OPEN, within=60)
            condition = (await bench.store.status()).targets["bot"].condition
            await asyncio.sleep(600)
            assert await bench.pending() == 30
            assert bot.got == []
            probes = len(authority.requests)
            authority.says = lambda number: grant(f"canary-token/{number}")
            await bench.until_none_pending(within=300)
            kept = await bench.deliveries()
        assert condition is not None
        assert condition.error == "oauth2 no token from token_url: it answered 401: invalid_client"
        assert probes <= 2 + 600 / 30
        return [*bench.circuits], kept, [each.outcome for each in bench.attempted if each.outcome.reason is Reason.OK]


def test_without_a_token_the_target_is_held_and_no_delivery_spends_an_attempt(tmp_path: Path) -> None:
    circuits, kept, delivered = virtual.run(without_tokens(tmp_path))
    assert isinstance(circuits[0], CircuitOpened)
    assert {each.state for each in kept} == {State.DELIVERED}, "attempts: 1 was not spent"
    assert len(delivered) == 30


async def test_a_backlog_is_delivered_with_one_token(tmp_path: Path) -> None:
    async with authorizing() as authority, guarding() as bot:
        async with Bench(tmp_path, guarded(bot.url, authority.settings())) as bench:
            await bench.keep(range(50))
            await bench.until_none_pending()
        assert ({token for token, _ in bot.got}, len(authority.requests)) == ({"canary-token/1"}, 1)


async def test_a_batch_has_the_token_too(tmp_path: Path) -> None:
    batch = Batch(most=25, within=timedelta(milliseconds=20))
    async with authorizing() as authority, guarding() as bot:
        async with Bench(tmp_path, guarded(bot.url, authority.settings(), batch=batch)) as bench:
            await bench.keep(range(50))
            await bench.until_none_pending()
        assert {token for token, _ in bot.got} == {"canary-token/1"}
        assert len(bot.got) < 10


def test_the_secret_of_these_tests_is_a_canary() -> None:
    assert "canary" in SECRET
