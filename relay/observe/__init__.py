"""Signals -> Prometheus series and log lines: the only place for either.

signal ─▶ observer ─▶ series    counters and histograms, as they happen
                   └▶ log       one line each, text or JSON, safe to print
                      └▶ lines  written beside whoever speaks
       ─▶ live                  documents for who watches just now
store  ─▶ gauges                the backlog, as it stood at the last scrape
"""

from relay.observe.gauges import Gauges
from relay.observe.lines import Lines
from relay.observe.live import Live
from relay.observe.log import configure_logging
from relay.observe.observer import Observer

__all__ = ["Gauges", "Lines", "Live", "Observer", "configure_logging"]
