"""An OTLP/HTTP collector on loopback: what it was sent, decoded by OpenTelemetry's own messages. It may misbehave."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span as the collector understands it; ids in hexadecimal."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool
    attributes: dict[str, str | int]
    resource: dict[str, str | int]

    @classmethod
    def of(cls, span: Span, resource: dict[str, str | int]) -> "Seen":
        return cls(
            name=span.name,
            kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            failed=span.status.code == 2,
            attributes=plain(span.attributes),
            resource=resource,
        )


def plain(attributes: "list[KeyValue]") -> dict[str, str | int]:
    names = [each.key for each in attributes]
    assert len({*names}) == len(names), "an attribute twice"
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in attributes}


@dataclass
class FakeCollector:
    """`status`: what it answers; while `gate` is closed it answers nobody."""

    status: int = 200
    gate: threading.Event = field(default_factory=threading.Event)
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def spans(self) -> list[Seen]:
        """All that it has taken."""
        return [
            Seen.of(span, plain(of_resource.resource.attributes))
            for body in self.bodies
            for of_resource in ExportTraceServiceRequest.FromString(body).resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    def take(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        self.gate.wait(timeout=30)
        if handler.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        self.paths.append(handler.path)
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        if self.status == 200:
            self.bodies.append(body)
        handler.send_response(self.status)
        handler.send_header("Location", f"{self.url}/elsewhere")
        handler.end_headers()


@contextmanager
def collecting() -> Iterator[FakeCollector]:
    """A collector for as long as the block lasts."""
    collector = FakeCollector()
    collector.gate.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            collector.gate.set()
            server.shutdown()
            thread.join()
