"""`relay status`: who paused a target, how a daemon saw it, and whether that daemon still runs."""

import asyncio
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import dropwhile
from pathlib import Path

import pytest

from relay.amocrm import form, sample_bodies
from relay.cli.status import watch_on
from relay.errors import RoutesInvalid
from relay.model import Health, State
from relay.model.subscription import GuardRecord, SubscriptionState
from relay.operations.asker import Asker, Role
from relay.operations.desk import Desk
from relay.operations.documents.status import StatusDocument
from relay.operations.status import STATUS, Everything
from relay.routes.config import Config
from relay.store.contract import Archive
from relay.store.records import AuditEntry, Disk, Filter, HealthReport
from relay.store.sqlite.lock import Lock
from relay.store.sqlite.store import SqliteStore
from tests.cli.conftest import (
    ESCAPE,
    MINUTE,
    NOON,
    OK,
    ROUTES,
    Run,
    Use,
    keep,
    on_terminal,
    plain,
    settle,
)

OPEN = HealthReport(health=Health.OPEN, since=NOON, as_of=NOON + MINUTE, error=f"5xx 503 busy{ESCAPE}")
CLOSED = HealthReport(health=Health.OK, since=NOON, as_of=NOON + MINUTE)


def test_status_shows_targets_and_webhooks(run: Run, kept: Path) -> None:
    lines = [line.split() for line in run("status").stdout.splitlines()]
    assert lines[0] == ["TARGET", "PENDING", "DEAD", "OLDEST", "STATE", "IN", "ROUTES"]
    assert (lines[1][:3], lines[1][-1]) == (["sales-bot", "1", "0"], "yes")
    assert lines[2][:3] == ["warehouse", "1", "1"]
    assert (lines[4][:2], lines[4][3:]) == (["warehouse:", "died"], ["d", "ago:", "400", "is", "in", "dead_on"])
    assert lines[6][:3] == ["last", "webhook", "11-22"]
    assert lines[7][:2] == ["unparsed", "2,"]
    assert lines[8] == ["unrouted", "0"]
    assert lines[9] == ["daemon", "not", "running"]


@pytest.mark.usefixtures("unrouted")
@pytest.mark.parametrize(("most", "shown"), [(10_000, "1,"), (0, "more than 0,")])
def test_status_counts_the_events_that_no_route_took(
    run: Run, monkeypatch: pytest.MonkeyPatch, most: int, shown: str
) -> None:
    monkeypatch.setattr("relay.store.records.COUNTED", most)
    monkeypatch.setattr("relay.cli.status.COUNTED", most)
    assert f"unrouted {shown} see relay list --unrouted --by type" in re.sub(" +", " ", run("status").stdout)


WRONG = {
    "count": 3,
    "since": "2026-11-22T11:00:00.000Z",
    "last_at": "2026-11-22T12:00:00.000Z",
    "address": f"POST /***/hooks/crm/***{ESCAPE}",
    "detail": "something stands before /hooks",
}
NONE_WRONG = {"count": 0, "since": None, "last_at": None, "address": None, "detail": None}


@pytest.mark.parametrize(("said", "shown"), [(WRONG, WRONG), (None, NONE_WRONG), ([], NONE_WRONG)])
def test_status_shows_what_came_to_a_wrong_address(
    said: object, shown: object, run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    async def use(store: Archive) -> None:
        if said is not None:
            await store.publish("misaddressed", said, now=NOON)

    refill(use)
    assert json.loads(run("status", "--json").stdout)["webhooks"]["misaddressed"] == shown
    told = run("status").stdout
    assert ("misaddressed  3 since " in told) == (shown == WRONG)
    assert ("POST /***/hooks/crm/***" in told) == (shown == WRONG)
    assert ESCAPE not in told


def test_status_shows_what_came_with_a_wrong_token_and_from_where(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    assert json.loads(run("status", "--json").stdout)["webhooks"]["unauthorized"]["count"] == 0
    assert "unauthorized" not in run("status").stdout
    wrong = {**WRONG, "address": "", "detail": "no such source, or a wrong token", "remote": "192.0.2.7"}
    refill(lambda store: store.publish("unauthorized", wrong, now=NOON))
    document = json.loads(run("status", "--json").stdout)["webhooks"]
    assert document["unauthorized"] == {name: value for name, value in wrong.items() if name != "address"}
    assert document["misaddressed"] == NONE_WRONG
    lines = run("status").stdout.splitlines()
    [at] = [number for number, line in enumerate(lines) if line.startswith("unauthorized  3 since 11-22 11:00:00Z")]
    assert lines[at + 1].strip() == "192.0.2.7: no such source, or a wrong token"


def test_a_target_that_the_routes_file_no_longer_names_is_still_shown(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("sales-bot", "new-bot"))
    standing = {each["target"]: each for each in json.loads(run("status", "--json").stdout)["targets"]}
    assert {name: each["in_routes"] for name, each in standing.items()} == {
        "new-bot": True,
        "sales-bot": False,
        "warehouse": True,
    }
    assert standing["sales-bot"]["oldest_at"] == "2026-11-22T12:00:00.000Z"
    assert "no longer" in run("status").stdout


def test_status_works_without_a_routes_file(run: Run, kept: Path) -> None:
    ended = run("status", "-c", "nowhere.yaml", "--json")
    assert ended.exit_code == 0
    assert {each["in_routes"] for each in json.loads(ended.stdout)["targets"]} == {None}
    assert ended.stderr == "relay: nowhere.yaml cannot be used, `relay check nowhere.yaml` says why: 1 problem\n"


def test_status_says_of_a_broken_routes_file_how_many_problems_it_has(run: Run, kept: Path, folder: Path) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("to: sales-bot", "to: sales-bott").replace("url:", "ulr:"))
    said = run("status").stderr
    (folder / "body.form").write_bytes(form.encode(sample_bodies.body("leads.mail_in")))
    number = len(run("explain", "body.form").stderr.splitlines())
    assert said == f"relay: routes.yaml cannot be used, `relay check routes.yaml` says why: {number} problems\n"


def test_where_nobody_wrote_a_routes_file_status_shows_every_target_of_the_store(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    (folder / "routes.yaml").write_text(ROUTES.replace("sales-bot", "quiet"))

    async def use(store: Archive) -> None:
        kept = await keep(
            store, "019ab000-0009-7000-8000-000000000000", form.encode(sample_bodies.body("leads.mail_in"))
        )
        await settle(store, kept["quiet"], OK)

    refill(use)
    (folder / "routes.yaml").unlink()
    ended = run("status", "--json")
    assert ended.stderr == "no routes.yaml here\n"
    assert [each["target"] for each in json.loads(ended.stdout)["targets"]] == ["quiet", "sales-bot", "warehouse"]


def test_a_webhook_in_amocrm_is_shown_as_long_as_the_routes_file_has_it_watched(
    run: Run, kept: Path, folder: Path, refill: Callable[[Use], None]
) -> None:
    async def seen(store: Archive) -> None:
        await store.guard.record(GuardRecord(source="crm", state=SubscriptionState.MISSING, checked_at=NOON))

    def shown() -> tuple[bool, set[str]]:
        document = json.loads(run("status", "--json").stdout)
        return "webhook missing" in run("status").stdout, set(document["subscriptions"])

    refill(seen)
    assert shown() == (False, set())
    watched = "    account: main\n    guard: {url: https://hooks.example.com}\n"
    accounts = "accounts: {main: {host: example.amocrm.ru, token: x}}\nsources:\n"
    text = ROUTES.replace("sources:\n", accounts).replace(
        "    token: ${CRM_TOKEN}\n", "    token: ${CRM_TOKEN}\n" + watched
    )
    (folder / "routes.yaml").write_text(text)
    assert shown() == (True, {"crm"})
    (folder / "routes.yaml").write_text("broken")
    assert shown() == (True, {"crm"})


def test_it_says_who_paused_a_target_and_why(run: Run, kept: Path) -> None:
    run("pause", "warehouse", "--reason", f"upgrade{ESCAPE}")
    lines = run("status").stdout.splitlines()
    assert lines[2].split()[-2:] == ["paused", "yes"]
    assert re.fullmatch(r"warehouse was paused [\w. ]+ ago by \S+@\S+: upgrade\\u001b\[31m", lines[4])
    paused = {each["target"]: each["paused"] for each in json.loads(run("status", "--json").stdout)["targets"]}
    assert (paused["sales-bot"], paused["warehouse"]["reason"]) == (None, f"upgrade{ESCAPE}")


def test_without_a_daemon_it_says_as_of_when_the_targets_stood_so(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    reported = replace(OPEN, in_flight=3, probe_at=NOON + MINUTE)
    refill(lambda store: store.publish_health({"warehouse": reported, "sales-bot": CLOSED}))
    lines = run("status").stdout.splitlines()
    assert "ok, as of 11-22 12:01:00Z" in lines[1]
    assert "open, as of 11-22 12:01:00Z" in lines[2]
    assert lines[4] == r"warehouse: circuit open since 11-22 12:00:00Z: 5xx 503 busy\u001b[31m"
    assert lines[-1] == "daemon        not running"
    documents = json.loads(run("status", "--json").stdout)
    assert documents["daemon"] is None
    assert documents["relays"] == []
    assert documents["targets"][1]["breaker"] == {
        "state": "open",
        "since": "2026-11-22T12:00:00.000Z",
        "as_of": "2026-11-22T12:01:00.000Z",
        "error": f"5xx 503 busy{ESCAPE}",
        "probe_at": None,
        "in_flight": None,
        "delivered_at": None,
        "rate": None,
    }, "nothing is in flight, nor will it be asked, and the daemon that said so is gone"


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (timedelta(minutes=3), "next probe at {at}, in 2 min"),
        (timedelta(minutes=-3), "probed with the next delivery that is due"),
        (None, "a probe is in flight"),
    ],
)
def test_of_an_open_circuit_it_says_when_it_is_probed(
    run: Run, kept: Path, refill: Callable[[Use], None], after: timedelta | None, said: str
) -> None:
    probe_at = None if after is None else datetime.now(UTC).replace(microsecond=0) + after
    refill(lambda store: store.publish_health({"warehouse": replace(OPEN, probe_at=probe_at)}))
    assert "probe" not in run("status").stdout, "nobody asks while no daemon runs"
    daemon = Lock(kept)
    try:
        line = run("status").stdout.splitlines()[5]
        [_, warehouse] = json.loads(run("status", "--json").stdout)["targets"]
        run("pause", "warehouse")
        assert "probe" not in run("status").stdout, "nor while it is paused"
    finally:
        daemon.release()
    assert line == "warehouse: " + said.format(at=f"{probe_at:%m-%d %H:%M:%S}Z" if probe_at else "")
    assert warehouse["breaker"]["probe_at"] == (probe_at and f"{probe_at:%Y-%m-%dT%H:%M:%S.000Z}")


def test_a_target_that_fails_is_shown_so_before_its_circuit_opens(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    failing = replace(CLOSED, error=f"5xx 503 busy{ESCAPE}")
    refill(lambda store: store.publish_health({"warehouse": failing, "sales-bot": CLOSED}))
    assert "ok, failing, as of 11-22 12:01:00Z" in run("status").stdout.splitlines()[2]
    daemon = Lock(kept)
    try:
        lines = run("status").stdout.splitlines()
        [bot, warehouse] = json.loads(run("status", "--json").stdout)["targets"]
    finally:
        daemon.release()
    assert [line.partition("  ok")[2].split() for line in lines[1:3]] == [["yes"], [",", "failing", "yes"]]
    assert lines[4] == r"warehouse: failing, its circuit is not open yet: 5xx 503 busy\u001b[31m"
    assert [(each["breaker"]["state"], each["breaker"]["error"]) for each in (bot, warehouse)] == [
        ("ok", ""),
        ("ok", f"5xx 503 busy{ESCAPE}"),
    ]


def test_beside_a_daemon_the_targets_stand_so_now(run: Run, kept: Path, refill: Callable[[Use], None]) -> None:
    refill(lambda store: store.publish_health({"warehouse": replace(OPEN, in_flight=3), "sales-bot": CLOSED}))
    daemon = Lock(kept)
    text = run("status").stdout
    targets = json.loads(run("status", "--json").stdout)["targets"]
    daemon.release()
    assert [each["breaker"]["in_flight"] for each in targets] == [0, 3]
    assert "as of" not in text
    assert text.splitlines()[-1] == f"daemon        running, pid {os.getpid()}"


def test_a_target_that_is_probed_is_half_open_for_people_and_probing_for_programs(
    run: Run, kept: Path, refill: Callable[[Use], None]
) -> None:
    refill(lambda store: store.publish_health({"warehouse": replace(OPEN, health=Health.PROBING)}))
    assert "  half-open, as of 11-22 12:01:00Z  " in run("status").stdout.splitlines()[2]
    assert json.loads(run("status", "--json").stdout)["targets"][1]["breaker"]["state"] == "probing"


def test_a_disk_with_little_room_is_reported(run: Run, kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "disk " not in run("status").stdout
    monkeypatch.setattr("relay.store.sqlite.store.disk_of", lambda _folder: Disk(total=64 * 2**30, free=312 * 2**20))
    assert "disk          low: 312 MiB are free" in run("status").stdout.splitlines()
    told = json.loads(run("status", "--json").stdout)["disk"]
    assert told == {"free": 312 * 2**20, "total": 64 * 2**30, "low": True}


def test_it_fits_80_columns(kept: Path, refill: Callable[[Use], None]) -> None:
    probed = replace(OPEN, health=Health.PROBING)
    refill(
        lambda store: store.publish_health({"warehouse": OPEN, "warehouse-of-the-north-west": probed, "w" * 64: CLOSED})
    )
    assert max(map(len, plain(on_terminal("status")))) <= 80


def test_what_is_longer_than_a_line_goes_on_below_its_label(kept: Path, refill: Callable[[Use], None]) -> None:
    file = {"file": "/etc/relay/routes/" + "a-folder/" * 5, "written_at": NOON.isoformat(), "warning": "is old"}
    refused = {"at": NOON.isoformat(), "files": [file], "problems": ["one word and another " * 5]}
    files = {"loaded": [{**file, "loaded_at": NOON.isoformat()}], "refused": [refused]}

    async def publish(store: Archive) -> None:
        await store.publish("files", files, now=NOON)
        detail = "does a proxy in front of the relay add a prefix? " * 2
        await store.publish("misaddressed", {**WRONG, "detail": detail}, now=NOON)

    refill(publish)
    lock = Lock(kept)
    try:
        lines = plain(on_terminal("status"))
    finally:
        lock.release()
    told = [*dropwhile(lambda line: not line.startswith("last webhook"), lines)]
    labels = [line[:12].strip() for line in told]
    assert max(map(len, told)) <= 80
    assert [each for each in labels if each] == [
        "last webhook", "unparsed", "unrouted", "misaddressed", "daemon", "loaded", "not loaded"
    ]  # fmt: skip
    assert all(line[12:14] == "  " and line[14] != " " for line in told), told


# ---- again and again


def test_watched_it_fits_80_columns_and_ends_with_ctrl_c(kept: Path) -> None:
    shown = plain(on_terminal("status", "--watch", until="daemon"))
    assert shown[0].endswith("every 2 s until Ctrl-C")
    assert any(line.startswith("warehouse") for line in shown)
    assert max(map(len, shown)) <= 80


class Enough(Exception):
    """Ends a watch, as Ctrl-C does."""


def no_config() -> Config:
    raise RoutesInvalid("routes.yaml", [])


def watched(
    kept: Path, capsys: pytest.CaptureFixture[str], *, change: Use | None = None, as_json: bool = False
) -> list[str]:
    """What two looks show; between them something happens."""

    async def look_twice() -> None:
        store = SqliteStore.visit(kept)
        pauses = iter([change or (lambda _store: asyncio.sleep(0))])

        desk = Desk(store, Asker(name="ann", role=Role.VIEWER, payloads=True), config=no_config)

        async def look() -> StatusDocument:
            return await desk.ask(STATUS, Everything())

        async def pause() -> None:
            if not (happen := next(pauses, None)):
                raise Enough
            await happen(store)

        try:
            with suppress(Enough):
                await watch_on(look, as_json=as_json, pause=pause)
        finally:
            await store.close()

    asyncio.run(look_twice())
    return capsys.readouterr().out.splitlines()


def test_watched_it_shows_what_has_changed(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def replay(store: Archive) -> None:
        act = AuditEntry(id="a", at=NOON, who="olga@host", command="test")
        assert await store.replay(Filter(states=(State.DEAD,)), act) == 1

    rows = [line.split() for line in watched(kept, capsys, change=replay) if line.startswith("warehouse ")]
    assert [row[1:3] for row in rows[:1]] == [["1", "1"]]
    assert [row[1:5] for row in rows[1:]] == [["2", "+1", "0", "-1"]]


def test_watched_as_json_it_is_a_document_a_line(kept: Path, capsys: pytest.CaptureFixture[str]) -> None:
    looks = [json.loads(line) for line in watched(kept, capsys, as_json=True)]
    assert [sorted(each) for each in looks] == [
        [
            "at",
            "daemon",
            "disk",
            "files",
            "files_by",
            "names",
            "oldest_snapshot",
            "relays",
            "subscriptions",
            "targets",
            "webhooks",
        ]
    ] * 2
