"""Signal -> exactly these series, exactly this line."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest

import relay
from relay.model import Dead, Delivered, Reason, RetryAt, Verdict
from relay.model.event_names import EventNames
from relay.model.trace import trace_id
from relay.observe.observer import LINES_PER_SECOND, MOST_ENTITIES
from relay.signals import (
    Blocked,
    Claimed,
    ClaimsReturned,
    Committed,
    ConfigActivated,
    DuplicateReceived,
    Evicted,
    Notice,
    Notified,
    Probed,
    Purged,
    Rejection,
    RelayDeclaredDead,
    RelayDisowned,
    Reloaded,
    Signal,
    SpoolOpened,
)
from tests.account.example_catalog import CATALOG
from tests.observe.conftest import MS, NOON, Observed, attempted, event, kept, refused

LATER = NOON + timedelta(minutes=5)
TRACE = trace_id(kept().webhook.trace)
ABOUT = "target=warehouse event=e-1 entity=leads entity_id=4831596 attempt=2"


# ---- series


def test_an_accepted_webhook_is_counted_with_its_events_and_their_routes(observed: Observed) -> None:
    observed.emit(kept(event(), event("contacts", "add"), routes=[["won", "all"], []]))
    assert observed.value("relay_webhooks_total", source="crm", outcome="accepted") == 1
    assert observed.samples("relay_events_total") == {
        ("relay_events_total", "crm", "leads", "status", "yes"): 1,
        ("relay_events_total", "crm", "contacts", "add", "no"): 1,
    }
    assert observed.samples("relay_route_matches_total") == {
        ("relay_route_matches_total", "won"): 1,
        ("relay_route_matches_total", "all"): 1,
    }


def test_an_unparsed_webhook_is_counted_as_such(observed: Observed) -> None:
    observed.emit(kept(unparsed="empty body"))
    assert observed.samples("relay_webhooks_total") == {("relay_webhooks_total", "crm", "unparsed"): 1}


def test_a_repeated_webhook_is_counted_and_timed_and_makes_no_events(observed: Observed) -> None:
    observed.emit(DuplicateReceived(webhook=kept().webhook, first="019ab000-0001", took=1400 * MS))
    assert observed.samples("relay_webhooks_total") == {("relay_webhooks_total", "crm", "duplicate"): 1}
    assert observed.value("relay_ack_seconds_sum", source="crm") == 1.4
    assert observed.samples("relay_events_total") == {}


def test_an_answer_is_timed_against_the_two_seconds_amocrm_waits(observed: Observed) -> None:
    observed.emit(kept())
    assert observed.value("relay_ack_seconds_bucket", source="crm", le="1.0") == 0
    assert observed.value("relay_ack_seconds_bucket", source="crm", le="2.0") == 1
    assert observed.value("relay_ack_seconds_sum", source="crm") == 1.4


def test_the_last_webhook_is_dated_by_its_arrival(observed: Observed) -> None:
    observed.emit(kept())
    assert observed.value("relay_last_webhook_timestamp_seconds", source="crm") == NOON.timestamp()


@pytest.mark.parametrize("reason", Rejection)
def test_a_refused_webhook_is_counted_by_its_reason(reason: Rejection, observed: Observed) -> None:
    observed.emit(refused(reason, source="crm"))
    assert observed.samples("relay_webhooks_total") == {("relay_webhooks_total", "crm", str(reason)): 1}


@pytest.mark.parametrize(
    ("reason", "verdict", "outcome"),
    [
        (Reason.OK, Delivered(), "delivered"),
        (Reason.TIMEOUT, RetryAt(LATER), "retry"),
        (Reason.CLIENT_ERROR, Dead("status 400"), "dead"),
    ],
)
def test_an_attempt_is_counted_by_what_followed_and_why(
    reason: Reason, verdict: Verdict, outcome: str, observed: Observed
) -> None:
    observed.emit(attempted(reason, verdict))
    assert observed.samples("relay_attempts_total") == {("relay_attempts_total", "warehouse", outcome, str(reason)): 1}
    assert observed.value("relay_attempt_seconds_sum", target="warehouse") == 0.01234


def test_only_a_delivered_event_has_a_lag(observed: Observed) -> None:
    observed.emit(attempted(Reason.CONNECT, RetryAt(LATER)))
    observed.emit(replace(attempted(), lag=None))
    assert observed.value("relay_delivery_lag_seconds_count", target="warehouse") is None
    assert "outcome=delivered" in observed.lines()[-1], "the attempt was made"
    observed.emit(attempted())
    assert observed.value("relay_delivery_lag_seconds_bucket", target="warehouse", le="3600.0") == 0
    assert observed.value("relay_delivery_lag_seconds_bucket", target="warehouse", le="10800.0") == 1
    assert observed.value("relay_delivery_lag_seconds_bucket", target="warehouse", le="259200.0") == 1


def test_a_commit_is_timed(observed: Observed) -> None:
    observed.emit(Committed(writes=3, took=20 * MS))
    assert observed.value("relay_store_commit_seconds_bucket", le="0.01") == 0
    assert observed.value("relay_store_commit_seconds_bucket", le="0.025") == 1


def test_a_claim_is_timed(observed: Observed) -> None:
    observed.emit(Claimed(target="bot", deliveries=3, took=200 * MS))
    assert observed.value("relay_store_claim_seconds_bucket", le="0.1") == 0
    assert observed.value("relay_store_claim_seconds_bucket", le="0.2") == 1


def test_counters_of_names_in_use_begin_at_0(observed: Observed) -> None:
    assert observed.value("relay_webhooks_total", source="crm", outcome="unparsed") is None
    observed.emit(ConfigActivated(sources=["crm"], targets=["bot"], routes=["all"]))
    for outcome in ("accepted", "unparsed", "duplicate", "refused_account", "too_large", "unavailable", "incomplete"):
        assert observed.value("relay_webhooks_total", source="crm", outcome=outcome) == 0
    assert observed.value("relay_webhooks_total", source="crm", outcome="probe") == 0
    for outcome in ("unauthorized", "misaddressed", "stranger"):
        assert observed.value("relay_webhooks_total", source="-", outcome=outcome) == 0
    assert observed.value("relay_attempts_total", target="bot", outcome="delivered", reason="2xx") == 0
    assert observed.value("relay_route_matches_total", route="all") == 0


def test_the_last_reload_shows_success_and_time(observed: Observed) -> None:
    assert observed.value("relay_config_last_reload_successful") == 1
    observed.clock.now += 60
    observed.emit(Reloaded(file="routes.yaml", problems=["routes.yaml:3:1  no"]))
    assert observed.value("relay_config_last_reload_successful") == 0
    assert observed.value("relay_config_last_reload_timestamp_seconds") == NOON.timestamp() + 60
    observed.emit(Reloaded(file="routes.yaml"))
    assert observed.value("relay_config_last_reload_successful") == 1
    observed.emit(Reloaded(file="routes.yaml", certificate_problems=["the file tls.key cannot be read"]))
    assert observed.value("relay_config_last_reload_successful") == 0


def test_a_pair_that_was_refused_beside_good_routes_is_a_line_of_its_own(observed: Observed) -> None:
    observed.emit(Reloaded(file="routes.yaml", certificate_problems=["the file tls.key cannot be read"]))
    assert [line.partition(" ")[2] for line in observed.lines()] == [
        "info  routes reloaded file=routes.yaml",
        'error certificate unchanged problems="the file tls.key cannot be read"',
    ]


def test_a_pair_that_was_taken_up_is_a_line_of_its_own(observed: Observed) -> None:
    observed.emit(Reloaded(file="routes.yaml", problems=["routes.yaml:3:1  no"], activated=["certificate"]))
    assert [line.partition(" ")[2] for line in observed.lines()] == [
        'error routes unchanged file=routes.yaml problems="routes.yaml:3:1  no"',
        "info  certificate reloaded",
    ]


def test_an_access_file_is_a_line_of_its_own_and_a_refused_one_a_reload_that_failed(observed: Observed) -> None:
    observed.emit(Reloaded(file="routes.yaml", activated=["routes", "access"]))
    assert observed.value("relay_config_last_reload_successful") == 1
    observed.emit(Reloaded(file="routes.yaml", access_problems=["access.json is not an access file"]))
    assert observed.value("relay_config_last_reload_successful") == 0
    assert [line.partition(" ")[2] for line in observed.lines()] == [
        "info  routes reloaded file=routes.yaml",
        "info  access file reloaded",
        "info  routes reloaded file=routes.yaml",
        'error access file unchanged problems="access.json is not an access file"',
    ]


def test_notifications_are_counted_from_zero_on_for_each_receiver_and_each_is_a_line(observed: Observed) -> None:
    observed.emit(ConfigActivated(sources=[], targets=[], routes=[], receivers=["telegram", "mail"]))
    assert set(observed.samples("relay_notifications").values()) == {0}
    assert len(observed.samples("relay_notifications")) == 8
    observed.emit(Notified(receiver="telegram", outcome="sent", lines=3, detail=""))
    observed.emit(Notified(receiver="mail", outcome="refused", lines=1, detail="535 no"))
    assert observed.value("relay_notifications_total", receiver="telegram", outcome="sent") == 1
    assert observed.value("relay_notifications_total", receiver="mail", outcome="refused") == 1
    assert [line.partition(" ")[2] for line in observed.lines()] == [
        "info  notified receiver=telegram outcome=sent lines=3",
        'warn  not notified receiver=mail outcome=refused lines=1 detail="535 no"',
    ]


def test_the_build_shows_its_version(observed: Observed) -> None:
    assert observed.value("relay_build_info", version=relay.__version__) == 1


def test_a_hundred_thousand_words_make_one_series(observed: Observed) -> None:
    observed.emit(kept(event("leads", "add")))
    observed.emit(kept(event("invented", "add"), event("leads", "invented"), event("invented", "invented")))
    before = len(observed.samples())
    for number in range(33_000):
        word = f"invented-{number}"
        observed.emit(kept(event(word, "add"), event("leads", word), event(word, word)))
    assert len(observed.samples()) == before
    assert observed.value("relay_events_total", source="crm", entity="other", action="add", routed="no") == 33_001


def test_no_series_beside_the_named_ones_is_exposed(observed: Observed) -> None:
    for signal in (kept(event(), routes=[["all"]]), attempted(), Committed(writes=1, took=MS)):
        observed.emit(signal)
    exposed = generate_latest(observed.registry).decode()
    assert {line.split()[2] for line in exposed.splitlines() if line.startswith("# TYPE")} == {
        "relay_webhooks_total",
        "relay_archive_failures_total",
        "relay_ack_seconds",
        "relay_last_webhook_timestamp_seconds",
        "relay_events_total",
        "relay_route_matches_total",
        "relay_attempts_total",
        "relay_attempt_seconds",
        "relay_delivery_lag_seconds",
        "relay_store_commit_seconds",
        "relay_store_claim_seconds",
        "relay_connections_evicted_total",
        "relay_loop_blocked_seconds",
        "relay_config_last_reload_successful",
        "relay_config_last_reload_timestamp_seconds",
        "relay_build_info",
    }


# ---- lines


@pytest.mark.parametrize(
    ("signal", "line"),
    [
        (
            kept(event()),
            (
                f"debug accepted source=crm webhook=w-1 request_id=r-1 trace_id={TRACE} events=1"
                ' entities="leads 4831596" deliveries=2 ms=1400.0'
            ),
        ),
        (
            kept(unparsed="empty body"),
            (
                f"warn  unparsed source=crm webhook=w-1 request_id=r-1 trace_id={TRACE}"
                ' bytes=3 ms=1400.0 detail="empty body"'
            ),
        ),
        (
            DuplicateReceived(webhook=kept().webhook, first="w-0", took=1400 * MS),
            f"info  duplicate source=crm webhook=w-0 request_id=r-1 trace_id={TRACE} ms=1400.0",
        ),
        (Evicted(after=1400 * MS), "warn  connection evicted after_ms=1400.0"),
        (Blocked(late=300 * MS), "warn  event loop blocked ms=300.0"),
        (
            Purged(counts={"delivered": 7, "unparsed": 1}, took=1400 * MS),
            "info  purged delivered=7 unparsed=1 ms=1400.0",
        ),
        (
            refused(Rejection.UNAUTHORIZED),
            "info  refused source=- outcome=unauthorized remote=192.0.2.7 ms=3.0",
        ),
        (
            refused(Rejection.TOO_LARGE, source="crm", detail="5 MiB"),
            'warn  refused source=crm outcome=too_large remote=192.0.2.7 ms=3.0 detail="5 MiB"',
        ),
        (
            replace(refused(Rejection.MISADDRESSED, detail="/hooks is missing"), address="POST /crm/***"),
            (
                "warn  refused source=- outcome=misaddressed remote=192.0.2.7 ms=3.0"
                ' address="POST /crm/***" detail="/hooks is missing"'
            ),
        ),
        (Probed(source="crm", remote="192.0.2.7"), "debug probe source=crm remote=192.0.2.7"),
        (
            attempted(),
            f"info  attempt {ABOUT} outcome=delivered reason=2xx status=200 ms=12.3",
        ),
        (
            attempted(replay=True),
            (f"info  attempt {ABOUT} outcome=delivered reason=2xx status=200 ms=12.3 replay=true"),
        ),
        (
            attempted(Reason.SERVER_ERROR, RetryAt(LATER), status=503, detail="busy"),
            (
                f"warn  attempt {ABOUT} outcome=retry reason=5xx status=503 ms=12.3"
                " due_at=2026-11-22T12:05:00.000Z detail=busy"
            ),
        ),
        (
            attempted(Reason.CONNECT, Dead("tried for 3 days"), status=None),
            (f'warn  attempt {ABOUT} outcome=dead reason=connect ms=12.3 why="tried for 3 days"'),
        ),
        (
            Reloaded(file="routes.yaml", orphaned=("old-bot", "older-bot")),
            'info  routes reloaded file=routes.yaml parked="old-bot; older-bot"',
        ),
        (
            Reloaded(file="routes.yaml", problems=("routes.yaml:3:1  no", "routes.yaml:4:1  nor")),
            'error routes unchanged file=routes.yaml problems="routes.yaml:3:1  no; routes.yaml:4:1  nor"',
        ),
        (
            Notice(level="error", text="the breaker opened", fields={"target": "bot", "event": "e-1"}),
            "error the breaker opened target=bot event=e-1",
        ),
        (Notice(level="odd", text="a level nobody knows", fields={}), "info  a level nobody knows"),
    ],
)
def test_a_signal_is_one_line(signal: Signal, line: str, observed: Observed) -> None:
    observed.emit(signal)
    assert observed.lines() == [f"2026-11-22T12:00:00.000Z {line}"]


def test_a_commit_writes_no_line(observed: Observed) -> None:
    observed.emit(Committed(writes=1, took=MS))
    assert observed.lines() == []


def test_a_stranger_writes_no_line(observed: Observed) -> None:
    observed.emit(refused(Rejection.STRANGER, detail="not a hook path"))
    assert observed.lines() == []


def test_a_probe_is_counted_and_is_no_webhook(observed: Observed) -> None:
    observed.emit(Probed(source="crm", remote="192.0.2.7"))
    assert observed.samples("relay_webhooks_total") == {("relay_webhooks_total", "crm", "probe"): 1}
    assert observed.samples("relay_last_webhook_timestamp_seconds") == {}


def test_accepted_webhooks_are_silent_unless_debugging() -> None:
    observed = Observed(level="info")
    observed.emit(kept(event()))
    assert observed.lines() == []
    observed.emit(kept(unparsed="empty body"))
    observed.emit(attempted())
    assert len(observed.lines()) == 2


def test_a_detail_is_cut_at_500_characters() -> None:
    observed = Observed("json")
    observed.emit(attempted(Reason.OTHER_STATUS, Dead("w" * 900), detail="d" * 900))
    line = json.loads(observed.lines()[0])
    assert (len(line["detail"]), len(line["why"])) == (500, 500)


def test_a_storm_of_refusals_is_counted_in_full_and_logged_in_part(observed: Observed) -> None:
    for _ in range(1_000):
        observed.emit(refused())
    assert len(observed.lines()) == LINES_PER_SECOND
    assert observed.value("relay_webhooks_total", source="-", outcome="unauthorized") == 1_000
    observed.clock.now += 1
    observed.emit(refused())
    assert observed.lines()[-1].endswith(" held_back=990")
    observed.emit(refused())
    assert "held_back" not in observed.lines()[-1]


@pytest.mark.parametrize(
    "signal",
    [
        refused(Rejection.INCOMPLETE, source="crm"),
        refused(Rejection.MISADDRESSED, detail="/hooks is missing"),
        Probed(source="crm", remote="192.0.2.7"),
        kept(unparsed="empty body"),
        DuplicateReceived(webhook=kept().webhook, first="w-0", took=MS),
        Evicted(after=MS),
    ],
    ids=lambda signal: type(signal).__name__,
)
def test_of_what_strangers_can_cause_there_are_ten_lines_a_second_and_a_count_of_the_others(
    signal: Signal, observed: Observed
) -> None:
    for _ in range(1_000):
        observed.emit(signal)
    assert len(observed.lines()) == LINES_PER_SECOND
    observed.clock.now += 1
    observed.emit(signal)
    assert observed.lines()[-1].endswith(f" held_back={1_000 - LINES_PER_SECOND}")


def test_what_becomes_of_relays_that_share_a_store_is_counted(observed: Observed) -> None:
    observed.emit(SpoolOpened(file="spool.db", relay="3f2c", webhooks=0))
    relays = ("relay_relays_declared_dead_total", "relay_disowned_total")
    assert [observed.value(name) for name in relays] == [0, 0]
    for signal in (RelayDeclaredDead(relay="3f2c"), RelayDisowned(), RelayDisowned()):
        observed.emit(signal)
    for claims, why in ((3, "lost"), (5, "abandoned"), (4, "lost")):
        observed.emit(ClaimsReturned(claims=claims, why=why))
    assert [observed.value(name) for name in relays] == [1, 2]
    returned = {why: observed.value("relay_claims_returned_total", why=why) for why in ("lost", "abandoned")}
    assert returned == {"lost": 7, "abandoned": 5}


def test_evictions_are_counted_and_blocks_are_measured(observed: Observed) -> None:
    assert observed.value("relay_connections_evicted_total") == 0
    observed.emit(Evicted(after=MS))
    assert observed.value("relay_connections_evicted_total") == 1
    observed.emit(Blocked(late=700 * MS))
    assert observed.value("relay_loop_blocked_seconds_bucket", le="0.5") == 0
    assert observed.value("relay_loop_blocked_seconds_sum") == pytest.approx(0.7)


def test_one_kind_of_refusal_does_not_hide_another(observed: Observed) -> None:
    for _ in range(1_000):
        observed.emit(refused())
    observed.emit(refused(Rejection.UNAVAILABLE, source="crm"))
    assert "outcome=unavailable" in observed.lines()[-1]


@pytest.mark.parametrize("verdict", [Delivered(), RetryAt(LATER)])
def test_an_attempt_has_the_names_that_amocrm_has_for_the_ids_in_its_event(
    observed: Observed, verdict: Verdict
) -> None:
    names = EventNames({"crm": CATALOG})
    observed.emit(ConfigActivated(sources=["crm"], targets=["bot"], routes=["all"], names=names))
    made = attempted(verdict=verdict)
    payload = b'{"source":"crm","data":{"pipeline_id":752662,"status_id":16203337,"responsible_user_id":501}}'
    named, unknown = (replace(made.delivery, payload=each) for each in (payload, b'{"source":"other","data":{}}'))
    for delivery in (named, unknown, replace(named, corrupt=True), replace(named, payload=b"")):
        observed.emit(replace(made, delivery=delivery))
    first, *others = [line for line in observed.lines() if " attempt target" in line]
    assert 'entity_id=4831596 names="status Продажи/Оффер, responsible Ольга Петрова" attempt=2' in first
    assert len(others) == 3 and not any("names" in line for line in others)


# ---- whatever the payloads hold


NASTY = "\r\n\t\x00\x07\x1b[31m\x7f\x85\x9b\u2028\u2029\u202e\u2066\u200f\ufeff\ud800\"\\= 'ё"
texts = st.text(alphabet=st.one_of(st.sampled_from(NASTY), st.characters()), max_size=40)


def hostile(kind: int, text: str) -> Signal:
    """A signal with `text` wherever a payload, a target or a sender can put one."""
    signals: list[Signal] = [
        kept(unparsed=text),
        refused(detail=text, source=text),
        attempted(Reason.REQUEST, Dead(text), detail=text),
        Reloaded(file=text, problems=[text, text]),
        Notice(level="warning", text=text, fields={"error": text, "event": text, "path": Exception(text)}),
        DuplicateReceived(webhook=replace(kept().webhook, request_id=text), first=text, took=MS),
    ]
    return signals[kind]


@given(kind=st.integers(0, 5), text=texts)
def test_a_text_line_neither_ends_early_nor_colours_a_terminal(kind: int, text: str) -> None:
    observed = Observed()
    observed.emit(hostile(kind, text))
    written = observed.file.content()
    assert written.endswith("\n")
    assert written[:-1].isprintable()


@given(kind=st.integers(0, 5), text=texts)
def test_a_json_line_is_ascii_and_reads_back(kind: int, text: str) -> None:
    observed = Observed("json")
    observed.emit(hostile(kind, text))
    (line,) = observed.lines()
    assert line.isascii()
    assert line.isprintable()
    fields = json.loads(line)
    assert {"time", "level", "message"} <= fields.keys()
    match kind:
        case 0 | 1:
            assert fields.get("detail", "") == text
        case 2:
            assert (fields["why"], fields.get("detail", "")) == (text, text)
        case 3:
            assert (fields["file"], fields["problems"]) == (text, [text, text])
        case 5:
            assert (fields["webhook"], fields.get("request_id", "")) == (text, text)
        case _:
            assert (fields["message"], fields["error"], fields["event"]) == (text, text, text)


@given(texts)
def test_a_quoted_text_can_be_read_back(text: str) -> None:
    """It is a JSON string, so no two texts look alike."""
    observed = Observed()
    observed.emit(Notice(level="info", text="said", fields={"text": text}))
    shown = observed.lines()[0].partition(" text=")[2]
    if shown.startswith('"'):
        shown = json.loads(shown)
    assert shown == text


# ---- a search for an id finds every line about it


def test_a_webhook_names_what_its_events_are_about(observed: Observed) -> None:
    observed.emit(kept(event(), event("contacts", "add")))
    repeated = kept(event(), event("task", "add"))
    observed.emit(DuplicateReceived(webhook=repeated.webhook, first="w-0", took=MS, routed=repeated.routed))
    accepted, duplicate = observed.lines()
    assert ' entities="leads 4831596; contacts 4831596" ' in accepted
    assert ' entities="leads 4831596; task 4831596" ' in duplicate


def test_a_line_of_a_large_webhook_is_bounded(observed: Observed) -> None:
    observed.emit(kept(*[event()] * (MOST_ENTITIES + 7)))
    [line] = observed.lines()
    assert line.count("leads 4831596") == MOST_ENTITIES
    assert '; 7 more"' in line


@pytest.mark.parametrize(
    ("verdict", "level"), [(Delivered(), "info"), (RetryAt(LATER), "warning"), (Dead("400"), "warning")]
)
def test_a_failed_attempt_is_a_warning_and_every_one_names_its_entity(verdict: Verdict, level: str) -> None:
    observed = Observed("json")
    observed.emit(attempted(verdict=verdict))
    [line] = [json.loads(line) for line in observed.lines()]
    assert (line["level"], line["entity"], line["entity_id"]) == (level, "leads", "4831596")
