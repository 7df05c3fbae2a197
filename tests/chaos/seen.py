"""What relays were sent, and what their targets received -> what is the relays' fault, and not a busy machine's."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.e2e.history import Findings, Place, Sent
from tests.e2e.targets import Request

STALL = 0.5
"""Seconds of a small write or of a relay's event loop: what takes so long was held up by other programs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a drained campaign saw. `answers`: by status, 0 for none; `slowest`: seconds of a 200.

    `late`: seconds from a 200 to the event's arrival, of all but 1 in 100. `failed`: not answered 200, `repeated`:
    taken again, although the machine let this process and the relays work and write all that time.
    """

    sent: Sequence[Sent]
    findings: Findings
    at_once: int
    overtaken: int
    overtaken_across: int
    answers: Mapping[int, int]
    failed: Sequence[Sent]
    repeated: Sequence[Place]
    slowest: float
    late: float
    drained_after: float

    def repeats(self) -> int:
        """Requests that a target took again."""
        return sum(self.findings.duplicated.values())

    def __str__(self) -> str:
        answers = ", ".join(f"{number} × {status or 'none'}" for status, number in sorted(self.answers.items()))
        return (
            f"answers {answers}; {self.findings}, of one key at once {self.at_once}, overtaken {self.overtaken}"
            f" ({self.overtaken_across} across relays); slowest 200 {self.slowest * 1000:.0f} ms,"
            f" arrived p99 {self.late * 1000:.0f} ms, drained after {self.drained_after:.1f} s"
        )

    def assert_nothing_went_wrong(self) -> None:
        """Assert what no fault may break, whatever it is."""
        assert not self.findings.lost
        assert not self.findings.unexpected
        assert not self.findings.mismatched
        assert self.at_once == 0
        assert self.overtaken == 0

    def assert_nothing_was_repeated(self) -> None:
        """Assert it where no relay was killed or cut off: each request is settled, and no claim is given up.

        A busy machine may stop a relay for as long as a target may take: what is sent again then proves nothing.
        """
        assert not self.repeated

    def assert_all_answered_200(self) -> None:
        """Assert it where no relay was killed: what PostgreSQL does is no matter of the sender.

        A busy machine may stop a relay for as long as a sender waits: what failed then proves nothing.
        """
        assert not self.failed


def blocked(lines: Iterable[Mapping[str, Any]], ahead: float) -> list[tuple[float, float]]:
    """Return when a relay's event loop stood still, by its log, whose clock is `ahead` of the monotonic one."""
    ended = [(instant(line) - ahead, line["ms"] / 1000) for line in lines]
    return [(at - took, at) for at, took in ended if took > STALL]


def instant(line: Mapping[str, Any]) -> float:
    """Return the time of a line of the log, by its relay's clock."""
    return datetime.fromisoformat(line["time"]).timestamp()


def is_during(began: float, ended: float, spans: Sequence[tuple[float, float]]) -> bool:
    return any(first < ended + STALL and last > began - STALL for first, last in spans)


def repeated(received: Sequence[Request]) -> list[tuple[Place, float, float]]:
    """Return what a target took more than once, with the times of the first and of the last request."""
    times: defaultdict[Place, list[float]] = defaultdict(list)
    for each in received:
        if each.accepted:
            times[each.target, each.marker].append(each.at)
    return [(place, min(at), max(at)) for place, at in times.items() if len(at) > 1]


def late(sent: Sequence[Sent], received: Sequence[Request]) -> float:
    arrived: dict[tuple[str, str], float] = {}
    for each in received:
        if each.accepted:
            arrived.setdefault((each.target, each.marker), each.at)
    times = sorted(
        arrived[target, one.marker] - one.ended
        for one in sent
        for target in one.targets
        if one.acknowledged and (target, one.marker) in arrived
    )
    return max(0.0, times[len(times) * 99 // 100]) if times else 0.0
