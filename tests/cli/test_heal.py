"""`relay heal`: what was found, what an operator asks of the relay that runs, and what it may send."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from relay.amocrm import events, form
from relay.model import Json, PlannedDelivery, RoutedEvent
from relay.model.heal import Exactness, HealRecord, HealState, Hook
from relay.model.webhooks import HEAL
from relay.store.contract import Archive
from relay.store.records import RelayStanding, Status
from relay.store.requests import KeepRequest
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import NOON, ROUTES, Run, Use, unread

HEALING = ROUTES.replace("sources:\n", "accounts: {main: {host: example.amocrm.ru, token: x}}\nsources:\n").replace(
    "    token: ${CRM_TOKEN}\n", "    token: ${CRM_TOKEN}\n    account: main\n    heal: report\n"
)
TRIGGER = "dp:status:752662/142:try=1&tag=a&tag=b"


@pytest.fixture
def healing(kept: Path, folder: Path, refill: Callable[[Use], None]) -> None:
    """A source that heals, and something of everything that was found."""
    (folder / "routes.yaml").write_text(HEALING)
    refill(find)


async def find(store: Archive) -> None:
    records = [
        record(1, HealState.MATCHED),
        record(2, HealState.MATCHED),
        record(3, HealState.WAITING, exactness=Exactness.EXACT, reason="outage"),
        record(4, HealState.UNHEALABLE, reason="the account has it no more"),
    ]
    marks = {"core": NOON, "chat": NOON - timedelta(minutes=5), "begun leads.add": NOON - timedelta(days=1)}
    await store.healing.record_heal("crm", records, marks=marks)
    hooks = [
        Hook(item=0, channel=channel, key="k", at=None, arrived=NOON, since=NOON, until=NOON)
        for channel in ("account", TRIGGER)
    ]
    await store.keep(unread("019ab000-0009-7000-8000-000000000000", b"a=1"), [], hooks=hooks)


def record(number: int, state: HealState, *, exactness: Exactness | None = None, reason: str = "") -> HealRecord:
    return HealRecord(
        source="crm",
        channel="account",
        event_id=f"e{number}",
        type="lead_status_changed",
        action="leads.status",
        entity="leads",
        entity_id=str(number),
        key=f"moved:{number}",
        at=NOON + timedelta(seconds=number),
        found_at=NOON,
        state=state,
        exactness=exactness,
        reason=reason,
    )


@contextmanager
def relay_that_answers(path: Path, answer: Json) -> Iterator[list[tuple[str, bool]]]:
    """A relay that owns the store and carries out what is asked; yields the source and kind of each request."""
    asked: list[tuple[str, bool]] = []
    ready, ending = threading.Event(), threading.Event()

    async def live() -> None:
        store = SqliteStore.open(path, now=NOON, emit=lambda _signal: None, failed=lambda: None)
        ready.set()
        while not ending.is_set():
            for each in await store.healing.heal_requests():
                asked.append((each.source, each.dry_run))
                await store.healing.answer_heal(each.id, answer)
            await asyncio.sleep(0.01)
        await store.close()

    thread = threading.Thread(target=asyncio.run, args=(live(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield asked
    finally:
        ending.set()
        thread.join()


def test_without_a_source_that_heals_it_says_how_one_does(run: Run, kept: Path) -> None:
    ended = run("heal", "status")
    assert (ended.exit_code, ended.stderr) == (
        0,
        "no source heals: write `heal: report` in a source that has an account\n",
    )
    assert json.loads(run("heal", "status", "--json").stdout) == {"sources": []}


def test_what_was_found_is_shown_by_kind(run: Run, healing: None) -> None:
    lines = run("heal", "status").stdout.splitlines()
    assert lines[0] == "crm  report"
    assert lines[1].split() == ["scanned", "up", "to", "2026-11-22T11:55:00Z"]
    assert lines[2].split() == ["waiting", "1", "event:", "relay", "heal", "approve", "crm"]
    rows = [line.split() for line in lines if "leads.status" in line]
    assert [row[:4] for row in rows] == [
        ["leads.status", "matched", "-", "2"],
        ["leads.status", "unhealable", "-", "1"],
        ["leads.status", "waiting", "exact", "1"],
    ]
    assert lines[-1].strip() == '- {"stage":"752662/142","on":["status"],"query":{"try":"1","tag":["a","b"]}}'


def test_what_waits_is_given_up_after_a_week(run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]) -> None:
    async def find_now(store: Archive) -> None:
        oldest = store.clock() - timedelta(days=2)
        await store.healing.record_heal("crm", [replace(record(1, HealState.WAITING), at=oldest)])

    (folder / "routes.yaml").write_text(HEALING)
    refill(find_now)
    assert "1 event, the first until " in run("heal", "status").stdout
    [shown] = json.loads(run("heal", "status", "--json").stdout)["sources"]
    assert shown["waiting_until"]


def test_what_cannot_be_healed_is_named(run: Run, healing: None) -> None:
    lines = run("heal", "status").stdout.splitlines()
    [line] = [line for line in lines if "catalogs.add, catalogs.delete, catalogs.update" in line]
    assert line.endswith("amoCRM's history has no elements of catalogs")
    [shown] = json.loads(run("heal", "status", "--json").stdout)["sources"]
    named = {each for reason in shown["not_healed"] for each in reason["types"]}
    assert named >= {"catalogs.add", "unsorted.update", "customers.period", "talk.delete"}
    assert "leads.status" not in named


def test_before_the_first_scan_it_says_what_it_waits_for(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    async def came(store: Archive) -> None:
        hook = Hook(item=0, channel="account", key="k", at=None, arrived=NOON, since=NOON, until=NOON)
        await store.keep(unread("019ab000-0009-7000-8000-000000000000", b"a=1"), [], hooks=[hook])

    def waits_for() -> str:
        lines = run("heal", "status").stdout.splitlines()
        return next(line for line in lines if "scanned" in line).partition("waits for ")[2]

    (folder / "routes.yaml").write_text(HEALING)
    assert waits_for() == "a relay: none runs"
    with relay_that_answers(kept, {}):
        assert waits_for().startswith("the first webhook of this source")
    refill(came)
    with relay_that_answers(kept, {}):
        assert waits_for().startswith("the API of main")
        named = "heal: {mode: report, dp: [{stage: Продажи/Оффер, on: [status]}]}"
        (folder / "routes.yaml").write_text(HEALING.replace("heal: report", named))
        assert waits_for() == "the names of main: relay names main"


def test_a_source_for_which_the_account_has_no_webhook_any_more_says_so(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    async def gone(store: Archive) -> None:
        hook = Hook(item=0, channel="account", key="k", at=None, arrived=NOON, since=NOON, until=NOON)
        await store.keep(unread("019ab000-0009-7000-8000-000000000000", b"a=1"), [], hooks=[hook])
        wanted = {"run": NOON, "wanted leads.add": NOON - timedelta(hours=1)}
        await store.healing.record_heal("crm", [], marks={"core": NOON - timedelta(hours=1), **wanted})

    (folder / "routes.yaml").write_text(HEALING)
    refill(gone)
    with relay_that_answers(kept, {}):
        [line] = [each for each in run("heal", "status").stdout.splitlines() if "scanned" in each]
        [shown] = json.loads(run("heal", "status", "--json").stdout)["sources"]
    assert "up to 2026-11-22T11:00:00Z, and no further: waits for a webhook in the account's list" in line
    assert shown["waits_for"].endswith("relay connect crm")


def test_a_spool_that_holds_up_is_named(run: Run, healing: None, monkeypatch: pytest.MonkeyPatch) -> None:
    status = SqliteStore.status
    relay = RelayStanding(
        name="b", host="there", pid=1, version="1", since=NOON, seen_at=NOON, spooled=3, spooled_at=NOON
    )

    async def with_spool(store: SqliteStore) -> Status:
        return replace(await status(store), relays=(relay,))

    monkeypatch.setattr(SqliteStore, "status", with_spool)
    [line] = [each for each in run("heal", "status").stdout.splitlines() if "held" in each]
    assert "nothing after 2026-11-22T12:00:00Z is decided" in line
    [shown] = json.loads(run("heal", "status", "--json").stdout)["sources"]
    assert shown["held_since"] == "2026-11-22T12:00:00.000Z"


def test_a_list_that_the_account_refuses_is_shown(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    async def find_without_lists(store: Archive) -> None:
        wanted = {"run": NOON, "wanted unsorted.add": NOON, "wanted task.update": NOON}
        marks = {"core": NOON, "tasks": NOON - timedelta(hours=2), **wanted}
        await store.healing.record_heal("crm", [], marks=marks)

    (folder / "routes.yaml").write_text(HEALING)
    refill(find_without_lists)
    shown = run("heal", "status").stdout
    assert "up to 2026-11-22T12:00:00Z\n" in shown
    assert "the list of incoming leads: never read" in shown
    assert "the list of tasks: read up to 2026-11-22T10:00:00Z" in shown


def test_programs_get_the_same(run: Run, healing: None) -> None:
    [shown] = json.loads(run("heal", "status", "crm", "--json").stdout)["sources"]
    assert (shown["mode"], shown["waiting"], shown["approved_at"]) == ("report", 1, None)
    assert shown["scanned_upto"] == {"chat": "2026-11-22T11:55:00.000Z", "core": "2026-11-22T12:00:00.000Z"}
    assert {each["state"]: each["number"] for each in shown["found"]} == {"matched": 2, "waiting": 1, "unhealable": 1}


def test_what_waits_is_approved(run: Run, healing: None) -> None:
    assert run("heal", "approve", "crm").stdout == "crm: 1 event approved\n"
    assert run("heal", "approve", "crm").stdout == "crm: 0 events approved\n"
    [shown] = json.loads(run("heal", "status", "--json").stdout)["sources"]
    assert shown["approved_at"]
    assert "heal approve" in run("audit").stdout


def test_a_scan_is_carried_out_by_the_relay_that_runs(run: Run, healing: None, kept: Path) -> None:
    found = [{"action": "leads.status", "exactness": "exact", "state": "would_heal", "number": 3}]
    with relay_that_answers(kept, {"found": found, "stopped": ["leads.update"], "scanned_upto": None}) as asked:
        ended = run("heal", "run", "crm", "--since", "2h", "--dry-run")
        shown = json.loads(run("heal", "run", "crm", "--since", "2h", "--json").stdout)
    assert ended.stdout.splitlines()[1].split() == ["leads.status", "would_heal", "exact", "3"]
    assert "leads.update stopped by itself" in ended.stderr
    assert (shown["found"], asked) == (found, [("crm", True), ("crm", False)])
    assert run("audit").stdout.count("heal run") == 2


def test_what_the_account_refuses_is_said(run: Run, healing: None, kept: Path) -> None:
    with relay_that_answers(kept, {"error": "main: unpaid"}):
        ended = run("heal", "run", "crm", "--since", "2h")
        for_programs = run("heal", "run", "crm", "--since", "2h", "--json")
    assert (ended.exit_code, ended.stderr) == (1, "relay: not done: main: unpaid\n")
    assert (for_programs.exit_code, json.loads(for_programs.stdout)) == (1, {"error": "main: unpaid"})


def test_without_a_relay_a_scan_waits_for_the_next_one(run: Run, healing: None) -> None:
    ended = run("heal", "run", "crm", "--since", "2h")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: no relay runs: the next one that starts does it; see relay heal status\n",
    )


@pytest.mark.parametrize("command", [("status", "cmr"), ("approve", "cmr"), ("run", "cmr", "--since", "2h")])
def test_a_source_that_is_not_there_is_refused(run: Run, healing: None, command: tuple[str, ...]) -> None:
    ended = run("heal", *command)
    assert (ended.exit_code, ended.stderr) == (1, "relay: no source 'cmr' (did you mean 'crm'?)\n")


def test_a_source_that_does_not_heal_is_not_scanned(run: Run, kept: Path) -> None:
    ended = run("heal", "run", "crm", "--since", "2h")
    assert (ended.exit_code, ended.stderr) == (
        1,
        "relay: crm does not heal: write `heal: report` in its source\n",
    )


def test_a_healed_delivery_and_its_webhook_say_so(run: Run, healing: None, refill: Callable[[Use], None]) -> None:
    refill(heal_one)
    line = next(line for line in run("list", "--limit", "1").stdout.splitlines() if "leads.add" in line)
    assert "leads.add 7 (healed)" in line
    assert "(healed)" not in run("list", "--target", "warehouse").stdout
    shown = run("show", HEALED.id).stdout
    assert "it never came: made of what the account's own history tells" in shown
    document = json.loads(run("show", HEALED.id, "--json").stdout)
    assert document["webhook"]["kind"] == "heal"
    assert document["events"][0]["deliveries"][0]["healed"] is True


HEALED = replace(unread("e60dba0d-4d66-5b5c-9d5c-0d3d4c3b2a19", b"leads[add][0][id]=7"), kind=HEAL)


async def heal_one(store: Archive) -> None:
    heal = {"event_id": "e9", "exactness": "state", "found_at": "2026-11-22T12:00:00.000Z", "reason": "missing"}
    event = replace(
        events.read(form.decode(HEALED.body), source="crm", received_at=NOON, new_id=lambda: HEALED.id)[0],
        heal=heal,
        happened_at=NOON - timedelta(hours=1),
    )
    planned = (PlannedDelivery(target="sales-bot", routes=("all",)),)
    request = KeepRequest(HEALED, [RoutedEvent(event=event, payload=events.dump(event), planned=planned)])
    healed = replace(record(9, HealState.HEALED), webhook=HEALED.id)
    await store.healing.record_heal("crm", [healed], healed=[request])
