"""Who may ask the private listener: by token, by name, and never for a page of another site."""

from ipaddress import ip_network

import pytest
from aiohttp import ClientResponse

from relay.admin import auth
from relay.http.forwarded import TrustedProxies
from relay.operations.access import Bearers
from relay.signals import ClientLockedOut
from tests.admin.conftest import ADMIN, BEARER, PATHS, PUBLIC_PATHS, Client, Relay

# ---- who may ask


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("given", ["", "Bearer", "Bearer wrong", "Basic a-long-admin-token", "a-long-admin-token"])
async def test_with_a_token_only_life_and_readiness_are_told_to_strangers(
    method: str, path: str, given: str, relay: Relay
) -> None:
    client = await relay.client(bearers=ADMIN)
    answer = await client.request(method, path, headers={"Authorization": given})
    if path in PUBLIC_PATHS:
        assert answer.status == 200
    else:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert relay.refreshes == 0


@pytest.mark.parametrize("path", ["/readyz", "/readyz/store"])
@pytest.mark.parametrize("given", [{}, {"Authorization": "Bearer wrong"}, {"Host": "relay.internal.example"}])
async def test_a_probe_without_the_token_learns_whether_it_is_ready_and_nothing_else(
    given: dict[str, str], path: str, relay: Relay
) -> None:
    """Kubernetes cannot send one."""
    client = await relay.client(bearers=ADMIN, remark=lambda: "webhooks are missing")
    answer, told = await client.get(path, headers=given), await client.get(path, headers=BEARER)
    assert (answer.status, await answer.text()) == (200, "ready\n")
    assert (told.status, await told.text()) == (200, "ready; webhooks are missing\n")
    relay.reason = "disk full"
    answer, told = await client.get(path, headers=given), await client.get(path, headers=BEARER)
    assert (answer.status, await answer.text()) == (503, "not ready\n")
    assert (told.status, await told.text()) == (503, "disk full\n")


async def test_a_stranger_does_not_learn_which_paths_there_are(relay: Relay) -> None:
    answer = await (await relay.client(bearers=ADMIN)).get("/nowhere")
    assert answer.status == 401


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_the_token_opens_every_path_under_any_name(method: str, path: str, relay: Relay) -> None:
    client = await relay.client(bearers=ADMIN)
    answer = await client.request(method, path, headers=BEARER | {"Host": "relay.internal.example"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8081", "127.0.0.1", "127.0.0.1:8081", "[::1]", "[::1]:8081", "192.0.2.9:8081"]
)
async def test_loopback_and_the_address_listened_on_are_names_of_ours(host: str, relay: Relay) -> None:
    answer = await (await relay.client(hosts=["192.0.2.9"])).get("/readyz", headers={"Host": host})
    assert answer.status == 200


@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8081", "localhost.evil.example", "127.0.0.1.evil.example", "[::2]", "::1", ""],
)
async def test_a_page_that_rebinds_its_name_gets_nothing(method: str, path: str, host: str, relay: Relay) -> None:
    client = await relay.client(hosts=["192.0.2.9"])
    answer = await client.request(method, path, headers={"Host": host})
    assert answer.status in {400, 421}
    assert relay.refreshes == 0


async def test_an_ipv6_address_listened_on_is_named_in_brackets(relay: Relay) -> None:
    client = await relay.client(hosts=["2001:db8::9"])
    assert (await client.get("/livez", headers={"Host": "[2001:db8::9]:8081"})).status == 200


# ---- tokens that are guessed


WRONG = {"Authorization": "Bearer a-long-admin-tokem"}


class Guarded:
    """A listener with a token, and the clock it looks at."""

    def __init__(self, relay: Relay) -> None:
        self.now = 1000.0
        self._relay = relay
        self._client: Client | None = None

    async def ask(self, headers: dict[str, str], path: str = "/metrics") -> int:
        return (await self.answer(headers, path)).status

    async def answer(self, headers: dict[str, str], path: str = "/metrics") -> ClientResponse:
        if self._client is None:
            self._client = await self._relay.client(bearers=ADMIN, clock=lambda: self.now)
        return await self._client.get(path, headers=headers)


@pytest.fixture
def guarded(relay: Relay) -> Guarded:
    return Guarded(relay)


async def test_after_five_wrong_tokens_all_but_the_right_one_have_to_wait_a_minute(
    guarded: Guarded, relay: Relay
) -> None:
    """Others at the address may be behind the same proxy: they must not shut out who knows the token."""
    assert [await guarded.ask(WRONG) for _ in range(5)] == [401] * 5
    answer = await guarded.answer(WRONG)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "61")
    assert [await guarded.ask(each) for each in ({}, BEARER, WRONG, BEARER)] == [429, 200, 429, 200]
    assert [await guarded.ask(WRONG, path) for path in PUBLIC_PATHS] == [200, 200, 200]
    assert locked_out(relay) == ["127.0.0.1"]
    guarded.now += 59
    assert [await guarded.ask(each) for each in (BEARER, WRONG)] == [200, 429]
    guarded.now += 1
    assert [await guarded.ask(each) for each in (BEARER, WRONG, BEARER)] == [200, 401, 200]


async def test_wrong_tokens_at_readyz_are_guesses_too(guarded: Guarded, relay: Relay) -> None:
    assert [await guarded.ask(WRONG, "/readyz") for _ in range(5)] == [200] * 5
    assert await guarded.ask(WRONG) == 429
    assert locked_out(relay) == ["127.0.0.1"]


async def test_behind_a_trusted_proxy_only_the_guesser_is_shut_out(relay: Relay) -> None:
    client = await relay.client(bearers=ADMIN, proxies=TrustedProxies((ip_network("127.0.0.1/32"),)))
    asked = [
        (await client.get("/metrics", headers=WRONG | {"X-Forwarded-For": remote})).status
        for remote in [*["192.0.2.1"] * 6, "192.0.2.2"]
    ]
    assert asked == [401] * 5 + [429, 401]
    assert locked_out(relay) == ["192.0.2.1"]


async def test_each_network_that_guesses_is_locked_out_and_announced_once(relay: Relay) -> None:
    """The observer limits the lines: whoever has a network of IPv6 has thousands of these."""
    client = await relay.client(bearers=ADMIN, proxies=TrustedProxies((ip_network("127.0.0.1/32"),)))
    networks = [f"2001:db8:1:{network + 1}::1" for network in range(12)]
    for remote in networks:
        for _ in range(6):
            await client.get("/metrics", headers=WRONG | {"X-Forwarded-For": remote})
    assert locked_out(relay) == networks


def locked_out(relay: Relay) -> list[str]:
    return [each.remote for each in relay.signals if isinstance(each, ClientLockedOut)]


async def test_four_wrong_tokens_a_minute_shut_nobody_out(guarded: Guarded) -> None:
    for _ in range(3):
        assert [await guarded.ask(each) for each in (WRONG, WRONG, WRONG, WRONG, BEARER)] == [401, 401, 401, 401, 200]
        guarded.now += 60


async def test_who_shows_no_token_does_not_guess(guarded: Guarded) -> None:
    shown: list[dict[str, str]] = [{}, {"Authorization": ""}, {"Authorization": "Bearer"}, {"Authorization": "Bearer "}]
    assert [await guarded.ask(each) for each in shown * 3] == [401] * 12
    assert await guarded.ask(BEARER) == 200


def test_a_guesser_shuts_out_its_own_network_alone() -> None:
    lockouts = auth._Lockouts(lambda: 0.0)
    for remote in ("192.0.2.1", "2001:db8::1"):
        for _ in range(auth.MAX_FAILURES):
            lockouts.count_failure(remote)
    shut_out = ["192.0.2.1", "2001:db8::1", "2001:db8::2:1", "2001:db8:0:0:ffff::1"]
    heard = ["192.0.2.2", "::1", "2001:db8:0:1::1", "fe80::1%eth0", "::ffff:192.0.2.1", ""]
    assert [remote for remote in [*shut_out, *heard] if lockouts.seconds_left(remote)] == shut_out


def test_of_a_million_guessers_a_thousand_are_remembered() -> None:
    lockouts = auth._Lockouts(lambda: 0.0)
    for number in range(20 * auth.MAX_ADDRESSES):
        lockouts.count_failure(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    assert len(lockouts._failures) == auth.MAX_ADDRESSES


# ---- pages of other sites

CROSS = [
    ({}, 200),  # curl
    ({"Origin": "http://127.0.0.1:8081"}, 200),
    ({"Origin": "HTTP://127.0.0.1:8081"}, 200),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8081"}, 200),
    ({"Sec-Fetch-Site": "none"}, 200),
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "http://127.0.0.1"}, 403),
    ({"Origin": "http://127.0.0.1:9000"}, 403),
    ({"Origin": "http://127.0.0.1:8081.evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": ""}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site", "Origin": "http://127.0.0.1:9000"}, 403),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "http://127.0.0.1:8081"}, 403),
]


@pytest.mark.parametrize("bearers", [None, ADMIN])
@pytest.mark.parametrize(("headers", "status"), CROSS)
async def test_no_page_of_another_site_reloads_the_routes(
    headers: dict[str, str], status: int, bearers: Bearers | None, relay: Relay
) -> None:
    client = await relay.client(bearers=bearers)
    answer = await client.post("/-/reload", headers=BEARER | {"Host": "127.0.0.1:8081"} | headers)
    assert (answer.status, relay.reloads) == (status, int(status == 200))


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz"])
async def test_what_changes_nothing_is_told_whoever_shows_it(path: str, relay: Relay) -> None:
    answer = await (await relay.client()).get(path, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status == 200
