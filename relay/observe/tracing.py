"""Environment -> a listener that exports spans, or none: OpenTelemetry's variables switch it on (`collector`).

    signal ─▶ traces ─▶ spans    encoded at once: what waits is small, whatever the webhook was
                └▶ otlp          a batch a second to the collector, by a thread of its own

Nothing of OpenTelemetry is imported before a variable names a collector.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from relay.errors import ConfigurationError
from relay.observe.collector import collector_of
from relay.signals import Emit, Notice

if TYPE_CHECKING:
    from relay.observe.traces import Traces


@contextmanager
def exporting_spans(environment: Mapping[str, str], emit: Emit, registry: CollectorRegistry) -> Iterator[Emit]:
    """Yield `emit`; while the environment names a collector, one that exports spans, too, and counts them.

    A collector that cannot be exported to is one warning: no webhook is refused for want of its spans.
    """
    try:
        traces = _traces(environment, emit, registry)
    except ConfigurationError as error:
        emit(Notice(level="warning", text="spans are not exported", fields={"detail": str(error)}))
        traces = None
    if traces is None:
        yield emit
    else:
        with traces.in_background():
            yield traces.beside(emit)


def _traces(environment: Mapping[str, str], emit: Emit, registry: CollectorRegistry) -> "Traces | None":
    collector = collector_of(environment)
    if collector is None:
        return None
    try:
        from relay.observe.traces import Traces
    except ImportError as error:
        raise ConfigurationError("spans need another package: pip install 'amocrm-relay[otel]'") from error
    return Traces(collector, emit=emit, registry=registry)
