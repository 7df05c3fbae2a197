"""The checker itself: a good history is found good, and each kind of bad one is found bad."""

import json
from dataclasses import replace
from typing import Any

import pytest

from tests.e2e.history import Findings, Received, Sent, judge

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
