"""Role × path, and Host × Origin × Sec-Fetch-Site: a table of each, and every path that there is stands in it."""

import json
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from relay.admin import auth
from relay.model import Secret
from relay.operations import access
from relay.operations.access import Bearers
from relay.operations.asker import Role
from relay.signals import ClientLockedOut, Rejection, WebhookRejected
from tests.admin.conftest import PATHS, PUBLIC_PATHS, Client, Relay

PAST = datetime(2020, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Tokens:
    """An access file with something of everything; its tokens by a word for each."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "access.json"
        self.known = Bearers(admin=Secret("an-admin-token"), viewer=Secret("a-viewer-token"))
        self.texts = {
            "viewer": self._add("olga", Role.VIEWER),
            "reader": self._add("rita", Role.VIEWER, payloads=True),
            "operator": self._add("bot", Role.OPERATOR),
            "expired operator": self._add("old", Role.OPERATOR, expires=HOUR, now=PAST),
            "rotated operator": self._add("ann", Role.OPERATOR),
            "removed operator": self._add("gone", Role.OPERATOR),
            "admin variable": "an-admin-token",
            "viewer variable": "a-viewer-token",
            "guess": f"rt_00000000_{'0' * 40}",
        }
        access.rotate(self.file, "ann", expires=None, now=PAST)
        access.remove(self.file, "gone")
        self.use()

    def _add(self, name: str, role: Role, **more: Any) -> str:
        asked: dict[str, Any] = {"expires": None, "payloads": False, "now": PAST} | more
        return access.add(self.file, name, role=role, **asked).token.reveal()

    def use(self) -> None:
        self.known.use(access.load(self.file))

    def headers(self, word: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.texts[word]}"}


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    return Tokens(tmp_path)


@pytest.fixture
async def client(relay: Relay, tokens: Tokens) -> Client:
    return await relay.client(bearers=tokens.known)


# ---- role × path

OPERATORS, VIEWERS = ("operator", "admin variable"), ("viewer", "reader", "viewer variable")
NOBODY = ("expired operator", "rotated operator", "removed operator", "guess")
FOR_OPERATORS = [("GET", "/-/forward"), ("POST", "/-/reload")]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_path_is_open_to_its_role_alone(method: str, path: str, client: Client, tokens: Tokens) -> None:
    public, closed = path in PUBLIC_PATHS, (method, path) in FOR_OPERATORS
    expected = dict.fromkeys(OPERATORS, 200) | dict.fromkeys(VIEWERS, 403 if closed else 200)
    expected |= dict.fromkeys(NOBODY, 200 if public else 401)
    # the guesses last: they lock this address out
    found = {word: (await client.request(method, path, headers=tokens.headers(word))).status for word in expected}
    assert found == expected


async def test_a_viewer_is_told_what_is_missing_and_nothing_is_done(
    client: Client, tokens: Tokens, relay: Relay
) -> None:
    answer = await client.post("/-/reload", headers=tokens.headers("viewer"))
    assert (answer.status, await answer.text()) == (403, "olga is a viewer: this needs the role operator\n")
    assert relay.reloads == 0


async def test_a_viewer_learns_which_paths_and_methods_there_are(client: Client, tokens: Tokens) -> None:
    assert (await client.get("/nowhere", headers=tokens.headers("viewer"))).status == 404
    assert (await client.get("/-/reload", headers=tokens.headers("viewer"))).status == 405


async def test_a_path_that_no_table_names_is_for_operators(tokens: Tokens, relay: Relay) -> None:
    """Who adds a path and forgets its role has not opened it."""
    check = auth.TokenCheck(tokens.known, emit=relay.signals.append, clock=lambda: 0.0)
    app = web.Application(middlewares=[auth.require_token(check)])
    app.router.add_get("/new/{name}", _answer)
    app.router.add_get("/api/v1/new/{name}", _answer)
    client = await relay.connect(app)
    for path, status in (("/new/x", 403), ("/api/v1/new/x", 200), ("/new/api", 403)):
        assert (await client.get(path, headers=tokens.headers("viewer"))).status == status, path
        assert (await client.get(path, headers=tokens.headers("operator"))).status == 200
        assert (await client.get(path)).status == 401


async def _answer(request: web.Request) -> web.Response:
    return web.Response(text=request[auth.ASKER].name)


async def test_every_path_there_is_stands_in_these_tables(relay: Relay) -> None:
    client = await relay.client()
    routes = client.app.router.routes() if client.app else ()
    known = {(route.method, route.resource.canonical) for route in routes if route.resource}
    own = {(method, path) for method, path in known if method != "HEAD" and not path.startswith(auth.API)}
    assert own == set(PATHS)
    assert {path for _method, path in own} == set(auth.ROLES) | auth.PUBLIC_PATHS


async def test_a_viewer_who_follows_sees_no_text_of_a_target_or_a_body(
    client: Client, tokens: Tokens, relay: Relay
) -> None:
    refused = WebhookRejected(
        source="crm", reason=Rejection.TOO_LARGE, detail="canary", remote="192.0.2.7", took=timedelta()
    )
    seen = []
    for word in ("viewer", "reader", "operator"):
        async with client.get("/-/tail", headers=tokens.headers(word)) as answer:
            relay.live(refused)
            seen.append(json.loads(await answer.content.readline())["detail"])
    assert seen == ["***", "canary", "canary"]


# ---- tokens that end


@pytest.mark.parametrize("path", ["/-/tail", "/-/forward"])
async def test_a_stream_ends_once_its_token_is_removed(
    path: str, client: Client, tokens: Tokens, relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.admin.tail.HEARTBEAT", 0.05)
    async with client.get(path, headers=tokens.headers("operator")) as answer:
        assert await answer.content.readline() == b"\n"
        access.remove(tokens.file, "bot")
        tokens.use()
        await answer.content.read()  # to its end


async def test_an_expired_token_is_told_so_and_is_no_guess(client: Client, tokens: Tokens, relay: Relay) -> None:
    """A monitor that goes on asking must not lock out its address; a token that is merely near is a guess."""
    for _ in range(3 * auth.MAX_FAILURES):
        answer = await client.get("/metrics", headers=tokens.headers("expired operator"))
        assert answer.status == 401
    assert await answer.text() == (
        "this token of old expired at 2020-01-01T01:00:00.000Z: have it replaced by relay access rotate\n"
    )
    assert not [each for each in relay.signals if isinstance(each, ClientLockedOut)]


async def test_a_token_ends_and_begins_with_the_file_on_connections_that_are_open(
    client: Client, tokens: Tokens
) -> None:
    async def ask(text: str) -> int:
        return (await client.get("/metrics", headers={"Authorization": f"Bearer {text}"})).status

    old = tokens.texts["operator"]
    new = access.rotate(tokens.file, "bot", expires=None, now=PAST).token.reveal()
    assert [await ask(old), await ask(new)] == [200, 401]
    tokens.use()
    assert [await ask(old), await ask(new)] == [401, 200]


async def test_after_a_thousand_guesses_every_right_token_passes_and_no_guess_does(
    relay: Relay, tokens: Tokens
) -> None:
    client = await relay.client(bearers=tokens.known, clock=lambda: 0.0)
    right = tokens.texts["operator"]
    near = [right[:place] + ("0" if right[place] != "0" else "1") + right[place + 1 :] for place in range(3, 52)]
    guesses = [each for each in near if each[11] == "_"] * 20
    found = [(await client.get("/metrics", headers={"Authorization": f"Bearer {each}"})).status for each in guesses]
    assert found == [401] * auth.MAX_FAILURES + [429] * (len(guesses) - auth.MAX_FAILURES) and len(guesses) > 900
    passed = {word: (await client.get("/metrics", headers=tokens.headers(word))).status for word in OPERATORS + VIEWERS}
    assert set(passed.values()) == {200}


async def test_no_answer_shows_a_token_or_its_hash(client: Client, tokens: Tokens) -> None:
    stored = json.loads(tokens.file.read_text())["tokens"].values()
    canaries = {text.rpartition("_")[2] for text in tokens.texts.values()} | {each["sha256"] for each in stored}
    said = []
    for word, (method, path) in product(tokens.texts, [*PATHS, ("GET", "/nowhere")]):
        if path not in {"/-/tail", "/-/forward"}:
            answer = await client.request(method, path, headers=tokens.headers(word))
            said.append(f"{answer.headers} {await answer.text()}")
    assert not [each for each in canaries if any(each in text for text in said)] and len(said) == 9 * 6


# ---- Host × Origin × Sec-Fetch-Site

HOSTS = {"127.0.0.1:8081": True, "localhost:8081": True, "evil.example:8081": False, "127.0.0.1.evil.example": False}
ORIGINS = {None: True, "own": True, "https://evil.example": False, "null": False, "http://127.0.0.1:9000": False}
SITES = {None: None, "same-origin": True, "none": True, "same-site": False, "cross-site": False}
"""What a browser says of itself outweighs the Origin."""


@pytest.mark.parametrize(("method", "path"), [*PATHS, ("GET", "/api/v1/status"), ("POST", "/api/v1/purge")])
@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("with_token", [False, True])
async def test_a_page_gets_what_its_host_origin_and_site_allow(
    method: str, path: str, host: str, with_token: bool, relay: Relay, tokens: Tokens
) -> None:
    client = await relay.client(bearers=tokens.known if with_token else None)
    embeddable = method == "GET" and path in {*PUBLIC_PATHS, "/metrics"}
    done = 404 if path.startswith("/api/v1") else 200
    token = tokens.headers("operator") if with_token else {}
    for origin, site in product(ORIGINS, SITES):
        headers = {"Host": host} | token
        headers |= {"Origin": f"http://{host}" if origin == "own" else origin} if origin else {}
        headers |= {"Sec-Fetch-Site": site} if site else {}
        own = ORIGINS[origin] if SITES[site] is None else SITES[site]
        expected = 421 if not (with_token or HOSTS[host]) else done if own or embeddable else 403
        answer = await client.request(method, path, headers=headers)
        assert (answer.status, origin, site) == (expected, origin, site)
        answer.close()
