"""`relay names`: what an account calls its things, in a table, in the cache, and in a file for other machines."""

import asyncio
import json
import re
import stat
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import apsw
import pytest

from relay.amocrm import form, sample_bodies
from relay.model.enrich import Enrichment
from relay.model.names import Pipeline, Stage
from relay.model.names_json import to_json
from relay.store.checksum import checksum
from relay.store.contract import Archive
from tests.account.example_catalog import CATALOG
from tests.cli.conftest import LOST, NOON, OFFER, Run, Use, event_of, keep, on_terminal, plain
from tests.cli.conftest import ROUTES as ROUTED
from tests.fakeamo import FakeAmo
from tests.fakeamo.clock import RunningClock
from tests.fakeamo.server import Server

ROUTES = """\
version: 1
accounts:
  main: {{host: "{host}", token: "{token}"{names}}}
sources: {{crm: {{token: "${{CRM_TOKEN}}", account: main}}}}
targets: {{bot: {{url: "https://bot.example/in"}}}}
routes:
  - {{name: offers, match: {{entity: leads, action: [add, status], stage: "{stage}"}}, to: bot}}
  - {{name: rest, otherwise: true, to: bot}}
"""


@pytest.fixture
def amo() -> Iterator[Server]:
    """An account on loopback, in an event loop of its own."""
    server = Server(FakeAmo(7, clock=RunningClock()))
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def serve() -> None:
        async with server.serving():
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    yield server
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def write(folder: Path, amo: Server, stage: str = "Продажи/Переговоры", names: str = "") -> None:
    token = amo.amo.token
    (folder / "routes.yaml").write_text(ROUTES.format(host=amo.host, token=token, stage=stage, names=names), "utf-8")


def stage_of(amo: Server) -> str:
    """The first stage that is of one pipeline."""
    sales = amo.amo.structure.pipelines[0]
    return f"{sales.name}/{sales.stages[1].name}"


def test_names_are_printed_as_a_match_has_them_and_cached(run: Run, folder: Path, amo: Server) -> None:
    write(folder, amo, stage_of(amo))
    refused = run("check")
    assert refused.exit_code == 1
    assert "no names of the account 'main' are known here: get them with relay names" in refused.output
    asked = run("names")
    assert asked.exit_code == 0, asked.output
    assert stage_of(amo) in asked.stdout
    assert all(user["email"] in asked.stdout for user in amo.amo.structure.users)
    [account] = json.loads(run("names", "--json").stdout)["accounts"]
    assert (account["account"], stage_of(amo) in {each["name"] for each in account["names"]}) == ("main", True)
    assert run("check").exit_code == 0
    assert stat.S_IMODE((folder / "relay-names-main.json").stat().st_mode) == 0o600


def test_the_cache_is_beside_the_store(run: Run, folder: Path, amo: Server) -> None:
    write(folder, amo, stage_of(amo))
    (folder / "data").mkdir()
    store = "sqlite:///data/relay.db"
    assert run("names", "--store", store).exit_code == 0
    assert (folder / "data" / "relay-names-main.json").exists()
    assert run("check", "--store", store).exit_code == 0
    assert run("check").exit_code == 1


def test_an_exported_file_does_for_a_machine_without_the_account(run: Run, folder: Path, amo: Server) -> None:
    write(folder, amo, stage_of(amo))
    exported = run("names", "--export", "main")
    assert exported.exit_code == 0, exported.output
    assert json.loads(exported.stdout)["host"] == amo.host
    (folder / "names.json").write_text(exported.stdout, "utf-8")
    (folder / "relay-names-main.json").unlink()
    write(folder, amo, stage_of(amo), ", names: names.json")
    assert run("check").exit_code == 0


def test_a_rename_is_warned_of_after_the_names_were_asked_for_again(run: Run, folder: Path, amo: Server) -> None:
    before = stage_of(amo)
    write(folder, amo, before)
    assert run("names").exit_code == 0
    sales = amo.amo.structure.pipelines[0]
    sales.stages[1].name = "Переименовано"
    again = run("names")
    assert f"was {before.partition('/')[2]}" in again.stdout
    checked = run("check")
    assert checked.exit_code == 0
    assert f"the stage '{before}' was renamed in amoCRM: write {sales.name}/Переименовано" in checked.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("other",), "routes.yaml has no account 'other' (known: main)"),
        (("--export", "main", "other"), "routes.yaml has no account 'other' (known: main)"),
    ],
)
def test_an_account_that_there_is_not_is_said(
    run: Run, folder: Path, amo: Server, arguments: tuple[str, ...], said: str
) -> None:
    write(folder, amo)
    ended = run("names", *arguments)
    assert ended.exit_code == 1
    assert said in ended.stderr


def test_a_file_without_accounts_has_no_names(run: Run) -> None:
    ended = run("names")
    assert ended.exit_code == 1
    assert "routes.yaml has no accounts" in ended.stderr


def test_an_account_that_refuses_the_token_is_said_without_it(run: Run, folder: Path, amo: Server) -> None:
    write(folder, amo)
    text = (folder / "routes.yaml").read_text("utf-8").replace(amo.amo.token, "canary-token-that-is-wrong")
    (folder / "routes.yaml").write_text(text, "utf-8")
    ended = run("names")
    assert ended.exit_code == 1
    assert "401" in ended.stderr and "canary" not in ended.stderr
    assert not (folder / "relay-names-main.json").exists()


@pytest.fixture
def named(kept: Path, folder: Path) -> None:
    """The routes file with an account whose names are in a file."""
    stage = Stage(id=16203337, name="Оффер", former=("Предложение",))
    catalog = replace(CATALOG, host="127.0.0.1:9", pipelines=(Pipeline(id=752662, name="Продажи", stages=(stage,)),))
    (folder / "names.json").write_text(json.dumps(to_json(catalog)), "utf-8")
    text = (folder / "routes.yaml").read_text().replace("token: ${CRM_TOKEN}", "token: ${CRM_TOKEN}\n    account: main")
    account = 'accounts: {main: {host: "127.0.0.1:9", token: canary.api.token, names: names.json}}\n'
    (folder / "routes.yaml").write_text(text.replace("sources:", f"{account}sources:"), "utf-8")


NAMES = {"pipeline": "Продажи", "status": "Оффер"}


def test_show_says_what_amocrm_calls_things(run: Run, named: None) -> None:
    assert re.search("in amoCRM +status Продажи/Оффер", run("show", OFFER).stdout)
    assert "in amoCRM" not in run("show", OFFER, "-c", "nowhere.yaml").stdout
    [event] = json.loads(run("show", OFFER, "--json").stdout)["events"]
    assert event["names"].items() >= NAMES.items()


def test_a_list_says_what_amocrm_calls_things(run: Run, named: None) -> None:
    lines = run("list", "--state", "dead").stdout.splitlines()
    assert lines[0].endswith("  IN AMOCRM")
    assert "  status Продажи/Оффер" in lines[1]
    document = json.loads(run("list", "--json", "--state", "dead").stdout)
    assert [each["names"].items() >= NAMES.items() for each in document["data"]] == [True]
    assert "IN AMOCRM" not in run("list", "-c", "nowhere.yaml").stdout


def test_on_a_narrow_terminal_names_are_below_their_delivery(named: None) -> None:
    lines = plain(on_terminal("list", "--state", "dead"))
    assert max(map(len, lines)) <= 80
    assert lines[2] == "    400 is in dead_on; 400: bad price"
    assert lines[3].startswith("    status Продажи/Оффер")


def test_a_list_of_what_is_unrouted_says_what_amocrm_calls_things(
    run: Run, named: None, folder: Path, refill: Callable[[Use], None]
) -> None:
    routes = (folder / "routes.yaml").read_text("utf-8")
    (folder / "routes.yaml").write_text(
        ROUTED.partition("  - name: offer-made")[0] + "  - {name: tasks, match: {entity: task}, to: warehouse}\n"
    )
    refill(lambda store: keep(store, LOST, form.encode(sample_bodies.body("leads.status"))))
    (folder / "routes.yaml").write_text(routes, "utf-8")
    assert run("list", "--unrouted").stdout.splitlines()[0].endswith("  IN AMOCRM")
    [told] = json.loads(run("list", "--unrouted", "--json").stdout)["data"]
    assert told["names"].items() >= NAMES.items()


def test_status_says_how_old_names_are_and_which_should_be_changed(run: Run, named: None, folder: Path) -> None:
    text = (folder / "routes.yaml").read_text("utf-8").replace("status_id: 16203337", "stage: Продажи/Предложение")
    (folder / "routes.yaml").write_text(text, "utf-8")
    shown = run("status").stdout
    assert re.search(r"^names {9}main: of 11-22 \d\d:\d\d:\d\dZ, \d+ \w+ ago$", shown, re.MULTILINE), shown
    assert "the stage 'Продажи/Предложение' was renamed in amoCRM: write Продажи/Оффер" in shown
    known = json.loads(run("status", "--json").stdout)["names"]
    assert (list(known["as_of"]), known["stopped_routes"]) == (["main"], {})
    assert [line.startswith("routes.yaml:") for line in known["outdated"]] == [True]


def test_status_says_which_routes_wait_for_names(run: Run, named: None, folder: Path) -> None:
    text = (folder / "routes.yaml").read_text("utf-8").replace("status_id: 16203337", "stage: Продажи/Оффер")
    (folder / "routes.yaml").write_text(text.replace(", names: names.json", ""), "utf-8")
    shown = run("status").stdout
    assert "names         main: not asked for here yet: relay names" in shown
    assert "stopped       route offer-made: no names of the account 'main' are known here" in shown
    assert list(json.loads(run("status", "--json").stdout)["names"]["stopped_routes"]) == ["offer-made"]


def test_without_an_account_status_has_no_line_about_names(run: Run, kept: Path) -> None:
    assert "names" not in run("status").stdout
    assert json.loads(run("status", "--json").stdout)["names"] == {"as_of": {}, "outdated": [], "stopped_routes": {}}


# ---- what was fetched beside an event, and what was healed


ENRICHED = """\
version: 1
accounts: {main: {host: "127.0.0.1:9", token: canary.api.token, names: names.json}}
sources: {crm: {token: "${CRM_TOKEN}", account: main}}
targets:
  asks: {url: "https://asks.example/in", enrich: {lead: [name]}}
  drops: {url: "https://drops.example/in", heal: drop}
routes: [{name: all, match: {entity: leads}, to: [asks, drops]}]
"""


@pytest.fixture
def fetching(named: None, folder: Path, refill: Callable[[Use], None]) -> str:
    """The id of an event whose lead was asked for; what came, or why nothing did, is to be stored."""
    (folder / "routes.yaml").write_text(ENRICHED, "utf-8")
    refill(lambda store: keep(store, LOST, form.encode(sample_bodies.body("leads.status"))))
    return event_of(LOST)


def store_beside(refill: Callable[[Use], None], **found: Any) -> None:
    async def use(store: Archive) -> None:
        [held] = await store.enrichments.held(["crm"], limit=9)
        await store.enrichments.record([Enrichment(row=held.row, at=NOON, **found)], now=NOON)

    refill(use)


def test_show_and_explain_show_what_was_fetched(run: Run, fetching: str, refill: Callable[[Use], None]) -> None:
    [before] = json.loads(run("show", fetching, "--json").stdout)["events"]
    assert (before["enriched"], before["enriched_reason"]) == (None, "")
    assert "enriched" not in run("show", fetching).stdout
    store_beside(refill, value={"lead": {"id": 7, "name": "Окна", "price": 5}})
    [event] = json.loads(run("show", fetching, "--json").stdout)["events"]
    assert event["enriched"] == {"lead": {"id": 7, "name": "Окна", "price": 5}, "at": "2026-11-22T12:00:00.000Z"}
    assert re.search("enriched +with what amoCRM had at 11-22 12:00:00Z", run("show", fetching).stdout)
    [explained] = json.loads(run("explain", fetching, "--json").stdout)["events"]
    asks, _ = explained["requests"]
    assert json.loads(asks["body"])["enriched"] == {"lead": {"id": 7, "name": "Окна"}, "at": "2026-11-22T12:00:00.000Z"}


def test_show_and_explain_say_why_nothing_was_fetched(run: Run, fetching: str, refill: Callable[[Use], None]) -> None:
    store_beside(refill, reason="not fetched within 10 s")
    [event] = json.loads(run("show", fetching, "--json").stdout)["events"]
    assert (event["enriched"], event["enriched_reason"]) == (None, "not fetched within 10 s")
    assert re.search("enriched +with nothing: not fetched within 10 s", run("show", fetching).stdout)
    [explained] = json.loads(run("explain", fetching, "--json").stdout)["events"]
    assert json.loads(explained["requests"][0]["body"])["enriched_reason"] == "not fetched within 10 s"


def test_explain_says_which_target_gets_no_healed_event(
    run: Run, fetching: str, folder: Path, refill: Callable[[Use], None]
) -> None:
    heal = {"event_id": "e1", "exactness": "state", "found_at": "2026-11-22T12:00:00.000Z", "reason": "outage"}
    connection = apsw.Connection(str(folder / "relay.db"))
    [(payload,)] = connection.execute("select payload from events where id = ?", (fetching,)).fetchall()
    healed = json.dumps(json.loads(payload) | {"heal": heal}).encode()
    sum_ = checksum(healed, fetching.encode())
    connection.execute("update events set payload = ?, checksum = ? where id = ?", (healed, sum_, fetching))
    connection.close()
    [explained] = json.loads(run("explain", fetching, "--json").stdout)["events"]
    assert ([each["target"] for each in explained["requests"]], explained["dropped"]) == (["asks"], ["drops"])
    assert explained["requests"][0]["headers"]["relay-healed"] == "state"
    assert "drops  gets no healed event: heal is drop" in run("explain", fetching).stdout
