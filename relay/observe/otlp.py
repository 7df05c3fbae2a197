"""Spans as bytes -> an OTLP/HTTP request to the collector, and whether it took them."""

import gzip
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from http.client import HTTPException
from urllib.error import HTTPError

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.sdk.resources import Resource as DetectedResource

import relay
from relay.errors import ConfigurationError
from relay.observe.collector import Collector
from relay.observe.wire import delimited
from relay.os_errors import os_error_text

TIMEOUT = 10.0  # seconds
SERVICE = "amocrm-relay"
_TRY_AGAIN = (429, 502, 503, 504)


class NotTaken(Exception):
    """The collector did not take spans, and why; `again`: it may take them later."""

    def __init__(self, why: str, *, again: bool) -> None:
        super().__init__(why)
        self.again = again


class Exporter:
    """Posts to one collector. Not for several threads at once."""

    def __init__(self, collector: Collector) -> None:
        self._collector = collector
        self._headers = {"content-type": "application/x-protobuf", **collector.headers}
        self._resource = delimited(1, _resource().SerializeToString())
        self._scope = delimited(1, InstrumentationScope(name="relay", version=relay.__version__).SerializeToString())
        try:
            tls = urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=collector.certificate))
        except OSError as error:
            raise ConfigurationError(f"OTEL_EXPORTER_OTLP_CERTIFICATE: {os_error_text(error)}") from None
        self._opener = urllib.request.build_opener(tls, _NoRedirects)

    def export(self, spans: Sequence[bytes]) -> None:
        """Post spans; raises NotTaken."""
        body, headers = self.request_body(spans), dict(self._headers)
        if self._collector.gzip:
            body, headers["content-encoding"] = gzip.compress(body), "gzip"
        request = urllib.request.Request(self._collector.endpoint, body, headers)  # noqa: S310  it is http or https
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                response.read()
        except HTTPError as error:
            error.close()
            raise NotTaken(f"answered {error.code}", again=error.code in _TRY_AGAIN) from None
        except (OSError, HTTPException, ValueError) as error:  # URLError is an OSError
            raise NotTaken(type(getattr(error, "reason", error)).__name__, again=True) from None

    def request_body(self, spans: Sequence[bytes]) -> bytes:
        """Return an encoded `ExportTraceServiceRequest`."""
        scope = self._scope + b"".join(delimited(2, each) for each in spans)
        return delimited(1, self._resource + delimited(2, scope))


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The headers may hold a token, which is the collector's alone."""

    def redirect_request(self, *_request: object) -> None:
        """Have the redirect be an error."""


def _resource() -> Resource:
    """Return what OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME say of this process."""
    found: Mapping[str, object] = DetectedResource.create({"service.version": relay.__version__}).attributes
    named = str(found.get("service.name", ""))
    attributes = {**found, "service.name": SERVICE if named.startswith("unknown_service") else named}
    return Resource(
        attributes=[KeyValue(key=key, value=AnyValue(string_value=str(value))) for key, value in attributes.items()]
    )
