"""`relay.delivery.lane_states` as a table: every state under every event, and what the lane may do in each state."""

from itertools import product

import pytest

from relay.delivery.lane_states import AT_REST, TRANSITIONS, Backlog, Claims, LaneEvent, Mode, States
from relay.model import Health

RUNNING, PAUSED, STOPPING = Mode
OK, OPEN, PROBING = Health.OK, Health.OPEN, Health.PROBING
CAUGHT_UP, BEHIND, CLAIMING, CLAIM_DUE, CLAIM_BEHIND = Backlog

MODES = {
    LaneEvent.PAUSED: [PAUSED, PAUSED, STOPPING],
    LaneEvent.RESUMED: [RUNNING, RUNNING, STOPPING],
    LaneEvent.STOPPED: [STOPPING, STOPPING, STOPPING],
}
CIRCUITS = {
    LaneEvent.OPENED: [OPEN, OPEN, OPEN],
    LaneEvent.PROBE_CLAIMED: [OK, PROBING, PROBING],
    LaneEvent.CLOSED: [OK, OK, OK],
}
BACKLOGS = {
    LaneEvent.RESUMED: [CLAIM_DUE, CLAIM_BEHIND, CLAIM_DUE, CLAIM_DUE, CLAIM_BEHIND],
    LaneEvent.CLOSED: [CLAIM_DUE, CLAIM_BEHIND, CLAIM_DUE, CLAIM_DUE, CLAIM_BEHIND],
    LaneEvent.DUE: [CLAIM_DUE, CLAIM_BEHIND, CLAIM_DUE, CLAIM_DUE, CLAIM_BEHIND],
    LaneEvent.LEFT: [BEHIND, BEHIND, CLAIM_BEHIND, CLAIM_BEHIND, CLAIM_BEHIND],
    LaneEvent.CLAIM_BEGAN: [CAUGHT_UP, BEHIND, CLAIMING, CLAIMING, CLAIMING],
    LaneEvent.CLAIMS_ENDED: [CAUGHT_UP, BEHIND, CAUGHT_UP, BEHIND, BEHIND],
}
"""By event, what becomes of each state, in the order of the enumeration; an event that is not named changes nothing."""


def states(mode: Mode = RUNNING, circuit: Health = OK, backlog: Backlog = CAUGHT_UP) -> States:
    """A lane's, in these states, by the events that lead there."""
    made = States()
    for event in {
        CAUGHT_UP: [LaneEvent.DUE, LaneEvent.CLAIM_BEGAN, LaneEvent.CLAIMS_ENDED],
        BEHIND: [],
        CLAIMING: [LaneEvent.DUE, LaneEvent.CLAIM_BEGAN],
        CLAIM_DUE: [LaneEvent.DUE, LaneEvent.CLAIM_BEGAN, LaneEvent.DUE],
        CLAIM_BEHIND: [LaneEvent.DUE],
    }[backlog]:
        made.on(event)
    for event in {
        OK: [],
        OPEN: [LaneEvent.OPENED],
        PROBING: [LaneEvent.OPENED, LaneEvent.PROBE_CLAIMED],
    }[circuit]:
        made.on(event)
    for event in {RUNNING: [], PAUSED: [LaneEvent.PAUSED], STOPPING: [LaneEvent.STOPPED]}[mode]:
        made.on(event)
    assert (made.mode, made.circuit, made.backlog) == (mode, circuit, backlog)
    return made


ALL = list(product(Mode, (OK, OPEN, PROBING), Backlog))


@pytest.mark.parametrize("event", LaneEvent)
def test_every_state_takes_every_event(event: LaneEvent) -> None:
    for mode, circuit, backlog in ALL:
        made = states(mode, circuit, backlog)
        begins = made.on(event)
        assert made.mode is MODES.get(event, [*Mode])[[*Mode].index(mode)]
        assert made.circuit is CIRCUITS.get(event, [OK, OPEN, PROBING])[[OK, OPEN, PROBING].index(circuit)]
        assert made.backlog is BACKLOGS.get(event, [*Backlog])[[*Backlog].index(backlog)]
        assert begins == (backlog in AT_REST and made.backlog not in AT_REST), "one task claims at a time"


def test_the_table_names_every_event() -> None:
    assert set(TRANSITIONS) == set(LaneEvent)


@pytest.mark.parametrize(
    ("mode", "circuit", "claims", "keeps_queue"),
    [
        (RUNNING, OK, Claims.ALL, True),
        (RUNNING, OPEN, Claims.PROBE, False),
        (RUNNING, PROBING, Claims.NOTHING, True),
        (PAUSED, OK, Claims.NOTHING, False),
        (PAUSED, OPEN, Claims.NOTHING, False),
        (PAUSED, PROBING, Claims.NOTHING, False),
        (STOPPING, OK, Claims.NOTHING, False),
        (STOPPING, OPEN, Claims.NOTHING, False),
        (STOPPING, PROBING, Claims.NOTHING, False),
    ],
)
def test_what_is_claimed_and_queued_depends_on_mode_and_circuit(
    mode: Mode, circuit: Health, claims: Claims, keeps_queue: bool
) -> None:
    for backlog in Backlog:
        made = states(mode, circuit, backlog)
        assert (made.claims, made.keeps_queue, made.queues) == (claims, keeps_queue, claims is Claims.ALL)
        assert made.stopping is (mode is STOPPING)


def test_only_a_lane_that_may_claim_everything_and_is_not_behind_admits_what_is_claimed_at_insert() -> None:
    admit = {each for each in ALL if states(*each).admits}
    assert admit == {(RUNNING, OK, backlog) for backlog in (CAUGHT_UP, CLAIMING, CLAIM_DUE)}


def test_a_new_lane_has_to_look_into_the_store_first() -> None:
    made = States()
    assert (made.mode, made.circuit, made.backlog, made.admits) == (RUNNING, OK, BEHIND, False)
