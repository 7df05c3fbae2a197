"""What verify found: on the page of the act, in the audit, and after a restart of the relay."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import pytest
from aiohttp import web

from relay.admin.api import acts as api_acts
from relay.admin.api.asking import Asking
from relay.operations.documents.encoding import encode
from relay.operations.documents.verified import CheckedDocument, LossDocument, VerifiedDocument
from relay.routes.config import Config
from relay.store.contract import Archive
from tests.admin.console.conftest import FOLLOWED, Client, Seen, see, sent
from tests.cli.conftest import NOON

CHECKED = CheckedDocument(checked=3, without_checksum=0, corrupt=())
SOUND = VerifiedDocument(sound=True, structure=(), webhooks=CHECKED, events=CHECKED, losses=(), notes=())
UNSOUND = replace(
    SOUND,
    sound=False,
    structure=("page 7 is never used",),
    events=replace(CHECKED, corrupt=("one", "two")),
    losses=(LossDocument(at_most=4, after=None, noticed_at=NOON, relay=""),),
)


@dataclass
class Look:
    """One that ends when it is let, with what it is to find."""

    found: VerifiedDocument
    ends: asyncio.Event

    async def __call__(self) -> bytes:
        await self.ends.wait()
        return encode(self.found)


@pytest.fixture
def look() -> Look:
    return Look(SOUND, asyncio.Event())


@pytest.fixture
def begin(
    build: Callable[..., web.Application],
    aiohttp_client: Callable[..., Awaitable[Client]],
    store: Archive,
    config: Config,
    look: Look,
) -> Callable[[], Awaitable[Client]]:
    """A browser at a relay that is begun now."""

    async def begun() -> Client:
        return await aiohttp_client(build(asking=Asking(store, lambda: config, verify=look)), headers=FOLLOWED)

    return begun


async def verify(browser: Client) -> Seen:
    return await sent(browser, await see(browser, "/relays"), "/relays/verify")


async def listed(browser: Client) -> Seen:
    """The page of the only act that the audit has of it, by the link on the page of relays."""
    assert "/acts?command=verify" in (await see(browser, "/relays")).links
    [act] = [each for each in (await see(browser, "/acts?command=verify")).links if each.startswith("/acts/")]
    return await see(browser, act)


@pytest.mark.parametrize("patience", [0.0, 60.0])
async def test_a_store_that_is_not_sound_is_a_problem_on_the_page_of_the_act(
    patience: float, begin: Callable[[], Awaitable[Client]], look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", patience)
    look.found = UNSOUND
    browser = await begin()
    if patience:
        look.ends.set()
        assert "✗ The store is not sound" in (await verify(browser)).text
    else:
        assert "The store is" not in (await verify(browser)).text
        look.ends.set()
    for seen in (await until_listed(browser), await listed(await begin())):
        assert "✗ The store is not sound." in seen.text
        for said in ("restore the last sound backup", "look up in amoCRM what they were", "relay verify --accept-loss"):
            assert said in seen.text, said


async def test_a_sound_store_is_said_to_be_so(
    begin: Callable[[], Awaitable[Client]], look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_acts, "PATIENCE", 60.0)
    look.ends.set()
    browser = await begin()
    assert "✓ The store is sound." in (await verify(browser)).text
    seen = await listed(browser)
    assert "✓ The store is sound." in seen.text
    assert "not sound" not in seen.text and "accept-loss" not in seen.text


async def until_listed(browser: Client) -> Seen:
    """The page of the act, once the audit has it."""
    found = await see(browser, "/acts?command=verify")
    while not any(each.startswith("/acts/") for each in found.links):
        found = await see(browser, "/acts?command=verify")
    return await listed(browser)
