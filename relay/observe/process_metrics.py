"""The process -> `process_*` and `python_*`, as every program that prometheus_client instruments has them."""

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector


def export_process(registry: CollectorRegistry) -> None:
    """CPU, memory, files and start of the process, garbage collections, and the version of Python; read at a scrape."""
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    GCCollector(registry=registry)
