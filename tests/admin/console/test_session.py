"""Log-in: a token -> a cookie that ends with its token, by its age, and by idleness; and where it leads."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.cookies import Morsel
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientResponse, web

from relay.admin import auth
from relay.admin.console import session
from relay.admin.console.console import Console
from relay.admin.console.session import IDLE, KEY_AGE, RENEWED_AFTER, WHOLE, Sessions
from relay.errors import StoreBusy
from relay.model import Secret
from relay.operations import access
from relay.operations.access import Bearers
from relay.operations.asker import Role
from relay.signals import ClientLockedOut, Signal
from relay.store.contract import Archive
from relay.store.records import AuditEntry
from tests.admin.console.conftest import FOLLOWED, Client, Seen, see

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = bytes(range(32))
ADMIN = "an-operator-0123456789"
PATIENCE = 30.0  # seconds: a bound of a hang


class World:
    """A relay with tokens, whose clock the test sets."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "access.json"
        self.now, self.busy, self.key = NOON, False, KEY
        self.signals: list[Signal] = []
        self.bearers = Bearers(admin=Secret(ADMIN))
        self.token = access.add(
            self.file, "olga", role=Role.VIEWER, expires=30 * 24 * HOUR, payloads=False, now=NOON
        ).token.reveal()
        self.load()

    def load(self) -> None:
        self.bearers.use(access.load(self.file))

    async def read_key(self) -> bytes:
        if self.busy:
            raise StoreBusy("the database is away")
        return self.key


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
async def browser(world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]) -> Client:
    sessions = Sessions(world.bearers, world.read_key, secure=False, now=lambda: world.now)
    return await connected(world, build, aiohttp_client, sessions)


async def connected(world: World, build: Any, connect: Any, sessions: Sessions, **more: Any) -> Client:
    def consoles(asking: Any, stream: Any) -> Console:
        return Console(asking, stream, sessions)

    app = build(consoles=consoles, bearers=world.bearers, emit=world.signals.append, clock=lambda: 0.0)
    client: Client = await connect(app, **more)
    return client


async def log_in(browser: Client, token: str = ADMIN, following: str = "/") -> ClientResponse:
    return await browser.post("/login", data={"token": token, "next": following}, allow_redirects=False)


def cookie(answer: ClientResponse) -> Morsel[str]:
    [found] = [each for name, each in answer.cookies.items() if "relay-" in name]
    return found


async def is_in(browser: Client) -> bool:
    return (await browser.get("/", allow_redirects=False)).status == 200


# ---- in and out


async def test_a_token_opens_every_page_until_log_out(browser: Client) -> None:
    assert not await is_in(browser)
    answer = await log_in(browser, following="/deliveries?state=dead")
    assert (answer.status, answer.headers["Location"]) == (303, "/deliveries?state=dead")
    seen = await see(browser, "/")
    assert "RELAY_ADMIN_TOKEN" in seen.text
    await browser.post("/logout", data=seen.form("/logout"), allow_redirects=False)
    assert not await is_in(browser)


async def test_the_cookie_is_for_the_server_alone(browser: Client) -> None:
    made = cookie(await log_in(browser))
    assert (made["httponly"], made["samesite"], made["path"], made["secure"]) == (True, "Lax", "/", "")
    assert made.key.startswith("relay-") and ADMIN not in made.value


async def test_under_https_the_cookie_is_of_this_host_alone(
    world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    secure = Sessions(world.bearers, world.read_key, secure=True, now=lambda: world.now)
    made = cookie(await log_in(await connected(world, build, aiohttp_client, secure)))
    assert made.key.startswith("__Host-relay-") and made["secure"] and not made["domain"] and made["path"] == "/"


async def test_the_asker_is_who_the_token_is_of(browser: Client, world: World) -> None:
    await log_in(browser, world.token)
    assert "olga" in (await see(browser, "/")).text
    answer = await browser.post("/targets/warehouse/pause", data={}, allow_redirects=False)
    assert "olga is a viewer" in (await see(browser, answer.headers["Location"])).text


@pytest.mark.parametrize(
    "following",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)", "", "x",
     "/\t/evil.example", "/\n/evil.example", "http:evil.example", "///evil.example"],
)  # fmt: skip
async def test_log_in_leads_only_to_paths_of_its_own(following: str, browser: Client) -> None:
    assert (await log_in(browser, following=following)).headers["Location"] == "/"
    again = await browser.get("/login", params={"next": following}, allow_redirects=False)
    assert (again.status, again.headers["Location"]) == (303, "/")


async def test_a_page_that_needs_log_in_is_shown_after_it(browser: Client) -> None:
    answer = await browser.get("/deliveries?state=dead&target=x")  # followed
    assert answer.url.path == "/login"
    assert answer.url.query["next"] == "/deliveries?state=dead&target=x"


async def test_where_nobody_needs_a_token_there_is_no_log_in(
    build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    client = await aiohttp_client(build())
    assert (await client.get("/login", allow_redirects=False)).headers["Location"] == "/"
    assert (await client.post("/login", data={"token": "x"}, allow_redirects=False)).status == 303
    assert "/logout" not in [each["action"] for each in (await see(client, "/")).forms]


# ---- the end of a session


@pytest.mark.parametrize("end", ["removed", "rotated"])
async def test_a_session_ends_with_its_token(end: str, browser: Client, world: World) -> None:
    await log_in(browser, world.token)
    assert await is_in(browser)
    if end == "removed":
        access.remove(world.file, "olga")
    else:
        access.rotate(world.file, "olga", expires=None, now=NOON)
    world.load()
    assert not await is_in(browser)


async def test_a_session_ends_when_its_token_expires(browser: Client, world: World) -> None:
    access.rotate(world.file, "olga", expires=None, now=NOON)
    world.token = access.rotate(world.file, "olga", expires=365 * 24 * HOUR, now=NOON).token.reveal()
    world.load()
    world.now = NOON + 365 * 24 * HOUR - HOUR
    await log_in(browser, world.token)
    assert await is_in(browser)
    world.now += HOUR
    assert not await is_in(browser)


async def test_an_expired_token_is_said_to_be_one_and_is_no_guess(browser: Client, world: World) -> None:
    old = access.rotate(world.file, "olga", expires=HOUR, now=datetime(2020, 1, 1, tzinfo=UTC)).token.reveal()
    world.load()
    for _ in range(2 * auth.MAX_FAILURES):
        answer = await log_in(browser, old)
        assert answer.status == 401 and "has expired" in await answer.text()


async def test_a_new_admin_token_ends_the_sessions_of_the_old_one(
    browser: Client, world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    old = cookie(await log_in(browser))
    world.bearers = Bearers(admin=Secret("another-operator-0123456789"))
    sessions = Sessions(world.bearers, world.read_key, secure=False, now=lambda: world.now)
    restarted = await connected(world, build, aiohttp_client, sessions, cookies={old.key: old.value})
    assert not await is_in(restarted)


async def test_a_session_outlives_a_restart_and_other_relays_of_the_store_know_it(
    browser: Client, world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    old = cookie(await log_in(browser))
    sessions = Sessions(world.bearers, world.read_key, secure=False, now=lambda: world.now)
    assert await is_in(await connected(world, build, aiohttp_client, sessions, cookies={old.key: old.value}))


async def test_a_session_ends_after_twelve_idle_hours(browser: Client, world: World) -> None:
    await log_in(browser)
    for _ in range(3):
        world.now += IDLE - timedelta(seconds=1)
        assert await is_in(browser)
    world.now += IDLE
    assert not await is_in(browser)


async def test_a_session_ends_after_seven_days_however_busy(browser: Client, world: World) -> None:
    await log_in(browser)
    while world.now < NOON + WHOLE - IDLE / 2:  # so that it is not idleness that ends it
        world.now += IDLE / 2
        assert await is_in(browser)
    world.now = NOON + WHOLE
    assert not await is_in(browser)


async def test_a_young_cookie_and_a_file_for_ever_set_none(browser: Client, world: World) -> None:
    await log_in(browser)
    assert not (await browser.get("/")).cookies
    world.now += RENEWED_AFTER
    assert not (await browser.get("/favicon.svg")).cookies
    assert cookie(await browser.get("/"))


# ---- all of them ended


async def test_all_sessions_end_within_ten_seconds_of_another_key(browser: Client, world: World) -> None:
    await log_in(browser)
    world.key = bytes(range(1, 33))
    assert await is_in(browser)
    world.now += KEY_AGE
    assert not await is_in(browser)
    await log_in(browser)
    assert await is_in(browser)


async def test_with_a_store_that_is_away_sessions_go_on(browser: Client, world: World) -> None:
    await log_in(browser)
    world.busy = True
    world.now += KEY_AGE
    assert await is_in(browser)
    world.busy, world.key = False, bytes(range(1, 33))
    world.now += KEY_AGE
    assert not await is_in(browser)


async def test_an_operator_ends_all_sessions_on_a_page_and_a_viewer_does_not(
    browser: Client, world: World, store: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end_sessions(_self: Archive, act: AuditEntry) -> None:
        world.key = bytes(range(1, 33))
        await store.record_audit(act, 1)

    monkeypatch.setattr(type(store), "end_sessions", end_sessions)
    await log_in(browser, world.token)
    assert "/sessions/end" not in (await see(browser, "/preferences")).source
    await browser.post("/sessions/end", data={}, allow_redirects=False)
    assert await is_in(browser)
    await log_in(browser)
    seen = await see(browser, "/preferences")
    answer = await browser.post("/sessions/end", data=seen.form("/sessions/end"), allow_redirects=False)
    assert answer.status == 303
    assert "Everybody has to log in again." in (await see(browser, answer.headers["Location"])).text
    assert not await is_in(browser)
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.who) == ("access end-sessions", "RELAY_ADMIN_TOKEN")


async def test_a_stream_of_a_session_that_was_ended_ends(browser: Client, world: World) -> None:
    await log_in(browser)
    async with browser.get("/live/stream") as stream:
        assert stream.status == 200
        world.key = bytes(range(1, 33))
        world.now += KEY_AGE
        async with asyncio.timeout(PATIENCE):
            await stream.read()


# ---- forgeries


async def test_whoever_reads_the_access_file_or_the_key_alone_makes_no_session(
    browser: Client, world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    """A session is signed by both, so that of a relay with another key, or another token, is none."""
    made = cookie(await log_in(browser, world.token))

    async def other_key() -> bytes:
        return bytes(32)

    others = Bearers()
    path = world.file.with_name("other.json")
    access.add(path, "olga", role=Role.OPERATOR, expires=None, payloads=True, now=NOON)
    others.use(access.load(path))
    for forger in (
        Sessions(world.bearers, other_key, secure=False, now=lambda: NOON),
        Sessions(others, world.read_key, secure=False, now=lambda: NOON),
    ):
        answer = web.Response()
        who = others.named("olga", NOON)
        assert who is not None
        await forger.begin(answer, who[0])
        [forged] = answer.cookies.values()
        sessions = Sessions(world.bearers, world.read_key, secure=False, now=lambda: NOON)
        client = await connected(world, build, aiohttp_client, sessions, cookies={made.key: forged.value})
        assert not await is_in(client)


@pytest.mark.parametrize("name", ["a", "ы" * 64, "".join(map(chr, range(0x4E00, 0x4E40)))])
async def test_a_cookie_is_read_however_long_the_name_in_it_is(name: str, browser: Client, world: World) -> None:
    token = access.add(world.file, name, role=Role.VIEWER, expires=None, payloads=False, now=NOON).token.reveal()
    world.load()
    await log_in(browser, token)
    assert await is_in(browser)


async def test_a_cookie_that_is_too_long_is_not_unpacked(browser: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 8 KiB there might be 6 MiB of JSON, which are read before it is known who has signed them."""
    name, unpacked = cookie(await log_in(browser)).key, list[str]()
    browser.session.cookie_jar.clear()

    def claimed(text: str) -> str:
        unpacked.append(text)
        return ""

    monkeypatch.setattr(session, "_claimed", claimed)
    for text in ("x" * 100, "x" * 2_000):
        await browser.get("/login", headers={"Cookie": f"{name}={text}"})
    assert {len(each) for each in unpacked} == {100}


@pytest.mark.parametrize("text", ["", "x", "x.y", "eyJuYW1lIjoib2xnYSJ9.AAAA", ".", "💥", "a" * 4000])
async def test_what_was_never_signed_is_nobodys(
    text: str, browser: Client, world: World, build: Callable[..., web.Application], aiohttp_client: Callable[..., Any]
) -> None:
    name = cookie(await log_in(browser)).key
    sessions = Sessions(world.bearers, world.read_key, secure=False, now=lambda: NOON)
    client = await connected(world, build, aiohttp_client, sessions)
    answer = await client.get("/", headers={"Cookie": f"{name}={text}"}, allow_redirects=False)
    assert answer.status == 303


async def test_wrong_tokens_lock_the_address_out_and_the_right_one_passes(browser: Client, world: World) -> None:
    found = [(await log_in(browser, f"guess-{each}")).status for each in range(1_000)]
    assert found == [401] * auth.MAX_FAILURES + [429] * (1_000 - auth.MAX_FAILURES)
    assert len([each for each in world.signals if isinstance(each, ClientLockedOut)]) == 1
    answer = await log_in(browser, "one more")
    assert "wait a minute" in await answer.text() and int(answer.headers["Retry-After"]) > 0
    assert (await log_in(browser)).status == 303


async def test_an_empty_token_is_no_guess(browser: Client, world: World) -> None:
    assert [(await log_in(browser, "")).status for _ in range(9)] == [401] * 9
    assert not world.signals


async def test_a_page_that_cannot_read_the_key_says_so_and_the_next_one_can(browser: Client, world: World) -> None:
    world.busy = True
    assert (await log_in(browser)).status == 503
    world.busy = False
    assert (await log_in(browser)).status == 303


async def test_a_cookie_opens_the_api_and_the_stream_as_a_token_does(browser: Client, world: World) -> None:
    await log_in(browser, world.token)
    assert (await browser.get("/api/v1/status")).status == 200
    assert (await browser.get("/metrics")).status == 200
    assert (await browser.post("/-/reload")).status == 403


async def test_a_form_that_was_sent_after_the_session_leads_to_log_in_and_back_to_its_page(browser: Client) -> None:
    answer = await browser.post("/targets/warehouse/pause", data={"reason": "x"}, headers=FOLLOWED)
    seen = Seen(await answer.text())
    assert answer.status == 401 and "/login?next=/targets/warehouse" in seen.links
