"""What targets want beside their events: cards of the double of amoCRM -> `enriched`, by a daemon and in parts."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest

from relay.account.answers import Answer, read
from relay.account.enrich.assemble import Wanted
from relay.account.enrich.enricher import Enricher
from relay.account.enrich.fetch import Cards
from relay.account.limiter import Priority
from relay.account.session import Params
from relay.amocrm.cards import Subject, only, subject
from relay.amocrm.events import dump, load
from relay.daemon.settings import Settings
from relay.daemon.wiring import Relay, running
from relay.errors import AccountAway, Blocked
from relay.model import Event, Json, PlannedDelivery, RoutedEvent, Target
from relay.model.enrich import HOLD, LATE, Enrich, Part
from relay.observe import Observer
from relay.observe.log import Log
from relay.signals import Signal
from relay.signals.account import Enriched, EnrichOutcome
from relay.store.contract import Archive
from relay.store.open import SqliteUrl
from tests.e2e.processes import free_port
from tests.fakeamo.amo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server
from tests.store import kind_sqlite
from tests.store.conftest import NOON, webhook

TOKEN = "f3c1a09d5e7b4c628d10"
SECOND = timedelta(seconds=1)
ALL = Enrich({Part.LEAD: (), Part.CONTACTS: (), Part.COMPANY: ()})
ROUTES = """\
version: 1
accounts: {{main: {{host: "{host}", token: {api_token}}}}}
sources: {{crm: {{token: {token}, account: main}}}}
targets:
  whole: {{url: "{url}/whole", enrich: [lead, contacts, company]}}
  phones: {{url: "{url}/phones", order: entity, enrich: {{contacts: [name, PHONE]}}}}
  plain: {{url: "{url}/plain"}}
  text: {{url: "{url}/text", enrich: [lead], body: {{lead: "{{{{ enriched.lead.name }}}}", id: "{{{{ id }}}}"}}}}
  listed: {{url: "{url}/listed", enrich: [lead], batch: {{most: 10, within: 1s}}}}
routes: [{{name: all, match: {{entity: [leads, catalogs]}}, to: [whole, phones, plain, text, listed]}}]
"""


class InProcess:
    """The API of the double without a port; counts what was asked."""

    def __init__(self, amo: FakeAmo) -> None:
        self.amo = amo
        self.asked: list[str] = []

    async def get(
        self, path: str, params: Params | None = None, *, priority: Priority = Priority.HEAL
    ) -> Mapping[str, Json] | None:
        assert priority is Priority.ENRICH
        query = "&".join(
            f"{name}={each}"
            for name, value in (params or {}).items()
            for each in ([value] if isinstance(value, str | int) else value)
        )
        self.asked.append(f"{path}?{query}")
        self.amo.clock.advance(1)
        answer = self.amo.request("GET", f"{path}?{query}")
        found = read(Answer(status=answer.status, headers=answer.headers, body=answer.body), path)
        assert found is None or isinstance(found, dict)
        return found


class Failing:
    """An API that raises, or hangs without an error."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def get(
        self, path: str, params: Params | None = None, *, priority: Priority = Priority.HEAL
    ) -> Mapping[str, Json] | None:
        if self.error is None:
            await asyncio.Event().wait()
        assert self.error
        raise self.error


def wanted(number: int, *, kind: str = "leads", enrich: Enrich = ALL, changed_at: int | None = None) -> Wanted:
    return Wanted(number, Subject(kind, number), enrich, NOON + HOLD, changed_at)


def lead_event(number: int, *, entity: str = "leads", **data: Json) -> Event:
    return Event(
        id=f"event-{number:04}",
        source="crm",
        received_at=NOON,
        account={},
        entity=entity,
        action="add",
        data={"id": number, **data},
    )


def people(amo: FakeAmo) -> tuple[int, int, int]:
    """A lead with a contact and a company, by their numbers."""
    lead, contact, company = amo.add_lead("Окна"), amo.add_contact("Анна", phone="+79990000000"), amo.add_company("Дом")
    amo.link(lead, contact)
    lead.companies.append(company.id)
    return lead.id, contact.id, company.id


# ---- cards


async def test_a_lead_comes_with_its_contacts_and_its_company() -> None:
    api = InProcess(FakeAmo(1, alpha=True))
    lead, contact, company = people(api.amo)
    value = (await Cards(api).values([wanted(lead)]))[lead]
    assert (value["lead"]["id"], value["lead"]["name"], value["company"]["name"]) == (lead, "Окна", "Дом")
    assert [(each["id"], each["is_main"]) for each in value["contacts"]] == [(contact, True)]
    assert "_links" not in value["lead"]
    assert value["company"]["id"] == company


@pytest.mark.parametrize(("alpha", "asked"), [(True, 1), (False, 11)])
async def test_leads_are_asked_for_in_one_list_and_one_by_one_where_lists_ignore_that(alpha: bool, asked: int) -> None:
    api = InProcess(FakeAmo(1, alpha=alpha))
    leads = [api.amo.add_lead(f"Сделка {n}").id for n in range(30)][:10]
    values = await Cards(api).values([wanted(each, enrich=Enrich({Part.LEAD: ()})) for each in leads])
    assert {row: value["lead"]["id"] for row, value in values.items()} == {each: each for each in leads}
    assert len(api.asked) == asked


async def test_what_was_deleted_is_gone() -> None:
    api = InProcess(FakeAmo(1, alpha=True))
    lead = api.amo.add_lead()
    other = api.amo.add_lead()
    api.amo.delete(lead)
    gone = {"lead": None, "contacts": [], "company": None}
    assert (await Cards(api).values([wanted(lead.id)]))[lead.id] == gone
    values = await Cards(api).values([wanted(lead.id), wanted(other.id)])
    assert values[lead.id] == gone
    assert values[other.id]["lead"]["id"] == other.id


async def test_a_card_of_the_cache_is_taken_only_if_it_shows_the_change() -> None:
    api = InProcess(FakeAmo(1, alpha=True))
    lead = api.amo.add_lead()
    cards, only_lead = Cards(api), Enrich({Part.LEAD: ()})
    await cards.values([wanted(lead.id, enrich=only_lead)])
    updated_at = lead.fields["updated_at"]
    for changed_at, asked in ((updated_at - 1, 1), (updated_at, 2), (updated_at + 1, 3), (None, 4)):
        await cards.values([wanted(lead.id, enrich=only_lead, changed_at=changed_at)])
        assert len(api.asked) == asked


async def test_nothing_is_asked_for_parts_that_a_card_does_not_have() -> None:
    api = InProcess(FakeAmo(1, alpha=True))
    company = api.amo.add_company().id
    assert await Cards(api).values([wanted(company, kind="companies", enrich=Enrich({Part.LEAD: ()}))]) == {company: {}}
    assert api.asked == []


def test_fields_are_the_api_s_own_and_custom_ones_by_code_name_or_id() -> None:
    phone = {"field_id": 5, "field_code": "PHONE", "field_name": "Телефон", "values": []}
    mail = {"field_id": 6, "field_code": "EMAIL", "field_name": "Почта", "values": []}
    card = {"id": 1, "name": "Анна", "price": 3, "custom_fields_values": [phone, mail], "_links": {}}
    assert only(card, ()) == {key: value for key, value in card.items() if key != "_links"}
    for name in ("PHONE", "Телефон", "5"):
        assert only(card, (name,)) == {"id": 1, "custom_fields_values": [phone]}
    assert only(card, ("price",)) == {"id": 1, "price": 3, "custom_fields_values": []}


@pytest.mark.parametrize(
    ("event", "about"),
    [
        (lead_event(7), Subject("leads", 7)),
        (lead_event(7, entity="companies"), Subject("companies", 7)),
        (lead_event(7, entity="task", element_type=2, element_id=9), Subject("leads", 9)),
        (lead_event(7, entity="talk", entity_type="contact", entity_id=9), Subject("contacts", 9)),
        (lead_event(7, entity="task", element_type=12, element_id=9), None),
        (lead_event(7, entity="catalogs"), None),
        (lead_event(0), None),
        (lead_event("9" * 5_000), None),
    ],
)
def test_what_an_event_is_about(event: Event, about: Subject | None) -> None:
    assert subject(event) == about
    assert subject(load(dump(event))) == about


def test_what_several_targets_want_is_fetched_together() -> None:
    phone, mail = Enrich({Part.CONTACTS: ("PHONE",)}), Enrich({Part.CONTACTS: ("EMAIL", "PHONE"), Part.LEAD: ("name",)})
    assert Enrich.union([phone, mail]) == Enrich({Part.CONTACTS: ("PHONE", "EMAIL"), Part.LEAD: ("name",)})
    assert Enrich.union([phone, ALL]) == Enrich({Part.CONTACTS: (), Part.LEAD: (), Part.COMPANY: ()})


# ---- the enricher


class Held:
    """A store with a held event, an enricher, and the time."""

    def __init__(self, store: Archive, api: InProcess | Failing) -> None:
        self.store = store
        self.now = NOON
        self.emitted: list[Signal] = []
        target = Target(name="bot", url="http://127.0.0.1:9/", enrich=ALL)
        self.enricher = Enricher(
            "main",
            ["crm"],
            {"bot": target},
            api=api,
            store=store.enrichments,
            emit=self.emitted.append,
            clock=lambda: self.now,
        )

    async def keep(self, event: Event, target: str = "bot") -> None:
        planned = PlannedDelivery(target=target, routes=("all",), hold=HOLD)
        await self.store.keep(webhook(), [RoutedEvent(event=event, payload=dump(event), planned=(planned,))])

    async def stored(self) -> tuple[Json, str] | None:
        found = [*(await self.store.enrichments.stored([1])).values()]
        return (found[0].value, found[0].reason) if found else None

    def outcomes(self) -> list[EnrichOutcome]:
        return [each.outcome for each in self.emitted if isinstance(each, Enriched)]


@asynccontextmanager
async def holding(folder: Path, api: InProcess | Failing) -> AsyncIterator[Held]:
    store = kind_sqlite.open_store(folder, NOON)
    yield Held(store, api)
    await store.close()


async def test_what_was_fetched_is_recorded_once_and_ends_the_hold(tmp_path: Path) -> None:
    api = InProcess(FakeAmo(1, alpha=True))
    lead, *_ = people(api.amo)
    async with holding(tmp_path, api) as held:
        await held.keep(lead_event(lead))
        held.now += SECOND
        await held.enricher.look()
        value, reason = await held.stored() or (None, "")
        assert (value["lead"]["name"], value["contacts"][0]["name"], reason) == ("Окна", "Анна", "")
        assert (await held.store.due(["bot"])).at == {"bot": held.now}
        asked = len(api.asked)
        await held.enricher.look()
        assert len(api.asked) == asked
        assert held.emitted == [Enriched(account="main", outcome=EnrichOutcome.FETCHED, took=SECOND)]


async def test_while_amocrm_is_away_it_is_asked_again_until_the_hold_has_passed(tmp_path: Path) -> None:
    async with holding(tmp_path, Failing(AccountAway("no answer: secret-text"))) as held:
        await held.keep(lead_event(7))
        await held.enricher.look()
        assert await held.stored() is None
        held.now += HOLD
        await held.enricher.look()
        assert await held.stored() == (None, LATE)
        assert held.outcomes() == [EnrichOutcome.LATE]


async def test_an_answer_that_never_comes_is_not_waited_for_longer_than_the_hold(tmp_path: Path) -> None:
    async with holding(tmp_path, Failing(None)) as held:
        await held.keep(lead_event(7))
        held.now += HOLD
        async with asyncio.timeout(10):
            await held.enricher.look()
        assert await held.stored() == (None, LATE)


async def test_what_a_person_has_to_mend_is_not_waited_for_and_the_reason_has_no_answer_in_it(tmp_path: Path) -> None:
    async with holding(tmp_path, Failing(Blocked("GET /api/v4/leads: answered 403 secret-text"))) as held:
        await held.keep(lead_event(7))
        await held.enricher.look()
        assert await held.stored() == (None, "amoCRM blocks the account's API")
        assert held.outcomes() == [EnrichOutcome.FAILED]


async def test_a_target_that_asks_for_nothing_any_more_holds_nothing(tmp_path: Path) -> None:
    async with holding(tmp_path, Failing(AccountAway("unused"))) as held:
        await held.keep(lead_event(7), target="other")
        await held.enricher.look()
        assert await held.stored() == (None, "its target asks for nothing any more")


# ---- a daemon


class Place:
    """A relay's folder beside an account, and a target that keeps what it gets."""

    def __init__(self, folder: Path, server: Server, target: str, got: dict[str, list[Any]]) -> None:
        self.folder = folder
        self.amo = server.amo
        self.got = got
        self.port = free_port()
        self.registry = CollectorRegistry()
        self.lines: list[str] = []
        text = ROUTES.format(host=server.host, api_token=server.amo.token, token=TOKEN, url=target)
        (folder / "routes.yaml").write_text(text)

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[Relay]:
        settings = Settings(
            config=self.folder / "routes.yaml",
            store=SqliteUrl(self.folder / "relay.db"),
            listen=("127.0.0.1", self.port),
            admin=("127.0.0.1", 0),
            max_body=65536,
        )
        self.registry = CollectorRegistry()
        observe = Observer(self.registry, Log(self.lines.append, "text", 50))
        async with running(settings, emit=observe, registry=self.registry) as relay:
            yield relay

    async def post(self, body: str) -> None:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        address = f"http://127.0.0.1:{self.port}/hooks/crm/{TOKEN}"
        async with aiohttp.ClientSession() as session, session.post(address, data=body, headers=headers) as answer:
            assert answer.status == 200

    async def arrived(self, name: str, number: int = 1) -> list[Any]:
        await until(lambda: len(self.got.get(name, [])) >= number)
        return self.got[name]


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(25):
        while not met():  # noqa: ASYNC110  a server tells nobody
            await asyncio.sleep(0.02)


@pytest.fixture
async def place(tmp_path: Path, aiohttp_server: Any) -> AsyncIterator[Place]:
    got: dict[str, list[Any]] = {}

    async def take(request: web.Request) -> web.Response:
        got.setdefault(request.path[1:], []).append(json.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/{name}", take)
    target = await aiohttp_server(app)
    async with Server(FakeAmo(7, clock=RunningClock(), alpha=True)).serving() as server:
        yield Place(tmp_path, server, str(target.make_url("")).rstrip("/"), got)


async def test_each_target_gets_what_it_asks_for_beside_the_same_event(place: Place) -> None:
    lead, contact, _company = people(place.amo)
    async with place.relay():
        await place.post(f"leads[add][0][id]={lead}&account[id]=1")
        [whole], [phones], [text] = [await place.arrived(name) for name in ("whole", "phones", "text")]
        [[listed]], [plain] = await place.arrived("listed"), await place.arrived("plain")
        metrics = generate_latest(place.registry).decode()
    assert set(whole["enriched"]) == {"lead", "contacts", "company", "at"}
    assert (whole["enriched"]["lead"]["name"], whole["enriched"]["company"]["name"]) == ("Окна", "Дом")
    assert set(phones["enriched"]) == {"contacts", "at"}
    [person] = phones["enriched"]["contacts"]
    assert set(person) == {"id", "is_main", "name", "custom_fields_values"}
    assert (person["id"], person["custom_fields_values"][0]["values"][0]["value"]) == (contact, "+79990000000")
    assert text == {"lead": "Окна", "id": whole["id"]}
    assert listed["enriched"]["lead"] == whole["enriched"]["lead"]
    assert "enriched" not in plain
    assert 'relay_enrich_total{outcome="fetched"} 1.0' in metrics
    assert len([each for each in place.amo.requests if f"/leads/{lead}" in each[2]]) == 1


async def test_what_amocrm_refuses_is_null_with_a_reason_and_no_token_is_shown(place: Place) -> None:
    lead, *_ = people(place.amo)
    place.amo.gone = True
    async with place.relay():
        await place.post(f"leads[add][0][id]={lead}")
        [plain] = await place.arrived("plain")
        [whole], [text] = await place.arrived("whole"), await place.arrived("text")
    assert whole["enriched"] is None
    assert whole["enriched_reason"] == "amoCRM's API refuses it"
    assert text == {"lead": None, "id": plain["id"]}
    assert not any(place.amo.token in line for line in place.lines)
    assert place.amo.token not in json.dumps(place.got)


async def test_an_event_about_no_card_goes_out_at_once_with_null(place: Place) -> None:
    async with place.relay():
        await place.post("catalogs[add][0][id]=5")
        [whole] = await place.arrived("whole")
    assert whole["enriched"] is None
    assert whole["enriched_reason"] == "there is no lead, contact or company that the event is about"
