"""Canaries in every secret place: no log line, answer, metric, listing or target's neighbour ever sees one."""

import asyncio
import base64
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import quote_plus

import aiohttp

from tests.delivery.authority import answer, authorizing, grant
from tests.delivery.conftest import serving
from tests.e2e.processes import RELAY, TOKEN, RelayProcess, run, running
from tests.e2e.sender import post_lead
from tests.e2e.targets import listening, refusing, repeating, well

BEARER = "canary-of-a-header-4f1d"
QUERY = "canary-of-a-query-77b2"
PROXY = "canary-of-a-proxy-1e6c"
SECRET = base64.b64encode(b"canary of a signature ..").decode()
DEFAULT = "canary-of-a-default-90aa"
ADMIN = "canary-of-the-admin-token-51c7"
KEY = "canary of a private key 2d7b"
CANARIES = (TOKEN, BEARER, QUERY, SECRET, DEFAULT, PROXY, base64.b64encode(f"relay:{PROXY}".encode()).decode())
LOOKS = (
    ("status",), ("list",), ("audit",), ("verify",), ("pause", "bad", "--reason", "test"), ("purge", "--dry-run"),
    ("replay", "--all-dead", "--dry-run"), ("status", "--json"), ("list", "--json"), ("audit", "--json"),
)  # fmt: skip
"""What operators ask; `check`, `show` and `explain` are asked apart."""

ROUTES = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms, attempts: 2}}}}
targets:
  good:
    url: "{good}?key=${{file:{folder}/query}}"
    headers: {{Authorization: "Bearer ${{file:{folder}/bearer}}"}}
    secret: "${{file:{folder}/secret}}"
  bad:
    url: "{bad}?key=${{file:{folder}/query}}"
    headers: {{X-Key: "${{file:{folder}/bearer}}", X-Default: "${{NOBODY_SET_IT:-canary-of-a-default-90aa}}"}}
  weak: {{url: "{weak}?key=${{file:{folder}/query}}"}}
  nowhere: {{url: "http://127.0.0.1:{closed}/?key=${{file:{folder}/query}}"}}
  behind: {{url: "https://bot.example/", proxy: "http://relay:${{file:{folder}/proxy}}@127.0.0.1:{proxy}"}}
routes:
  - {{name: all, match: {{entity: leads}}, to: [good, bad, weak, nowhere, behind]}}
"""

CLIENT = "canary-of-a-client/3a7e"
OAUTH = "canary-of-an-access-token/88c1"
BASIC = base64.b64encode(f"relay:{quote_plus(CLIENT)}".encode()).decode()

TOKENS = """\
version: 1
sources: {{crm: {{token: "${{TOKEN}}"}}}}
defaults: {{retry: {{initial: 50ms, attempts: 2}}}}
targets:
  good:
    url: "{good}"
    oauth2: {{token_url: "{giving}", client_id: relay, client_secret: "${{file:{folder}/client}}"}}
  bad:
    url: "{bad}"
    oauth2: {{token_url: "{refusing}", client_id: relay, client_secret: "${{file:{folder}/client}}"}}
routes:
  - {{name: all, match: {{entity: leads}}, to: [good, bad]}}
"""

ROUTE = """\
version: 1
sources: {crm: {token: "${TOKEN}"}}
targets: {good: {url: "http://127.0.0.1:9/"}}
routes: [{name: all, match: {}, to: good}]
"""

MALFORMED = (
    b"POST /hooks/crm/%b HTTP/9.9\r\n\r\n",
    b"POST /hooks/crm/%b HTTP/1.1\r\nHost: x\r\nbroken header\r\n\r\n",
    b"POST /hooks/crm/%b HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
    b"POST /hooks/crm/%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"POST /hooks/crm/%b HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 20_000 + b"\r\n\r\n",
    b"GET /hooks/crm/%b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"P\xd0ST /hooks/crm/%b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /hooks/crm/%b/" + b"z" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
)


async def test_no_secret_is_ever_said(tmp_path: Path) -> None:
    for name, canary in {"bearer": BEARER, "query": QUERY, "secret": SECRET, "proxy": PROXY}.items():
        (tmp_path / name).write_text(canary)
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(good=well, bad=repeating(400), weak=refusing(1)))
        urls = {name: targets.url(name) for name in targets.behaviour}
        proxy = await stack.enter_async_context(serving(refuse_and_repeat))
        routes = ROUTES.format(folder=tmp_path, closed=1, proxy=proxy, **urls)
        relay = await stack.enter_async_context(running(tmp_path, routes))
        answers = [await malformed(relay, request % TOKEN.encode()) for request in MALFORMED]
        webhook = await post_lead(relay.hook, "m1")
        await relay.drained()
        assert targets.of("good")[0].headers["authorization"] == f"Bearer {BEARER}"
        assert {line["reason"] for line in relay.lines("attempt") if line["target"] == "behind"} == {"proxy"}

        said = [*map(repr, answers), await relay.get("/metrics"), relay.log.read_text()]
        said += [await asked(relay, *look) for look in LOOKS]
        said += [await asked(relay, "show", webhook), await asked(relay, "show", webhook, "--json")]
        code, printed, complaint = await run(*RELAY, "check", str(relay.routes))
        assert code == 0
        said += [printed, complaint]
        said.append(await explained(relay, webhook))
        relay.routes.write_text(relay.routes.read_text().replace("http:", "ftp:").replace("secret:", "secrets:"))
        async with asyncio.timeout(10):
            code, printed, complaint = await run(*RELAY, "check", str(relay.routes))
        assert code == 1
        said += [printed, complaint]
        for canary in CANARIES:
            assert [text for text in said if canary in text] == [], canary


async def refuse_and_repeat(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """As a proxy that shows whoever reads its answer what it was sent."""
    head = await reader.readuntil(b"\r\n\r\n")
    shown = head.decode().partition("Basic ")[2].partition("\r\n")[0]
    said = f"{shown} {base64.b64decode(shown).decode()}"
    writer.write(f"HTTP/1.1 407 {said}\r\nX-Said: {said}\r\nContent-Length: 0\r\n\r\n".encode())


async def test_neither_a_client_secret_nor_an_access_token_is_ever_said(tmp_path: Path) -> None:
    (tmp_path / "client").write_text(CLIENT)
    wrong = answer(
        401, b'{"error": "invalid_client", "error_description": "no %b, no %b"}' % (CLIENT.encode(), BASIC.encode())
    )
    async with AsyncExitStack() as stack:
        targets = await stack.enter_async_context(listening(good=repeating(400), bad=well))
        giving = await stack.enter_async_context(authorizing(lambda _number: grant(OAUTH, 3600)))
        refusing = await stack.enter_async_context(authorizing(lambda _number: wrong))
        routes = TOKENS.format(
            folder=tmp_path,
            good=targets.url("good"),
            bad=targets.url("bad"),
            giving=f"http://127.0.0.1:{giving.port}/token",
            refusing=f"http://127.0.0.1:{refusing.port}/token",
        )
        relay = await stack.enter_async_context(running(tmp_path, routes))
        webhook = await post_lead(relay.hook, "m1")
        await relay.said("attempt", 2)
        assert targets.of("good")[0].headers["authorization"] == f"Bearer {OAUTH}"
        assert targets.of("bad") == []

        said = [await relay.get("/metrics"), relay.log.read_text()]
        said += [await asked(relay, *look) for look in LOOKS]
        said += [await asked(relay, "show", webhook), await asked(relay, "show", webhook, "--json")]
        explained_ = await explained(relay, webhook)
        assert "authorization: ***" in explained_
        said.append(explained_)
        assert [
            text for text in said if "no token from token_url: it answered 401: invalid_client - no ***, no ***" in text
        ]
        for canary in (CLIENT, quote_plus(CLIENT), BASIC, OAUTH):
            assert [text for text in said if canary in text] == [], canary


async def malformed(relay: RelayProcess, request: bytes) -> bytes:
    """What is answered to a request that no client would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    writer.write(request)
    try:
        async with asyncio.timeout(10):
            return await reader.read(4096)
    finally:
        writer.close()


async def asked(relay: RelayProcess, *arguments: str) -> str:
    """What `relay …` prints of the store, for people."""
    store = f"--store=sqlite:///{relay.store}"
    _, printed, complaint = await run(*RELAY, *arguments, store, RELAY_CONFIG=str(relay.routes))
    return printed + complaint


async def explained(relay: RelayProcess, webhook: str) -> str:
    """What `relay explain` says of an event, requests with their headers and all."""
    [event] = (await relay.command("show", webhook))["events"]
    code, printed, complaint = await run(
        *RELAY, "explain", event["event"]["id"], f"--config={relay.routes}", f"--store=sqlite:///{relay.store}"
    )
    assert code == 0, complaint
    assert "good" in printed
    return printed + complaint


async def test_the_admin_token_is_never_said(tmp_path: Path) -> None:
    relay = RelayProcess(tmp_path, ROUTE, RELAY_ADMIN_TOKEN=ADMIN)
    try:
        await relay.spawn()
        await relay.said("ready")
        said = [await shown(relay, token) for token in ("", "wrong", ADMIN + "x", ADMIN)]
        assert [text.partition(" ")[0] for text in said] == ["401", "401", "401", "200"]
        said += [await shown(relay, "wrong") for _ in range(4)]
        assert said[-1].startswith("429 ")
        assert len(await relay.said("wrong admin tokens: locked out for a minute")) == 1
        assert [text for text in [*said, relay.log.read_text()] if ADMIN in text] == []
    finally:
        await relay.kill()


async def test_nothing_of_a_key_that_does_not_fit_is_said(tmp_path: Path) -> None:
    key = tmp_path / "tls.key"
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{KEY}\n-----END PRIVATE KEY-----\n")
    relay = RelayProcess(tmp_path, ROUTE, RELAY_TLS_CERT=str(key), RELAY_TLS_KEY=str(key))
    code, printed, complaint = await run(*relay.arguments, RELAY_TLS_CERT=str(key), RELAY_TLS_KEY=str(key))
    assert code == 1
    assert str(key) in complaint
    assert KEY not in printed + complaint


async def shown(relay: RelayProcess, token: str) -> str:
    """What /metrics answers to who shows this token."""
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.get(f"{relay.admin}/metrics", headers=headers) as answer:
        return f"{answer.status} {await answer.text()}"
