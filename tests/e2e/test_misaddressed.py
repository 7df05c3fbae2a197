"""A webhook that comes to a wrong address is seen: in the log, the metrics and `relay status`, over a restart too."""

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from signal import SIGTERM

import aiohttp
import pytest

from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running, until

ROUTES = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {bot: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {entity: leads}, to: bot}]
"""
BODY = b"leads[add][0][id]=7"
X = "X-Forwarded-For"


@pytest.fixture
async def relay(tmp_path: Path) -> AsyncIterator[RelayProcess]:
    async with running(tmp_path, ROUTES, RELAY_TRUSTED_PROXY="127.0.0.0/8, 10.0.0.0/8") as relay:
        yield relay


async def ask(relay: RelayProcess, path: str, method: str = "POST", body: bytes = BODY, **headers: str) -> int:
    url = f"http://127.0.0.1:{relay.port}{path}"
    async with aiohttp.ClientSession() as session, session.request(method, url, data=body, headers=headers) as answer:
        return answer.status


async def counted(relay: RelayProcess, outcome: str) -> float:
    return await relay.metric("relay_webhooks_total", source="-", outcome=outcome)


async def test_a_wrong_address_is_counted_logged_and_shown(relay: RelayProcess) -> None:
    assert [await counted(relay, outcome) for outcome in ("misaddressed", "stranger")] == [0, 0]
    assert await ask(relay, "/x/hooks/crm/" + TOKEN) == 404
    assert await ask(relay, "/", "GET", b"") == 404
    [line] = await relay.said("refused")
    assert (line["level"], line["outcome"]) == ("warning", "misaddressed")
    assert line["address"] == "POST /***/hooks/crm/***"
    assert "/hooks/crm/<token>" in line["detail"]
    assert TOKEN not in relay.log.read_text()
    assert [await counted(relay, outcome) for outcome in ("misaddressed", "stranger")] == [1, 1]

    async def reported() -> bool:
        return (await relay.command("status"))["webhooks"]["misaddressed"]["count"] == 1

    await until(reported)
    before = (await relay.command("status"))["webhooks"]["misaddressed"]
    assert (before["address"], before["detail"]) == (line["address"], line["detail"])
    relay.signal(SIGTERM)
    assert await relay.ended() == 0
    await relay.start()
    assert (await relay.command("status"))["webhooks"]["misaddressed"] == before
    code, shown, _ = await run(
        *RELAY, "status", f"--store=sqlite:///{relay.store}", RELAY_CONFIG=str(relay.routes), COLUMNS="200"
    )
    assert code == 0
    assert "misaddressed  1 since" in shown
    assert "POST /***/hooks/crm/***" in shown


async def test_a_wrong_token_is_shown_with_its_sender_and_without_the_token(relay: RelayProcess) -> None:
    for path in ("/hooks/crm/a-wrong-token", "/hooks/other/a-wrong-token"):
        assert await ask(relay, path, **{X: "192.0.2.1"}) == 404

    async def reported() -> bool:
        return (await relay.command("status"))["webhooks"]["unauthorized"]["count"] == 2

    await until(reported)
    status = await relay.command("status")
    assert status["webhooks"]["unauthorized"]["remote"] == "192.0.2.1"
    assert status["webhooks"]["misaddressed"]["count"] == 0
    assert "a-wrong-token" not in str(status)


async def test_the_lines_that_strangers_can_cause_are_few_and_every_request_is_counted(relay: RelayProcess) -> None:
    async with aiohttp.ClientSession() as session:
        for _ in range(150):
            async with session.get(f"http://127.0.0.1:{relay.port}/hooks/crm/login") as answer:
                assert answer.status == 405
    assert await counted(relay, "misaddressed") == 150
    assert 0 < len(await relay.said("refused")) < 150


async def test_what_is_no_http_is_logged_in_our_words_alone(relay: RelayProcess) -> None:
    with socket.create_connection(("127.0.0.1", relay.port), timeout=20) as connection:
        connection.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400 ")
    [line] = await relay.said("refused")
    assert "PROXY protocol" in line["detail"]
    assert relay.lines("aiohttp.server") == []


async def test_behind_trusted_proxies_the_log_names_the_client(relay: RelayProcess) -> None:
    await ask(relay, "/hooks/crm/wrong", **{X: "6.6.6.6, 192.0.2.1, 10.0.0.7"})
    await ask(relay, "/hooks/crm/", Forwarded='for="[2001:db8::7]:4711"')
    await ask(relay, f"/hooks/crm/{TOKEN}", body=b"", **{X: "192.0.2.9"})
    assert [line["remote"] for line in await relay.said("refused", 2)] == ["192.0.2.1", "2001:db8::7"]
    assert [line["remote"] for line in await relay.said("probe")] == ["192.0.2.9"]


async def test_a_probe_is_no_webhook(relay: RelayProcess) -> None:
    assert await ask(relay, f"/hooks/crm/{TOKEN}", body=b"") == 200
    assert await relay.metric("relay_webhooks_total", source="crm", outcome="probe") == 1
    assert await relay.metric("relay_last_webhook_timestamp_seconds", source="crm") == 0
    assert (await relay.command("status"))["webhooks"]["last_at"] is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("10.0.0.1/8", "'10.0.0.1/8' is not a network: did you mean 10.0.0.0/8?"),
        ("proxy.example", "'proxy.example' is not a network, like 10.0.0.0/8 or 2001:db8::1"),
    ],
)
async def test_a_proxy_that_is_no_network_is_misuse(given: str, said: str) -> None:
    for code, _, complaint in (
        await run(*RELAY, "run", f"--trusted-proxy={given}"),
        await run(*RELAY, "run", RELAY_TRUSTED_PROXY=f"127.0.0.1,{given}"),
    ):
        assert code == 2
        assert said in complaint
