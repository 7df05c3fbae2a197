"""`relay.operations.health`: an overview -> 0, 1 or 2 and one line, for monitors without Prometheus."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from string import Formatter

import pytest

from relay.model import Health
from relay.operations.documents.status import StatusDocument
from relay.operations.finding_texts import TEXTS, Kind
from relay.operations.health import Level, failed, judge
from relay.operations.status import FILES, status_document
from relay.operations.translatable import Plural
from relay.store.records import AckGap, Disk, HealthReport, Pause, RelayStanding, Report, Status, TargetStatus

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RELAY = RelayStanding(name="a", host="m1", pid=7, version="1", since=NOON, seen_at=NOON)
OPEN = HealthReport(health=Health.OPEN, since=NOON - MINUTE, as_of=NOON, error="503", probe_at=NOON + MINUTE)
RUNNING = Status(relays=(RELAY,), last_at=NOON - MINUTE)
LOST = AckGap(count=3, after=None, noticed_at=NOON)


def seen(status: Status = RUNNING, *, routed: frozenset[str] = frozenset({"crm"}), **target: object) -> StatusDocument:
    one = TargetStatus(**target)  # type: ignore[arg-type]
    return status_document(replace(status, targets={"crm": one}), now=NOON, routed=routed)


@pytest.mark.parametrize(
    ("overview", "level", "says"),
    [
        (seen(), Level.OK, "OK: 1 targets, 0 pending, last webhook 1 min ago"),
        (seen(replace(RUNNING, last_at=None)), Level.OK, "no webhook yet"),
        (seen(pending=2, oldest_at=NOON - MINUTE), Level.OK, "2 pending"),
        (seen(pending=2, oldest_at=NOON - 20 * MINUTE), Level.CRITICAL, "crm: 2 pending, the oldest for 20 min"),
        (seen(dead=3), Level.WARNING, "crm: 3 dead"),
        (seen(pause=Pause(at=NOON - MINUTE, who="olga")), Level.WARNING, "crm: paused 1 min ago"),
        (seen(condition=OPEN), Level.CRITICAL, "crm: circuit open 1 min ago: answers with errors (503)"),
        (
            seen(condition=replace(OPEN, probe_at=NOON - MINUTE)),
            Level.WARNING,
            "crm: failing: answers with errors (503)",
        ),
        (seen(condition=replace(OPEN, health=Health.OK)), Level.WARNING, "crm: failing"),
        (seen(replace(RUNNING, relays=())), Level.CRITICAL, "no daemon runs"),
        (seen(replace(RUNNING, losses=(LOST,))), Level.CRITICAL, "at most 3 webhooks are missing"),
        (seen(replace(RUNNING, unparsed=4)), Level.WARNING, "4 unparsed"),
        (seen(replace(RUNNING, disk=Disk(total=10, free=1))), Level.WARNING, "disk"),
        (
            seen(replace(RUNNING, reports={FILES: Report(as_of=NOON, value={"loaded": [], "refused": [{}]})})),
            Level.WARNING,
            "the routes file on disk is not what runs: refused now",
        ),
        (seen(pending=1, routed=frozenset()), Level.WARNING, "crm: 1 pending, and not in the routes"),
    ],
)
def test_one_line_says_whether_a_person_is_needed(overview: StatusDocument, level: Level, says: str) -> None:
    verdict = judge(overview)
    assert verdict.level is level
    assert says in verdict.text
    assert verdict.text.startswith(f"{level.name}: ")


def test_the_worst_comes_first() -> None:
    verdict = judge(seen(replace(RUNNING, unparsed=1), dead=2, condition=OPEN))
    assert verdict.text == "CRITICAL: crm: circuit open 1 min ago: answers with errors (503); 1 unparsed; crm: 2 dead"


def test_a_store_that_cannot_be_asked_is_critical_in_one_line() -> None:
    assert failed("no database\n here").text == "CRITICAL: no database here"


# ---- its texts


@pytest.mark.parametrize("kind", Kind)
def test_each_kind_has_texts_that_need_no_more_than_is_measured(kind: Kind) -> None:
    texts, english = TEXTS[kind], {"name", "count", "age", "ago", "state", "why"}
    assert holes(texts.line) | holes(texts.advice) <= english
    assert holes(texts.title) <= {"name", "count", "age", "why"} and holes(texts.remedy) <= {"why"}


def holes(text: str | Plural) -> set[str]:
    texts = text if isinstance(text, Plural) else (text,)
    return {name for each in texts for _, name, _, _ in Formatter().parse(each) if name}
