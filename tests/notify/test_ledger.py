"""What is told, and when: on transitions, once, grouped, not in quiet hours, over restarts. Time is an argument."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise

import orjson
import pytest

from relay.model import Secret
from relay.model.heal import HealState
from relay.model.notify import Kind, Language, Notify, Quiet, Slack
from relay.model.subscription import SubscriptionState
from relay.notify.ledger import Ledger
from relay.notify.notification import Notification, notification
from relay.notify.texts import Speaker
from relay.signals import ConfigActivated, DiskSpace, DiskSpaceChanged, Reloaded, Signal, SpoolingBegan, SpoolingEnded
from relay.signals.account import (
    AccountAsked,
    AccountBlocked,
    AccountGrantLost,
    AccountOutcome,
    AccountTokenEnds,
    AccountTokenRead,
    Healed,
    SourceScanned,
    SubscriptionChanged,
)
from tests.notify.facts import NOON, attempted, closed, opened, seconds, stored

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def to(name: str = "slack", **settings: object) -> Notify:
    return Notify(name=name, to=Slack(url=Secret("https://hooks.example/x")), **settings)


def _step(span: timedelta) -> timedelta:
    return seconds(1) if span <= MINUTE * 10 else seconds(10)


class Desk:
    """A ledger whose receivers take everything at once, and a clock that is set by hand."""

    def __init__(self, *receivers: Notify, stored: object = None, relay: str = "", at: datetime = NOON) -> None:
        self.now = at
        self.relay = relay
        self.ledger = Ledger(relay, at, stored)
        self.ledger.use(receivers or (to(),))
        self.sent: list[tuple[datetime, Notification]] = []
        self.takes = True

    def on(self, *signals: Signal) -> None:
        for each in signals:
            if self.ledger.concerns(each):
                self.ledger.on(each, self.now)

    def runs(self, span: timedelta, *, reports: dict[str, object] | None = None) -> list[str]:
        """So much time passes, a few seconds at a time; return the lines that were sent meanwhile."""
        before = len(self.sent)
        step = _step(span)
        for _ in range(int(span / step)):
            self.now += step
            self.turn(reports)
        return [line.text for _, each in self.sent[before:] for line in each.lines]

    def turn(self, reports: dict[str, object] | None = None) -> None:
        own = {self.relay: self.ledger.counts.report()}
        self.ledger.gather({**(reports or {}), **own}, self.now)
        self.ledger.look(self.now)
        for digest, entries in self.ledger.due(self.now, lambda at: at):
            if not self.takes:
                digest.failed(self.now)
                continue
            speaker = Speaker(language=digest.receiver.language, name="acme", relay=self.relay, local=lambda at: at)
            said = notification(entries, speaker, console="https://relay.example", now=self.now)
            self.sent.append((self.now, said))
            digest.sent(self.now)

    def restarted(self, *receivers: Notify) -> "Desk":
        """Another process goes on from what this one has stored, as JSON."""
        found = orjson.loads(orjson.dumps(self.ledger.stored()))
        after = Desk(*receivers, stored=found, relay=self.relay, at=self.now)
        after.ledger.counts.begin(orjson.loads(orjson.dumps(self.ledger.counts.report())))
        return after


# ---- conditions


def test_a_target_is_told_once_when_its_circuit_opens_and_once_when_it_closes() -> None:
    desk = Desk()
    desk.on(opened(), opened())
    assert desk.runs(MINUTE) == [
        "✗ bot: circuit open since 12:00: 10 failures in a row, the last one 503. Its deliveries wait"
    ]
    desk.on(closed(), closed())
    assert desk.runs(MINUTE) == ["✓ bot: back again after 1 min"]
    assert desk.runs(HOUR) == []


def test_several_targets_at_once_are_one_message() -> None:
    desk = Desk()
    desk.on(*(opened(f"bot-{number}") for number in range(30)))
    desk.runs(MINUTE)
    [(_, only)] = desk.sent
    assert len(only.lines) == 21
    assert only.lines[-1].text == "… and 10 more"
    assert only.title.endswith("(+20)")


def test_a_target_that_was_away_before_anybody_could_be_told_is_one_line() -> None:
    desk = Desk()
    desk.on(opened())
    desk.now += seconds(3)
    desk.on(closed())
    assert desk.runs(MINUTE) == ["✓ bot: circuit open for 3 s: 10 failures in a row, the last one 503, back again"]


@pytest.mark.parametrize(
    "detail", ["asked by Retry-After to wait 20 s: 429 slow down", "asked by Retry-After to wait 9 s: 5xx 503"]
)
def test_a_short_pause_that_a_target_asked_for_is_no_news(detail: str) -> None:
    desk = Desk()
    desk.on(opened(detail=detail, failures=None))
    assert desk.runs(seconds(20)) == []
    desk.on(closed())
    assert desk.runs(HOUR) == []


def test_a_long_pause_that_a_target_asked_for_is_news() -> None:
    desk = Desk()
    desk.on(opened(detail="asked by Retry-After to wait 3600 s: 429 slow down", failures=None))
    [line] = desk.runs(MINUTE)
    assert "it asked for a pause, 429" in line


@pytest.mark.parametrize("every", [1, 4, 13, 40])
def test_flapping_tells_each_transition_at_most_once_and_at_most_six_messages_a_minute(every: int) -> None:
    desk = Desk()
    flips = 0
    for second in range(1200):
        if second % every == 0:
            desk.on(opened() if flips % 2 == 0 else closed())
            flips += 1
        desk.runs(seconds(1))
    desk.runs(HOUR)
    times = [at for at, _ in desk.sent]
    assert all(later - earlier >= seconds(10) for earlier, later in pairwise(times))
    assert len(desk.sent) <= flips
    assert len(desk.sent) <= 12  # it is told that it flaps, not each time
    told = [line.text for _, each in desk.sent for line in each.lines]
    assert sum(_changes(line) for line in told) == flips
    assert ("back again" in told[-1]) == (flips % 2 == 0)


def _changes(line: str) -> int:
    if "changes)" in line:
        return int(line.rpartition("(")[2].partition(" ")[0])
    return 2 if "circuit open for" in line else 1


def test_who_wants_to_know_only_of_open_circuits_hears_of_those_alone() -> None:
    desk = Desk(to(kinds=frozenset({Kind.TARGET_OPEN})))
    desk.on(opened())
    assert len(desk.runs(MINUTE)) == 1
    desk.on(closed())
    assert desk.runs(MINUTE) == []


def test_a_disk_that_fills_up_is_told_at_each_level_and_when_there_is_room_again() -> None:
    desk = Desk()
    said = []
    for level in (DiskSpace.SCARCE, DiskSpace.SCARCE, DiskSpace.LOW, DiskSpace.FULL, DiskSpace.AMPLE):
        desk.on(DiskSpaceChanged(level=level, folder="/var/lib/relay", free=3 * 2**30))
        said += desk.runs(MINUTE)
    assert said == [
        "✗ disk of the store: little room, 3.0 GB free",
        "✗ disk of the store: nearly full, delivered webhooks are deleted early, 3.0 GB free",
        "✗ disk of the store: full, webhooks are refused unless delivered ones make room, 3.0 GB free",
        "✓ disk of the store: enough room again, after 4 min",
    ]


def test_a_refused_file_is_told_once_until_one_is_taken() -> None:
    desk = Desk()
    bad = Reloaded(
        file="/etc/relay/routes.yaml",
        problems=["/etc/relay/routes.yaml:41:5  targets.bot: unknown key 'ulr'", "another"],
    )
    desk.on(bad, bad)
    [line] = desk.runs(MINUTE)
    assert line.startswith("✗ routes file: the newer version is refused, the old one stays in force: routes.yaml:41:5")
    assert line.endswith("(and 1 more)")
    desk.on(Reloaded(file="routes.yaml", activated=["routes"]))
    assert desk.runs(MINUTE) == ["✓ routes file: the newer version is in force again"]
    desk.on(Reloaded(file="routes.yaml", activated=["routes"]))
    assert desk.runs(MINUTE) == []


def test_a_database_that_is_away_is_told_once_it_has_been_for_half_a_minute() -> None:
    desk = Desk(relay="relay-a")
    desk.on(SpoolingBegan(why="canary", under_way=0))
    desk.runs(seconds(20))
    desk.on(SpoolingEnded(why="canary", took=seconds(20), forwarded=7))
    assert desk.runs(HOUR) == []
    desk.on(SpoolingBegan(why="canary", under_way=0))
    assert desk.runs(MINUTE) == ["✗ relay-a: PostgreSQL away since 13:00: webhooks are kept in the spool"]
    desk.on(SpoolingEnded(why="canary", took=MINUTE, forwarded=7))
    assert desk.runs(MINUTE) == ["✓ relay-a: PostgreSQL back again after 1 min: 7 webhooks of the spool were stored"]


def test_the_webhook_in_amocrm_is_told_when_it_breaks_and_when_it_is_mended_but_not_while_the_api_is_away() -> None:
    desk = Desk()

    def seen(state: SubscriptionState, before: SubscriptionState | None) -> SubscriptionChanged:
        return SubscriptionChanged(source="crm", state=state, before=before, detail="canary")

    ok, off, away = SubscriptionState.OK, SubscriptionState.DISABLED, SubscriptionState.API_AWAY
    desk.on(seen(ok, None), seen(away, ok), seen(ok, away))
    assert desk.runs(MINUTE) == []
    desk.on(seen(off, ok), seen(off, off))
    assert desk.runs(MINUTE) == ["✗ crm: the webhook in amoCRM is not in order: switched off"]
    desk.on(seen(ok, off))
    assert desk.runs(MINUTE) == ["✓ crm: the webhook in amoCRM is in order again"]


# ---- accounts


def asked(outcome: AccountOutcome = AccountOutcome.OK) -> AccountAsked:
    return AccountAsked(account="main", outcome=outcome)


def token(ends_at: datetime | None) -> AccountTokenRead:
    return AccountTokenRead(account="main", expires_at=ends_at)


def test_a_token_that_ends_is_told_once_for_each_threshold_and_once_when_there_is_another() -> None:
    desk = Desk()
    ends_at = NOON + DAY * 30
    said = []
    for left in (31, 30, 7, 1, 0):
        desk.now = ends_at - DAY * left
        desk.on(token(ends_at))
        if left < 31:
            desk.on(*(AccountTokenEnds(account="main", days=left, expires_at=ends_at) for _ in range(3)))
        said += desk.runs(MINUTE)
    advice = ". Look: relay account check main"
    assert said == [
        f"✗ account main: its token ends within thirty days, 30.12. 12:00{advice}",
        f"✗ account main: its token ends within seven days, 30.12. 12:00{advice}",
        f"✗ account main: its token ends within a day, 30.12. 12:00{advice}",
        f"✗ account main: its token has ended{advice}",
    ]
    desk.on(token(desk.now + DAY * 365))
    assert desk.runs(MINUTE) == ["✓ account main: its API can be asked, and its token is good"]
    desk.on(token(desk.now + DAY * 365))
    assert desk.runs(HOUR) == []


def test_a_grant_that_is_lost_is_told_with_the_end_of_the_last_token_and_when_it_is_given_again() -> None:
    desk = Desk()
    ends_at = NOON + HOUR
    desk.on(AccountGrantLost(account="main", detail="canary", ends_at=ends_at), token(ends_at))
    desk.on(asked(AccountOutcome.UNAUTHORIZED))
    [line] = desk.runs(MINUTE * 5)
    assert line.startswith("✗ account main: amoCRM does not renew its grant any more, or there is none; the last token")
    assert "ends 13:00" in line
    desk.on(asked(), token(NOON + DAY * 90))
    assert [each[:15] for each in desk.runs(MINUTE)] == ["✓ account main:"]


def test_a_block_and_a_token_that_stays_refused_are_told_but_not_one_that_is_renewed_at_once() -> None:
    desk = Desk()
    desk.on(asked(AccountOutcome.UNAUTHORIZED), asked())
    assert desk.runs(HOUR) == []
    desk.on(asked(AccountOutcome.UNAUTHORIZED))
    assert desk.runs(seconds(20)) == []
    desk.on(asked(AccountOutcome.UNAUTHORIZED))
    [line] = desk.runs(MINUTE)
    assert "amoCRM refuses its token (401)" in line
    desk.on(AccountBlocked(account="main", detail="canary"), asked(AccountOutcome.AWAY))
    [line] = desk.runs(MINUTE)
    assert "amoCRM has blocked its API" in line
    desk.on(asked())
    assert [each[:15] for each in desk.runs(MINUTE)] == ["✓ account main:"]


def test_what_is_wrong_with_an_account_is_told_once_over_a_restart_and_by_one_relay_of_two() -> None:
    relays = Relays("a", "b")
    lost = AccountGrantLost(account="main", detail="", ends_at=None)
    for each in relays.desks.values():
        each.on(lost)
    assert len(relays.runs(MINUTE)) == 1
    relays.leader = "b"
    assert relays.runs(HOUR) == []
    desk = relays.desks["b"].restarted()
    desk.on(lost)
    assert desk.runs(MINUTE) == []
    desk.on(token(desk.now + DAY * 90))
    assert len(desk.runs(MINUTE)) == 1


# ---- counts


def test_deaths_are_grouped_with_the_first_reason_and_the_rest_ten_minutes_later() -> None:
    desk = Desk()
    desk.on(attempted(status=422), *(attempted(status=400) for _ in range(36)))
    assert desk.runs(MINUTE) == ["✗ bot: 37 deliveries are dead: 422. Look why, then: relay replay --target bot"]
    desk.on(attempted())
    assert desk.runs(MINUTE * 7) == []
    desk.on(attempted())
    [line] = desk.runs(MINUTE * 3)
    assert line.startswith("✗ bot: 2 deliveries are dead: 400")
    assert desk.sent[-1][1].link == "https://relay.example/deliveries?state=dead&target=bot"


def test_webhooks_that_were_not_readable_are_counted_by_source() -> None:
    desk = Desk()
    desk.on(*(stored(unparsed="canary") for _ in range(3)), stored("shop", unparsed="canary"), stored("shop"))
    assert desk.runs(MINUTE) == [
        "✗ crm: 3 webhooks were not readable, and are kept: relay list --unparsed",
        "✗ shop: 1 webhook was not readable, and is kept: relay list --unparsed",
    ]


def test_what_was_healed_and_what_waits_is_told() -> None:
    desk = Desk()
    verdicts = (
        Healed("leads.add", "exact", HealState.HEALED, 2),
        Healed("leads.status", "exact", HealState.HEALED, 1),
        Healed("leads.add", "exact", HealState.WAITING, 5),
        Healed("leads.add", "exact", HealState.MATCHED, 100),
    )
    desk.on(
        SourceScanned(
            source="crm", verdicts=verdicts, late=0, orphans=0, stopped=(), differences=(), drift=None, expired=0,
            scanned_upto=NOON,
        )
    )  # fmt: skip
    assert desk.runs(MINUTE) == [
        "✗ crm: 5 lost webhooks wait for approval: relay heal approve crm",
        "✓ crm: 3 webhooks were lost, and their events are healed",
    ]


# ---- silence


def test_a_silent_source_is_told_once_and_once_when_it_is_heard_again() -> None:
    desk = Desk(to(silence={"crm": HOUR}))
    desk.on(stored(at=desk.now))
    assert desk.runs(HOUR) == []
    assert desk.runs(HOUR * 2) == ["✗ crm: no webhook since 12:00, for 1 h"]
    desk.on(stored(at=desk.now))
    assert desk.runs(MINUTE) == ["✓ crm: webhooks come again"]
    assert desk.runs(MINUTE * 50) == []


def test_a_source_of_which_nothing_ever_came_is_silent_too() -> None:
    desk = Desk(to(silence={"crm": HOUR}), to("mail"))
    assert desk.runs(HOUR * 2) == ["✗ crm: no webhook yet, for 1 h"]


def test_silence_while_the_relay_was_down_is_none_of_a_source_that_is_heard_soon_after() -> None:
    before = Desk(to(silence={"crm": HOUR}))
    before.on(stored(at=before.now))
    before.runs(MINUTE)
    before.now += HOUR * 9
    desk = before.restarted(to(silence={"crm": HOUR}))
    assert desk.runs(MINUTE) == []
    desk.on(stored(at=desk.now))
    assert desk.runs(MINUTE * 30) == []


# ---- quiet hours

QUIET = Quiet(begins=time(22), ends=time(8), exempt=frozenset({Kind.DISK}))


def test_a_night_is_summed_up_at_its_end_and_what_is_exempt_comes_at_once() -> None:
    desk = Desk(to(quiet=QUIET), at=datetime(2026, 11, 30, 23, tzinfo=UTC))
    desk.on(opened("bot"), opened("erp"))
    desk.runs(HOUR)
    desk.on(closed("bot"), *(attempted("erp") for _ in range(5)))
    desk.on(DiskSpaceChanged(level=DiskSpace.LOW, folder="", free=None))
    assert desk.runs(HOUR) == ["✗ disk of the store: nearly full, delivered webhooks are deleted early"]
    desk.on(*(attempted("erp") for _ in range(6)))
    assert desk.runs(HOUR * 7 - seconds(10)) == []
    assert desk.runs(MINUTE) == [
        "✗ erp: circuit open since 30.11. 23:00: 10 failures in a row, the last one 503. Its deliveries wait",
        "✗ erp: 11 deliveries are dead: 400. Look why, then: relay replay --target erp",
        "✓ bot: circuit open for 1 h: 10 failures in a row, the last one 503, back again",
    ]
    assert len([at for at, _ in desk.sent]) == 2


# ---- restarts


def test_a_restart_tells_nothing_twice() -> None:
    before = Desk()
    before.on(opened(), attempted(), DiskSpaceChanged(level=DiskSpace.LOW, folder="", free=None))
    assert len(before.runs(MINUTE)) == 3
    desk = before.restarted()
    desk.on(opened(), DiskSpaceChanged(level=DiskSpace.LOW, folder="", free=None))
    assert desk.runs(HOUR) == []
    desk.on(closed(), attempted())
    assert sorted(line[:6] for line in desk.runs(MINUTE)) == ["✓ bot:", "✗ bot:"]


def test_what_was_not_sent_before_a_restart_is_sent_after_it() -> None:
    before = Desk()
    before.takes = False
    before.on(opened())
    assert before.runs(MINUTE) == []
    assert len(before.restarted().runs(MINUTE)) == 1


def test_what_was_being_sent_at_a_kill_is_sent_after_it() -> None:
    before = Desk()
    before.on(opened(), attempted())
    [digest] = before.ledger.digests
    assert digest.take(before.now + MINUTE, lambda at: at)
    assert len(before.restarted().runs(MINUTE)) == 2


def test_a_late_success_of_a_target_that_is_still_away_after_a_restart_is_no_news() -> None:
    before = Desk()
    before.on(opened())
    before.runs(MINUTE)
    desk = before.restarted()
    desk.on(opened(), attempted(delivered=True))
    assert desk.runs(MINUTE) == []
    desk.on(closed())
    assert len(desk.runs(MINUTE)) == 1


def test_what_ended_while_nothing_ran_is_told_to_have_ended() -> None:
    before = Desk()
    before.on(
        opened(),
        DiskSpaceChanged(level=DiskSpace.LOW, folder="", free=None),
        Reloaded(file="routes.yaml", problems=["bad"]),
    )
    before.runs(MINUTE)
    desk = before.restarted()
    desk.on(attempted(delivered=True))
    said = desk.runs(MINUTE * 2)
    assert {line.partition(":")[0] for line in said} == {"✓ bot", "✓ disk of the store", "✓ routes file"}


def test_a_target_that_the_routes_no_longer_name_is_forgotten() -> None:
    before = Desk()
    before.on(opened())
    before.runs(MINUTE)
    before.on(ConfigActivated(sources=["crm"], targets=["erp"], routes=[]))
    before.on(ConfigActivated(sources=["crm"], targets=["erp", "bot"], routes=[]))
    before.on(opened())
    assert len(before.runs(MINUTE)) == 1


# ---- receivers that fail


def test_what_cannot_be_sent_is_sent_with_what_came_meanwhile_after_a_growing_pause() -> None:
    desk = Desk()
    desk.takes = False
    desk.on(opened(), *(attempted() for _ in range(3)))
    desk.runs(MINUTE * 30)
    desk.on(closed(), attempted())
    desk.takes = True
    assert desk.runs(MINUTE * 6) == [
        "✗ bot: 4 deliveries are dead: 400. Look why, then: relay replay --target bot",
        "✓ bot: circuit open for 30 min: 10 failures in a row, the last one 503, back again",
    ]


def test_what_cannot_be_sent_for_a_day_is_given_up() -> None:
    desk = Desk()
    desk.on(opened())
    [digest] = desk.ledger.digests
    lost = 0
    for _ in range(60 * 25):
        desk.now += MINUTE
        if digest.take(desk.now, lambda at: at):
            lost += digest.failed(desk.now)
    assert lost == 1
    assert digest.waiting == 0


def test_a_receiver_is_asked_again_no_sooner_than_it_asked_for() -> None:
    desk = Desk()
    desk.on(opened())
    [digest] = desk.ledger.digests
    desk.now += MINUTE
    assert digest.take(desk.now, lambda at: at)
    digest.failed(desk.now, asked=timedelta(seconds=77))
    assert not digest.take(desk.now + seconds(76), lambda at: at)
    assert digest.take(desk.now + seconds(77), lambda at: at)


# ---- several relays


class Relays:
    """Relays that publish their reports; one of them leads, and tells what is in the database."""

    def __init__(self, *names: str, **settings: object) -> None:
        self.desks = {name: Desk(to(**settings), relay=name) for name in names}
        self.reports: dict[str, object] = {}
        self.leader = names[0]

    def runs(self, span: timedelta) -> Sequence[str]:
        before = {name: len(each.sent) for name, each in self.desks.items()}
        step = _step(span)
        for _ in range(int(span / step)):
            for name, each in self.desks.items():
                each.now += step
                if name == self.leader:
                    each.turn(self.reports)
                else:
                    each.ledger.look(each.now)
                    for digest, entries in each.ledger.due(each.now, lambda at: at):
                        speaker = Speaker(language=Language.EN, name="acme", relay=name, local=lambda at: at)
                        each.sent.append((each.now, notification(entries, speaker, console="", now=each.now)))
                        digest.sent(each.now)
                self.reports[name] = orjson.loads(orjson.dumps(each.ledger.counts.report()))
        return [
            line.text
            for name, each in self.desks.items()
            for _, said in each.sent[before[name] :]
            for line in said.lines
        ]


def test_two_relays_tell_once_what_is_in_the_database_and_each_its_own_circuit() -> None:
    relays = Relays("a", "b", silence={"crm": HOUR})
    for each in relays.desks.values():
        each.on(opened(), *(attempted() for _ in range(5)), stored(unparsed="canary", at=each.now))
    assert sorted(relays.runs(MINUTE)) == [
        "✗ a: bot: circuit open since 12:00: 10 failures in a row, the last one 503. Its deliveries wait",
        "✗ b: bot: circuit open since 12:00: 10 failures in a row, the last one 503. Its deliveries wait",
        "✗ bot: 10 deliveries are dead: 400. Look why, then: relay replay --target bot",
        "✗ crm: 2 webhooks were not readable, and are kept: relay list --unparsed",
    ]
    assert relays.runs(HOUR * 2) == ["✗ crm: no webhook since 12:00, for 1 h"]


def test_another_relay_that_leads_tells_nothing_again() -> None:
    relays = Relays("a", "b", silence={"crm": HOUR})
    for each in relays.desks.values():
        each.on(attempted())
    assert len(relays.runs(HOUR * 2)) == 2
    relays.leader = "b"
    assert relays.runs(HOUR) == []
    relays.desks["a"].on(attempted())
    relays.desks["b"].on(stored(at=relays.desks["b"].now))
    assert sorted(line[:8] for line in relays.runs(MINUTE)) == ["✓ crm: w", "✗ bot: 1"]
    relays.leader = "a"
    assert relays.runs(MINUTE * 50) == []


def test_a_relay_hears_a_source_for_all() -> None:
    relays = Relays("a", "b", silence={"crm": HOUR})
    for _ in range(10):
        relays.desks["b"].on(stored(at=relays.desks["b"].now))
        assert relays.runs(MINUTE * 30) == []


def test_a_relay_that_was_away_from_the_database_has_told_its_own_already() -> None:
    relays = Relays("a", "b")
    away = relays.desks["b"]
    away.on(attempted())
    assert len(away.runs(MINUTE)) == 1  # as it tells for itself
    relays.desks["a"].now = away.now
    assert relays.runs(HOUR) == []


def test_what_was_told_before_the_report_of_the_process_before_could_be_read_is_not_told_again() -> None:
    before = Desk(relay="a")
    before.on(*(attempted() for _ in range(10)))
    before.runs(MINUTE)
    desk = Desk(relay="a", at=before.now)
    desk.on(*(attempted() for _ in range(3)))
    [line] = desk.runs(MINUTE)
    assert line.startswith("✗ bot: 3 deliveries")
    desk.ledger.counts.begin(orjson.loads(orjson.dumps(before.ledger.counts.report())))
    assert desk.runs(HOUR) == []
    desk.on(attempted())
    [line] = desk.runs(MINUTE)
    assert line.startswith("✗ bot: 1 delivery")


# ---- no secret, and nothing personal


def test_no_notification_has_text_of_a_target_or_of_a_webhook() -> None:
    desk = Desk()
    desk.on(opened(), attempted(), stored(unparsed="canary: +7999"), opened("erp", detail="connect canary refused"))
    desk.on(SubscriptionChanged(source="crm", state=SubscriptionState.MISSING, before=None, detail="canary"))
    desk.on(SpoolingBegan(why="canary", under_way=1), opened("odd", detail="canary"))
    assert len(desk.runs(MINUTE)) == 7
    said = orjson.dumps([each.document() for _, each in desk.sent]).decode()
    assert "canary" not in said
    assert "7999" not in said
    assert "canary" not in orjson.dumps([desk.ledger.stored(), desk.ledger.counts.report()]).decode()


# ---- in Russian


def test_the_same_in_russian_with_its_three_plurals() -> None:
    desk = Desk(to(language=Language.RU))
    said = []
    for target, number in (("a", 1), ("b", 3), ("c", 12), ("d", 21)):
        desk.on(*(attempted(target) for _ in range(number)))
    said = desk.runs(MINUTE)
    assert [line.partition(":")[2].partition(":")[0].strip() for line in said] == [
        "прекращена 1 доставка",
        "прекращены 3 доставки",
        "прекращено 12 доставок",
        "прекращена 21 доставка",
    ]
    desk.on(opened())
    assert desk.runs(MINUTE) == ["✗ bot не принимает с 12:01: 10 ошибок подряд, последняя — 503. Доставки ждут"]
