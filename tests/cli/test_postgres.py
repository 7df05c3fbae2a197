"""Commands beside a PostgreSQL store: what they say of its relays, and what is SQLite's alone."""

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from click.testing import Result

from relay.cli.relay_table import other_routes
from relay.store.records import RelayStanding, Status
from relay.store.sqlite.spool import SqliteSpool
from relay.store.times import to_ms, utc_now
from tests.cli.conftest import NOON, Run
from tests.postgres import Cluster, run_as_psql
from tests.store.conftest import routed, to, webhook

On = Callable[..., Result]
RELAYS = """
insert into relays (name, incarnation, host, pid, version, schema, config, started_at, seen_at, gone_at, spooled,
  spooled_at) values
  ('3f2c5a9e00000000', 101, 'm1', 812, '1.4.0', 1, 'x', 0, (extract(epoch from now()) * 1000)::bigint, null, 0, null),
  ('91d000aa00000000', 102, 'm2', 977, '1.3.2', 1, 'y', 0, 0, 60000, 37, 1000)
"""


@pytest.fixture
def on(run: Run, folder: Path, postgres_dsn: str) -> On:
    """Run a command on the database."""
    return lambda *arguments: run(*arguments, "--store", postgres_dsn)


@pytest.fixture
def admin(on: On, postgres_dsn: str) -> Iterator[psycopg.Connection]:
    assert on("migrate").stdout == "the schema is up to date\n"
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        yield connection


def lines(result: Result) -> list[list[str]]:
    return [line.split() for line in result.stdout.splitlines()]


# ---- status


def test_status_shows_the_relays_and_what_the_spool_of_one_that_is_gone_holds(
    on: On, admin: psycopg.Connection
) -> None:
    admin.execute(RELAYS)
    shown = on("status")
    assert shown.exit_code == 0
    [at] = [n for n, line in enumerate(lines(shown)) if line[:1] == ["RELAY"]]
    heading, living, gone = lines(shown)[at : at + 3]
    assert heading == ["RELAY", "HOST", "PID", "VERSION", "SEEN", "SPOOL"]
    assert living[:4] == ["3f2c5a9e", "m1", "812", "1.4.0"] and living[-1] == "-"
    assert gone[:5] == ["91d000aa", "m2", "-", "1.3.2", "gone"]
    assert "37 webhooks since" in shown.stdout and "`relay spool drain` its file" in shown.stdout
    assert "their routes differ" not in shown.stdout, "one that is gone has none"
    admin.execute("update relays set gone_at = null")
    assert "their routes differ" in on("status").stdout


def test_an_age_by_a_clock_that_is_ahead_is_now(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    admin.execute("update relays set seen_at = seen_at + 60000 where incarnation = 101")
    [living] = [each for each in lines(on("status")) if each[:1] == ["3f2c5a9e"]]
    assert living[4] == "now"


def test_status_for_programs_has_the_daemon_and_every_relay(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    told = json.loads(on("status", "--json").stdout)
    assert told["daemon"] == 812
    assert [(each["name"], each["spooled"], each["config"]) for each in told["relays"]] == [
        ("3f2c5a9e00000000", 0, "x"),
        ("91d000aa00000000", 37, "y"),
    ]
    assert [each["gone_at"] for each in told["relays"]] == [None, "1970-01-01T00:01:00.000Z"]


def test_status_lists_a_relay_that_is_gone_without_having_reported_its_spool(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    admin.execute("update relays set spooled = -1, seen_at = 60000, gone_at = %s where pid = 977", (to_ms(utc_now()),))
    shown = " ".join(on("status").stdout.split())
    assert "? not known since" in shown and "`relay spool drain` its file" in shown
    gone = json.loads(on("status", "--json").stdout)["relays"][1]
    assert (gone["pid"], gone["spooled"]) == (977, None)


BOTH = "update relays set gone_at = null, spooled = 0, spooled_at = null, seen_at = (select max(seen_at) from relays)"
REPORT = "insert into reports (relay, name, as_of, value) values (%s, %s, 0, %s)"


def test_of_several_relays_status_says_whose_word_it_shows(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    assert ["daemon", "running,", "pid", "812", "on", "m1"] in lines(on("status"))
    admin.execute(BOTH)
    file = {"file": "routes.yaml", "written_at": None, "loaded_at": NOON.isoformat(), "warning": ""}
    admin.execute(REPORT, ("91d000aa00000000", "files", json.dumps({"loaded": [file], "refused": []})))
    told = lines(on("status"))
    assert ["daemon", "2", "relays", "run,", "see", "below"] in told
    [at] = [n for n, line in enumerate(told) if line[:2] == ["loaded", "routes.yaml,"]]
    assert told[at + 1] == ["this", "is", "said", "by", "relay", "91d000aa", "on", "m2"]


def test_a_relay_whose_routes_differ_is_marked(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    admin.execute(BOTH)
    told = lines(on("status"))
    [at] = [n for n, line in enumerate(told) if line[:1] == ["RELAY"]]
    assert told[at][-2:] == ["ROUTES", "SPOOL"]
    assert [each[-2:] for each in told[at + 1 : at + 3]] == [["x", "-"], ["y", "-"]]


def test_of_three_relays_the_one_with_other_routes_stands_out() -> None:
    def relay(name: str, config: str, gone_at: datetime | None = None) -> RelayStanding:
        return RelayStanding(
            name=name, host="m", pid=1, version="1", since=NOON, seen_at=NOON, config=config, gone_at=gone_at
        )

    def others(*standing: RelayStanding) -> set[str]:
        return other_routes(Status(relays=standing))

    assert others(relay("a", "x"), relay("b", "x"), relay("c", "y"), relay("d", "z", NOON)) == {"y"}
    assert others(relay("a", "x"), relay("b", "y")) == {"x", "y"}
    assert others(relay("a", "x"), relay("b", "x")) == set()


def test_status_names_who_keeps_postgresql_from_vacuuming(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    held = {"by": "pid 4711 (psql)", "since": "2026-11-22T12:00:00.000Z"}
    assert json.loads(on("status", "--json").stdout)["oldest_snapshot"] is None
    admin.execute(REPORT, ("3f2c5a9e00000000", "oldest_snapshot", json.dumps(held)))
    assert json.loads(on("status", "--json").stdout)["oldest_snapshot"] == held
    [line] = [each for each in lines(on("status")) if each[:1] == ["vacuum"]]
    assert line[:5] == ["vacuum", "held", "back", "since", "11-22"] and line[-4:] == ["by", "pid", "4711", "(psql)"]
    admin.execute("update reports set value = '{}'")
    assert "vacuum" not in on("status").stdout


CONDITION = """
insert into conditions (relay, target, health, since, as_of, error, in_flight, slow, probe_at)
values (%s, 'warehouse', %s, 0, 0, %s, 0, '[]', 0)
"""


def test_a_circuit_that_no_delivery_comes_to_close_is_idle(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    admin.execute(BOTH)
    admin.execute(CONDITION, ("3f2c5a9e00000000", "ok", ""))
    admin.execute(CONDITION, ("91d000aa00000000", "open", "connect refused"))
    told = on("status").stdout.splitlines()
    [row] = [each for each in told if each.startswith("warehouse ")]
    assert "  open, idle  " in row
    assert [each for each in told if each.startswith("warehouse: ")] == [
        "warehouse: circuit open at relay 91d000aa on m2 since 01-01 00:00:00Z: connect refused",
        "warehouse: probed with the next delivery that is due; none waits",
    ]


def pend(admin: psycopg.Connection, minutes: int) -> None:
    """A delivery to the warehouse has been pending for so long."""
    at = to_ms(utc_now()) - minutes * 60_000
    event = "insert into events (webhook, id, kind, entity, action, entity_id, received_at, payload, checksum)"
    admin.execute(event + " values (1, 'e', 'event', 'leads', 'add', '7', %s, '', '') returning seq", (at,))
    admin.execute(
        "insert into deliveries (event, target, routes, state, attempt, base, replays, pending_since, due_at)"
        " select seq, 'warehouse', '[]', 'pending', 1, 0, 0, %s, %s from events",
        (at, at),
    )


def test_a_circuit_whose_pause_is_not_over_is_not_idle(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    admin.execute(CONDITION, ("3f2c5a9e00000000", "open", ""))
    assert "open, idle" in on("status").stdout
    admin.execute("update conditions set probe_at = %s", (to_ms(utc_now()) + 60_000,))
    assert "open, idle" not in on("status").stdout


@pytest.mark.parametrize(("healths", "minutes", "idle"), [
    (["ok", "open"], 0, True),
    (["ok", "open"], 2, False),
    (["open", "open"], 0, False),
])  # fmt: skip
def test_a_circuit_is_not_idle_while_a_delivery_waits_for_it(
    on: On, admin: psycopg.Connection, healths: list[str], minutes: int, idle: bool
) -> None:
    """Of one that is young another relay, whose circuit is closed, may be making the first attempt."""
    admin.execute(RELAYS)
    admin.execute(BOTH)
    for relay, health in zip(("3f2c5a9e00000000", "91d000aa00000000"), healths, strict=True):
        admin.execute(CONDITION, (relay, health, ""))
    pend(admin, minutes)
    assert ("open, idle" in on("status").stdout) == idle


AWAY = "postgresql://relay:hunter2@127.0.0.1:1/relay"


async def fill_spool(file: Path) -> None:
    spool = SqliteSpool.own(file, emit=lambda _signal: None, failed=lambda: None)
    for number in (1, 2):
        await spool.keep(webhook(number), [routed(number, to())])
    await spool.close()


@pytest.fixture
async def spool_of_two(folder: Path) -> Path:
    await fill_spool(folder / "relay-spool.db")
    return folder / "relay-spool.db"


def test_with_postgresql_away_status_shows_the_spool_and_fails(run: Run, spool_of_two: Path) -> None:
    shown = run("status", "--store", AWAY)
    assert shown.exit_code == 1
    assert "2 webhooks since" in shown.stdout and "relay-spool.db" in shown.stdout
    assert "PostgreSQL is away" in shown.stderr and "hunter2" not in shown.output
    told = json.loads(run("status", "--json", "--store", AWAY, "--spool", str(spool_of_two)).stdout)
    assert (told["spool"]["webhooks"], told["spool"]["oldest_at"]) == (2, "2026-11-22T12:00:00.000Z")
    assert NOON.isoformat()[:10] in told["spool"]["oldest_at"]


def test_without_a_spool_it_says_so(run: Run, folder: Path) -> None:
    shown = run("status", "--store", AWAY)
    assert (shown.exit_code, "no relay-spool.db here" in shown.stdout) == (1, True)


# ---- the whole store


def test_a_spool_that_cannot_be_read_does_not_hide_that_postgresql_is_away(run: Run, folder: Path) -> None:
    (folder / "broken.db").write_bytes(b"no database of ours" * 100)
    shown = run("status", "--store", AWAY, "--spool", "broken.db")
    assert (shown.exit_code, "PostgreSQL is away" in shown.stderr) == (1, True)
    assert "broken.db cannot be read as a spool" in " ".join(shown.stdout.split())
    told = json.loads(run("status", "--json", "--store", AWAY, "--spool", "broken.db").stdout)
    assert "PostgreSQL is away" in told["error"] and told["spool"] is None


def test_a_command_on_an_empty_database_says_what_to_do(on: On) -> None:
    shown = on("list")
    assert shown.exit_code == 1
    assert "no tables of a relay" in shown.stderr and "relay migrate" in shown.stderr


def test_the_sql_of_a_migration_can_be_run_by_another_role(on: On, postgres_dsn: str) -> None:
    sql = on("migrate", "--sql").stdout
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        run_as_psql(connection, sql)
    assert json.loads(on("migrate", "--sql", "--json").stdout) == {"up_to_date": True, "sql": ""}
    assert on("migrate", "--sql").stdout == "-- the schema is up to date\n"
    assert on("status").exit_code == 0


def test_a_store_moves_and_its_deliveries_are_listed_there(on: On, run: Run, kept: Path) -> None:
    run("pause", "warehouse")
    moved = on("move", "--from", "sqlite:///relay.db")
    assert moved.exit_code == 0, moved.output
    assert moved.stdout.startswith("moved to postgresql://relay@127.0.0.1") and "5 webhooks" in moved.stdout
    assert moved.stdout.endswith(", 1 pause, 1 audit entry\n")
    assert len(lines(on("list"))) > 2
    assert on("move", "--from", "sqlite:///relay.db").exit_code == 1
    assert "start no relay on it" in on("move", "--help").stdout.replace("\n  ", " ")


def test_a_stranded_spool_is_drained_once(
    on: On, admin: psycopg.Connection, spool_of_two: Path, postgres: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.postgres.durability.check", lenient)  # the cluster of the tests has no fsync
    assert on("spool", "drain", "relay-spool.db").stdout == "relay-spool.db: 2 webhooks forwarded\n"
    assert on("spool", "drain", "relay-spool.db").stdout == "relay-spool.db: 0 webhooks forwarded\n"
    again = json.loads(on("spool", "drain", "relay-spool.db", "--json").stdout)
    assert again == {"file": "relay-spool.db", "forwarded": 0, "refused": 0}
    assert admin.execute("select id from webhooks order by seq").fetchall() == [("webhook-0001",), ("webhook-0002",)]
    missing = on("spool", "drain", "nowhere.db")
    assert (missing.exit_code, "there is no spool at nowhere.db" in missing.stderr) == (1, True)


async def lenient(_transaction: object) -> None:
    """Any server will do."""


def test_a_server_that_may_lose_commits_gets_a_spool_only_by_a_flag_and_the_audit_has_it(
    on: On, admin: psycopg.Connection, spool_of_two: Path
) -> None:
    refused = on("spool", "drain", "relay-spool.db")
    assert (refused.exit_code, "fsync" in refused.stderr, on("audit").stdout) == (1, True, "")
    assert on("spool", "drain", "relay-spool.db", "--insecure-durability").exit_code == 0
    [entry] = json.loads(on("audit", "--json").stdout)
    [(name,)] = admin.execute("select name from relays").fetchall()
    assert (entry["command"], entry["count"]) == ("spool drain", 2)
    assert entry["details"] == {"file": "relay-spool.db", "relay": name}


@pytest.mark.parametrize(
    ("spooled", "number"), [(37, "37 webhooks"), (1, "1 webhook"), (-1, "an unknown number of webhooks")]
)
def test_a_spool_whose_disk_is_lost_is_given_up_once(
    on: On, admin: psycopg.Connection, spooled: int, number: str
) -> None:
    admin.execute(RELAYS)
    admin.execute("update relays set spooled = %s, gone_at = %s where pid = 977", (spooled, to_ms(utc_now())))
    assert "91d000aa" in on("status").stdout
    assert on("spool", "forget", "91d000aa").stdout == f"relay 91d000aa on m2: gave up its spool, with {number}\n"
    assert "91d000aa" not in on("status").stdout
    assert on("spool", "forget", "91d000aa").stdout == "relay 91d000aa on m2: gave up its spool, with 0 webhooks\n"
    assert json.loads(on("spool", "forget", "91d000aa", "--json").stdout)["webhooks"] == 0
    [entry] = json.loads(on("audit", "--json").stdout)
    known = {} if spooled > 0 else {"webhooks": "unknown"}
    assert (entry["command"], entry["count"]) == ("spool forget", max(spooled, 0))
    assert entry["details"] == {"relay": "91d000aa00000000", "host": "m2", **known}


def test_a_spool_of_a_relay_that_lives_or_that_is_not_one_is_not_given_up(on: On, admin: psycopg.Connection) -> None:
    admin.execute(RELAYS)
    for name, why in (
        ("3f2c5a9e", "lives (host m1, pid 812)"),
        ("nobody", "no relay whose name begins with 'nobody'"),
        ("", "no relay whose name begins with ''"),
    ):
        refused = on("spool", "forget", name)
        assert (refused.exit_code, why in refused.stderr) == (1, True), refused.output
    admin.execute("update relays set name = '3f2c00bb00000000' where pid = 977")
    several = on("spool", "forget", "3f2c")
    assert (several.exit_code, "several relays" in several.stderr) == (1, True)
    assert admin.execute("select sum(spooled) from relays").fetchone() == (37,)
    assert on("audit", "--json").stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [["migrate"], ["migrate", "--sql"], ["spool", "drain", "relay-spool.db"], ["spool", "forget", "3f2c5a9e"]],
)
def test_what_is_postgresql_s_alone_says_so_of_another_store(run: Run, folder: Path, command: list[str]) -> None:
    refused = run(*command)
    assert refused.exit_code == 1
    assert "relay.db is not a PostgreSQL store" in refused.stderr


def test_what_is_sqlite_s_alone_says_what_to_use_instead(on: On, admin: psycopg.Connection) -> None:
    refused = on("backup", "copy.db")
    assert refused.exit_code == 2, "it is misuse, as a flag that does not fit"
    [said] = [line for line in refused.stderr.splitlines() if line.startswith("Error: ")]
    assert "is no file" in said and "pg_basebackup" in said and "pg_dump --serializable-deferrable" in said
    assert not Path("copy.db").exists()


def test_insecure_durability_is_misuse_with_sqlite(run: Run, folder: Path) -> None:
    refused = run("run", "--insecure-durability")
    assert refused.exit_code == 2
    assert "--insecure-durability goes with --store postgresql://… only" in refused.stderr


# ---- whose clock it is

BEHIND = """
create function public.clock_timestamp() returns timestamptz language sql volatile
as $$ select pg_catalog.clock_timestamp() - interval '10 minutes' $$
"""


@pytest.mark.parametrize(
    ("command", "dated"),
    [
        (["replay", "--all-dead"], "(select max(at) from audit)"),
        (["replay", "--all-dead"], "(select max(due_at) from deliveries where replays > 0)"),
        (["replay", "--unrouted"], "(select max(due_at) from deliveries where replays > 0)"),
        (["pause", "warehouse"], "(select paused_at from pauses)"),
        (["reparse", "--charset", "cp1251"], "(select max(at) from audit where command = 'reparse')"),
        (["purge", "--older-than", "1d", "--state", "unparsed"], "(select max(at) from audit where command = 'purge')"),
    ],
)
def test_acts_are_dated_by_the_server_s_clock(
    run: Run, on: On, kept: Path, postgres_dsn: str, command: list[str], dated: str
) -> None:
    """This machine is ten minutes ahead of it: so much later would be due what is replayed."""
    assert on("move", "--from", "sqlite:///relay.db").exit_code == 0
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute(BEHIND)
        if "--unrouted" in command:
            admin.execute("delete from deliveries")
        done = run(*command, "--store", f"{postgres_dsn}?options=-csearch_path%3Dpublic,pg_catalog")
        assert not done.stderr, done.output
        behind = admin.execute(f"select extract(epoch from clock_timestamp()) - {dated} / 1000.0".encode()).fetchone()
    assert behind and 590 < behind[0] < 660


# ---- verify


def test_verify_finds_what_does_not_fit_together_and_says_what_it_did_not_look_at(
    on: On, kept: Path, postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relay.store.postgres.integrity.MENDED_AFTER", 0.0)
    assert on("move", "--from", "sqlite:///relay.db").exit_code == 0
    sound = on("verify")
    assert sound.exit_code == 0, sound.output
    assert "pg_amcheck" in sound.stdout and "data_checksums" not in sound.stdout
    with psycopg.connect(postgres_dsn, autocommit=True) as admin:
        admin.execute("update events set payload = '{}' where seq = 1")
        admin.execute("update deliveries set due_at = null where state = 'pending'")
        admin.execute("delete from webhooks where seq = 2")
    odd = on("verify")
    assert odd.exit_code == 1
    for text in ("corrupt event", "no due time and no key", "events that belong to no webhook", "is not sound"):
        assert text in odd.stdout
    assert json.loads(on("verify", "--json").stdout)["notes"]
