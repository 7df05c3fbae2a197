"""A scan of a source's account -> series, and a line for what needs an operator.

What is healed is counted where it is decided; the webhooks that come of it are counted like any other.
"""

from relay.model.heal import HealState
from relay.observe.log import Log
from relay.observe.metrics import Metrics
from relay.signals.account import SourceScanned

COUNTED = frozenset(HealState) - {HealState.SEEN, HealState.WAITING}
"""The states that a scan ends with; what waits is decided later."""


class HealObserver:
    """Count and log scans; a line only when something changes."""

    def __init__(self, series: Metrics, log: Log) -> None:
        self._series = series
        self._log = log
        self._stopped: dict[str, tuple[str, ...]] = {}

    def __call__(self, scan: SourceScanned) -> None:
        """Count, measure and log it."""
        for each in scan.verdicts:
            if each.state in COUNTED:
                labels = (scan.source, each.action, each.exactness or "-", each.state)
                self._series.heal_events(*labels).inc(each.number)
        self._series.heal_late_events(scan.source).inc(scan.late)
        self._series.heal_orphan_hooks(scan.source).inc(scan.orphans)
        for seconds in scan.differences:
            self._series.heal_time_difference(scan.source).observe(seconds)
        if scan.scanned_upto:
            self._series.heal_mark(scan.source).set(scan.scanned_upto.timestamp())
        self._say(scan)

    def _say(self, scan: SourceScanned) -> None:
        healed, waiting = self._number(scan, HealState.HEALED), self._number(scan, HealState.WAITING)
        if healed:
            self._log.warning("webhooks were lost, and their events healed", source=scan.source, events=healed)
        if waiting:
            advice = f"relay heal status, then relay heal approve {scan.source}"
            self._log.error("lost webhooks wait to be healed", source=scan.source, events=waiting, next=advice)
        if scan.drift is not None:
            self._log.warning(
                "times in webhooks differ from the account's feed: healing allows for it",
                source=scan.source,
                seconds=scan.drift,
            )
        if scan.expired:
            self._log.error(
                "lost webhooks are not healed: nobody approved them within seven days",
                source=scan.source,
                events=scan.expired,
            )
        if scan.late:
            self._log.warning("events came late into the account's feed", source=scan.source, events=scan.late)
        stopped = tuple(scan.stopped)
        if stopped and stopped != self._stopped.get(scan.source):
            self._log.error(
                "webhooks came of which the account's feed knows nothing: these are not healed meanwhile",
                source=scan.source,
                actions=", ".join(stopped),
                next="does the token's user see everything? relay account check",
            )
        self._stopped[scan.source] = stopped

    @staticmethod
    def _number(scan: SourceScanned, state: HealState) -> int:
        return sum(each.number for each in scan.verdicts if each.state is state)
