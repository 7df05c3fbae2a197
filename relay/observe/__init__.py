"""Signals -> Prometheus series and log lines: the only place for either.

signal ─▶ observer ─▶ series    counters and histograms, as they happen
                   └▶ log       one line each, text or JSON, safe to print
                      └▶ lines  written beside whoever speaks
       ─▶ live                  documents for who watches just now
store  ─▶ gauges                the backlog, as it stood at the last scrape
"""

from relay.observe.event_stream import EventStream
from relay.observe.gauges import Gauges
from relay.observe.log import configure_logging
from relay.observe.log_writer import LogWriter
from relay.observe.observer import Observer

__all__ = ["EventStream", "Gauges", "LogWriter", "Observer", "configure_logging"]
