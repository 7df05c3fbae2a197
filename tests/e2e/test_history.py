"""The checker itself: a good history is found good, and each kind of bad one is found bad."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import aiohttp
import pytest

from tests.e2e.history import Findings, Received, Sent, judge, overtaken
from tests.e2e.targets import listening, slow

EVENT = {"type": "leads.status", "data": {"id": 7, "name": "m1"}}
SENT = Sent(marker="m1", targets=frozenset({"bot", "dwh"}), event=EVENT, acknowledged=True)
UNKNOWN = replace(SENT, acknowledged=False)


def arrived(target: str, *, attempt: int = 1, accepted: bool = True, event_id: str = "e1", **event: Any) -> Received:
    body = {"id": event_id, "timestamp": "2026-11-22T12:00:00.000Z"} | EVENT | event
    return Received(
        target=target,
        marker=body["data"]["name"],
        event_id=event_id,
        attempt=attempt,
        body=json.dumps(body).encode(),
        accepted=accepted,
    )


BOTH = [arrived("bot"), arrived("dwh")]


def test_a_history_in_which_all_arrived_has_no_findings() -> None:
    assert judge([SENT], BOTH) == Findings()


def test_a_retry_after_a_refusal_is_no_finding() -> None:
    assert judge([SENT], [arrived("bot", accepted=False), arrived("bot", attempt=2), arrived("dwh")]) == Findings()


def test_what_never_arrived_is_lost() -> None:
    assert judge([SENT], []).lost == {("bot", "m1"), ("dwh", "m1")}


def test_what_was_only_ever_refused_is_lost() -> None:
    assert judge([SENT], [arrived("bot"), arrived("dwh", accepted=False)]).lost == {("dwh", "m1")}


def test_what_arrived_at_the_wrong_target_alone_is_lost_and_unexpected() -> None:
    findings = judge([replace(SENT, targets=frozenset({"bot"}))], [arrived("dwh")])
    assert (findings.lost, findings.unexpected) == ({("bot", "m1")}, {("dwh", "m1")})


def test_what_is_dead_is_not_lost() -> None:
    assert judge([SENT], [arrived("bot"), arrived("dwh", accepted=False)], dead=[("dwh", "m1")]) == Findings()


def test_an_unacknowledged_webhook_may_be_missing() -> None:
    assert judge([UNKNOWN], []) == Findings()


def test_an_unacknowledged_webhook_that_arrives_counts_as_recovered() -> None:
    assert judge([UNKNOWN], BOTH) == Findings(recovered=frozenset({("bot", "m1"), ("dwh", "m1")}))


@pytest.mark.parametrize("accepted", [True, False])
def test_a_webhook_that_reaches_one_target_must_reach_all(accepted: bool) -> None:
    assert ("dwh", "m1") in judge([UNKNOWN], [arrived("bot", accepted=accepted)]).lost


def test_what_nobody_sent_is_unexpected() -> None:
    stranger = arrived("bot", data={"id": 8, "name": "m2"})
    assert judge([SENT], [*BOTH, stranger]).unexpected == {("bot", "m2")}


def test_what_was_taken_three_times_is_duplicated_twice() -> None:
    findings = judge([SENT], [*BOTH, arrived("bot", attempt=2), arrived("bot", attempt=3)])
    assert findings == Findings(duplicated={("bot", "m1"): 2})
    assert (findings.repeats("bot"), findings.repeats("dwh")) == (2, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        arrived("bot", data={"id": 8, "name": "m1"}),
        arrived("bot", more="than was sent"),
        arrived("bot", type="leads.add"),
        arrived("bot", timestamp="2026-11-22T12:00:01.000Z"),
        arrived("bot", event_id="e2"),
        replace(arrived("bot"), event_id="e2"),
    ],
    ids=["data", "an extra member", "type", "another time than elsewhere", "another id than elsewhere", "header"],
)
def test_another_event_than_was_sent_is_mismatched(wrong: Received) -> None:
    assert judge([SENT], [arrived("dwh"), wrong]).mismatched == {("bot", "m1")}


def test_the_first_request_is_compared_with_what_was_sent() -> None:
    assert judge([SENT], [arrived("bot", type="leads.add"), arrived("dwh", type="leads.add")]).mismatched == {
        ("bot", "m1"),
        ("dwh", "m1"),
    }


def test_an_attempt_number_that_comes_twice_is_mismatched() -> None:
    assert judge([SENT], [*BOTH, arrived("bot")]).mismatched == {("bot", "m1")}


def test_the_line_counts_each_class() -> None:
    findings = judge([SENT, replace(UNKNOWN, marker="m9")], [arrived("bot"), arrived("bot", attempt=2)])
    assert str(findings) == "lost 1, unexpected 0, mismatched 0, duplicated 1, recovered 0"


# ---- several relays


def sent(marker: str, began: float, *, key: str = "7", via: str = "a", acknowledged: bool = True) -> Sent:
    """Answered one second later."""
    return replace(SENT, marker=marker, began=began, ended=began + 1, key=key, via=via, acknowledged=acknowledged)


def taken(*markers: str) -> list[Received]:
    return [replace(arrived("bot"), marker=marker) for marker in markers]


def test_what_is_taken_after_a_later_one_of_its_key_was_overtaken() -> None:
    history = [sent("m1", 0), sent("m2", 2), sent("m3", 4)]
    assert overtaken(history, taken("m1", "m2", "m3"), "bot") == set()
    assert overtaken(history, taken("m2", "m1", "m3"), "bot") == {"m1"}
    assert overtaken(history, taken("m3", "m1", "m2"), "bot") == {"m1", "m2"}


def test_a_repeat_of_an_older_one_is_not_overtaken() -> None:
    assert overtaken([sent("m1", 0), sent("m2", 2)], taken("m1", "m2", "m1"), "bot") == set()


@pytest.mark.parametrize(
    "other",
    [sent("m2", 0.5), sent("m2", 2, key="8"), sent("m2", 2, via="b")],
    ids=["at the same time", "another key", "another relay"],
)
def test_only_one_key_and_one_way_have_an_order(other: Sent) -> None:
    assert overtaken([sent("m1", 0), other], taken("m2", "m1"), "bot") == set()


def test_the_order_of_all_ways_can_be_asked_for() -> None:
    history = [sent("m1", 0), sent("m2", 2, via="b")]
    assert overtaken(history, taken("m2", "m1"), "bot", anywhere=True) == {"m1"}


def test_one_that_was_not_answered_has_no_place_in_the_order() -> None:
    history = [sent("m1", 0, acknowledged=False), sent("m2", 2)]
    assert overtaken(history, taken("m2", "m1"), "bot") == set()


@pytest.mark.parametrize(("leads", "at_once"), [((7, 7), 1), ((7, 8), 0)])
async def test_two_of_one_key_at_once_are_counted(leads: tuple[int, int], at_once: int) -> None:
    async with listening(bot=slow(0.2)) as targets, aiohttp.ClientSession() as session:
        posts = [session.post(targets.url("bot"), json={"data": {"name": "m1", "id": lead}}) for lead in leads]
        await asyncio.gather(*posts)
        await session.post(targets.url("bot"), json={"data": {"name": "m1", "id": leads[0]}})
    assert targets.of_one_key_at_once["bot"] == at_once
