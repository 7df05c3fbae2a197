"""Signals -> Prometheus series, log lines and the event stream: nothing else counts or logs.

signal ─▶ observer ─▶ metrics      counters and histograms, as they happen; their numbers in series
                   └▶ log          one line each, text or JSON, safe to print; texts of uncounted facts in messages,
                      │          those of attempts in attempt_line
                      └▶ log_writer   written by a thread of its own
       ─▶ event_stream             documents for the present followers (`relay tail`)
       ─▶ tracing                  spans for a collector, if OpenTelemetry's variables name one
store  ─▶ gauges                   the backlog, as of the last scrape
loop   ─▶ loop_monitor             how long the event loop was held
kernel ─▶ process_metrics          CPU, memory and files of this process
"""

from relay.observe.event_stream import EventStream
from relay.observe.gauges import Gauges, SharedGauges
from relay.observe.log import configure_logging
from relay.observe.log_writer import LogWriter
from relay.observe.observer import Observer
from relay.observe.process_metrics import export_process
from relay.observe.tracing import exporting_spans

__all__ = [
    "EventStream",
    "Gauges",
    "LogWriter",
    "Observer",
    "SharedGauges",
    "configure_logging",
    "export_process",
    "exporting_spans",
]
