"""The states of a lane, and the events that change them -> what the lane may do. Pure.

The lane, its circuit and its prefetcher report events and ask what the lane may do. Counts and times are not here: the
circuit's are in `breaker`, the share of `concurrency` in `relay_share`. A lane is in one state of each of three kinds:

Mode      RUNNING ◀─▶ PAUSED, both ─▶ STOPPING              what operators and the daemon want
Health    OK ─▶ OPEN ◀─▶ PROBING, both ─▶ OK                the circuit: closed, open, half-open
Backlog   CAUGHT_UP ─due─▶ CLAIM_DUE ─begins─▶ CLAIMING ─ends─▶ CAUGHT_UP       due deliveries that only the store has
          BEHIND ─due─▶ CLAIM_BEHIND ─begins─▶ CLAIMING ─due─▶ CLAIM_DUE        due: something may be claimable
          CAUGHT_UP ─left─▶ BEHIND, CLAIM_DUE and CLAIMING ─left─▶ CLAIM_BEHIND left: a due delivery stays in the store
          CLAIM_DUE and CLAIM_BEHIND ─ends─▶ BEHIND                             ends: no claim is under way

Due work is never forgotten: every event that may make work claimable starts a claim, or has the present one repeated;
claims that end without all of it leave Backlog BEHIND, and the prefetcher sets a timer to look again.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from relay.model import Health


class Mode(Enum):
    """`PAUSED`: attempts in flight end, no other begins. `STOPPING` is the last state."""

    RUNNING = auto()
    PAUSED = auto()
    STOPPING = auto()


class Backlog(Enum):
    """What the lane knows of due deliveries that are in the store but not in its queue, and whether it claims them."""

    CAUGHT_UP = auto()  # there are none, so a new delivery may be claimed at insert
    BEHIND = auto()  # there may be some: a new delivery has to queue up behind them, in the store
    CLAIMING = auto()  # a claim takes them; what comes from now on may be claimed at insert
    CLAIM_DUE = auto()  # a claim is to follow, after the one under way if there is one: something has fallen due
    CLAIM_BEHIND = auto()  # as CLAIM_DUE and BEHIND; a claim need not follow while the queue is well filled


class LaneEvent(Enum):
    """What happens to a lane."""

    PAUSED = auto()
    RESUMED = auto()
    STOPPED = auto()
    OPENED = auto()  # the circuit; also if the probe is given back unsent
    PROBE_CLAIMED = auto()  # it is half-open
    CLOSED = auto()
    DUE = auto()  # a delivery may have fallen due, or the queue has room again
    LEFT = auto()  # a due delivery was left in the store, or given back to it
    CLAIM_BEGAN = auto()
    CLAIMS_ENDED = auto()  # none is under way, whatever is still due


class Claims(Enum):
    """What may be claimed."""

    NOTHING = auto()
    PROBE = auto()  # one delivery, once the circuit's pause is over
    ALL = auto()


_CLAIM = {
    Backlog.CAUGHT_UP: Backlog.CLAIM_DUE,
    Backlog.BEHIND: Backlog.CLAIM_BEHIND,
    Backlog.CLAIMING: Backlog.CLAIM_DUE,
}
_LEAVE = {
    Backlog.CAUGHT_UP: Backlog.BEHIND,
    Backlog.CLAIMING: Backlog.CLAIM_BEHIND,
    Backlog.CLAIM_DUE: Backlog.CLAIM_BEHIND,
}
TRANSITIONS: Mapping[LaneEvent, Mapping[Any, Any]] = {
    LaneEvent.PAUSED: {Mode.RUNNING: Mode.PAUSED},
    LaneEvent.RESUMED: {Mode.PAUSED: Mode.RUNNING, **_CLAIM},
    LaneEvent.STOPPED: {Mode.RUNNING: Mode.STOPPING, Mode.PAUSED: Mode.STOPPING},
    LaneEvent.OPENED: {Health.OK: Health.OPEN, Health.PROBING: Health.OPEN},
    LaneEvent.PROBE_CLAIMED: {Health.OPEN: Health.PROBING},
    LaneEvent.CLOSED: {Health.OPEN: Health.OK, Health.PROBING: Health.OK, **_CLAIM},
    LaneEvent.DUE: _CLAIM,
    LaneEvent.LEFT: _LEAVE,
    LaneEvent.CLAIM_BEGAN: {Backlog.CLAIM_DUE: Backlog.CLAIMING, Backlog.CLAIM_BEHIND: Backlog.CLAIMING},
    LaneEvent.CLAIMS_ENDED: {
        Backlog.CLAIMING: Backlog.CAUGHT_UP,
        Backlog.CLAIM_DUE: Backlog.BEHIND,
        Backlog.CLAIM_BEHIND: Backlog.BEHIND,
    },
}
"""By event, the state that follows each state; one that is not named stays."""

AT_REST = frozenset({Backlog.CAUGHT_UP, Backlog.BEHIND})
"""No claim is under way or about to begin."""


class States:
    """The states of one lane. What follows from them is worked out at each event: some is read for every webhook."""

    __slots__ = ("admits", "backlog", "behind", "circuit", "claims", "mode")

    def __init__(self) -> None:
        self.mode = Mode.RUNNING
        self.circuit = Health.OK
        self.backlog = Backlog.BEHIND  # nobody has looked yet
        self._conclude()

    def on(self, event: LaneEvent) -> bool:
        """Go over to the next states. True if claims are to begin now; `CLAIMS_ENDED` has to follow."""
        following, before = TRANSITIONS[event], self.backlog
        self.mode = following.get(self.mode, self.mode)
        self.circuit = following.get(self.circuit, self.circuit)
        self.backlog = following.get(before, before)
        self._conclude()
        return before in AT_REST and self.backlog not in AT_REST

    @property
    def stopping(self) -> bool:
        """No attempt begins any more."""
        return self.mode is Mode.STOPPING

    @property
    def queues(self) -> bool:
        """A claimed delivery may be queued; a probe is queued by `PROBE_CLAIMED`."""
        return self.claims is Claims.ALL

    @property
    def keeps_queue(self) -> bool:
        """What is queued may stay there; while the circuit is half-open that is the probe."""
        return self.mode is Mode.RUNNING and self.circuit is not Health.OPEN

    def _conclude(self) -> None:
        self.behind = self.backlog in (Backlog.BEHIND, Backlog.CLAIM_BEHIND)
        self.claims = _CLAIMS.get((self.mode, self.circuit), Claims.NOTHING)
        self.admits = self.claims is Claims.ALL and not self.behind  # a new delivery may be claimed at insert


_CLAIMS = {(Mode.RUNNING, Health.OK): Claims.ALL, (Mode.RUNNING, Health.OPEN): Claims.PROBE}
