"""/sources: what came to each, how near amoCRM is to switching it off, and a sample."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from aiohttp import web

from relay.admin.api.asking import Asking
from relay.amocrm import form
from relay.model import Source
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.question_records import RefusedMinute
from tests.admin.console.conftest import BEARERS, FOLLOWED, OPERATOR, VIEWER, Client, see, sent
from tests.cli.conftest import NOON

PAGE, SAMPLE = "/sources", "/sources/crm/sample"


class Intake:
    """Takes whatever comes."""

    def __init__(self) -> None:
        self.bodies: list[tuple[str, bytes]] = []

    async def receive(self, source: Source, body: bytes) -> str:
        self.bodies.append((source.name, body))
        return "webhook-1"


@pytest.fixture
def intake() -> Intake:
    return Intake()


@pytest.fixture
async def client(
    build: Callable[..., web.Application],
    store: Archive,
    config: Config,
    intake: Intake,
    aiohttp_client: Callable[..., Awaitable[Client]],
) -> AsyncIterator[Client]:
    app = build(asking=Asking(store, lambda: config, receive=intake.receive), bearers=BEARERS)
    yield await aiohttp_client(app, headers=FOLLOWED | OPERATOR)


async def test_it_shows_what_was_refused_and_where_it_is_listed(browser: Client, store: Archive) -> None:
    refused = RefusedMinute(
        minute=NOON, source="crm", reason="too_large", count=3, last_at=NOON, detail="", remote="192.0.2.7"
    )
    await store.questions.record_refused([refused])
    seen = await see(browser, PAGE)
    assert "crm – – 3 3 of 100 not watched" in seen.text
    assert "/hooks/crm/***" in seen.text and "canary" not in seen.source
    assert "/refused" in seen.links


async def test_a_sample_is_taken_once_for_a_form_and_is_in_the_audit(
    client: Client, intake: Intake, store: Archive
) -> None:
    page = await see(client, PAGE)
    seen = await sent(client, page, SAMPLE)
    assert "The sample came, and is stored as webhook-1" in seen.text
    await sent(client, page, SAMPLE)
    [(source, body)] = intake.bodies
    tree = form.decode(body)
    assert source == "crm"
    assert tree["leads"]["status"]["0"]["last_modified"] == str(int(NOON.timestamp()))  # type: ignore[index,call-overload]
    [entry] = await store.audit(limit=9)
    assert (entry.command, entry.details) == ("sample", {"source": "crm", "webhook": "webhook-1"})


async def test_a_sample_is_of_an_account_that_the_source_accepts(
    client: Client, intake: Intake, config: Config
) -> None:
    for account, found in (("123", ("123", "example")), ("mine", ("30110022", "mine"))):
        only = replace(config.sources["crm"], accounts=frozenset({account}))
        object.__setattr__(config, "sources", {"crm": only})
        await sent(client, await see(client, PAGE), SAMPLE)
        tree = form.decode(intake.bodies[-1][1])
        assert (tree["account"]["id"], tree["account"]["subdomain"]) == found  # type: ignore[index,call-overload]


async def test_a_viewer_sends_no_sample(client: Client, intake: Intake, store: Archive) -> None:
    form_ = (await see(client, PAGE)).form(SAMPLE)
    assert SAMPLE not in [each["action"] for each in (await see(client, PAGE, headers=VIEWER)).forms]
    await client.post(SAMPLE, data=form_, headers=VIEWER)
    assert intake.bodies == [] and not await store.audit(limit=9)


async def test_where_no_relay_runs_it_says_how_to_post_one(browser: Client) -> None:
    seen = await sent(browser, await see(browser, PAGE), SAMPLE)
    assert "no relay runs here that could take it: relay send --event leads.status posts one" in seen.text
