"""OpenTelemetry's variables -> the collector that spans are posted to, if they name one.

https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from relay.errors import ConfigurationError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "http/protobuf"
_TRACES_PATH = "v1/traces"


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector:
    """Where spans are posted to. `headers` may hold its token; `certificate`: the CA that it is checked by."""

    endpoint: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    certificate: str | None = None
    gzip: bool = False


def collector_of(environment: Mapping[str, str]) -> Collector | None:
    """Return the collector that OpenTelemetry's variables name; None if spans are off.

    ConfigurationError for one that the relay cannot export to.
    """

    def read(variable: str) -> str:
        return _read(environment, variable)[0]

    if not read(ENDPOINT) or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip() == "none":
        return None
    if read("OTEL_EXPORTER_OTLP_PROTOCOL") not in ("", _PROTOCOL):
        raise ConfigurationError(f"OTEL_EXPORTER_OTLP_PROTOCOL: the relay speaks {_PROTOCOL} alone")
    return Collector(
        endpoint=_endpoint(*_read(environment, ENDPOINT)),
        headers=_headers(read("OTEL_EXPORTER_OTLP_HEADERS")),
        certificate=read("OTEL_EXPORTER_OTLP_CERTIFICATE") or None,
        gzip=read("OTEL_EXPORTER_OTLP_COMPRESSION") == "gzip",
    )


def _read(environment: Mapping[str, str], variable: str) -> tuple[str, bool]:
    """Return its value, and whether that is of the variable for traces alone, `OTEL_EXPORTER_OTLP_TRACES_…`."""
    of_traces = environment.get(variable.replace("_OTLP_", "_OTLP_TRACES_"), "").strip()
    return of_traces or environment.get(variable, "").strip(), bool(of_traces)


def _endpoint(url: str, of_traces: bool) -> str:
    """The variable for traces alone has the whole URL, the general one the base of it."""
    if not url.startswith(("http://", "https://")) or not urlsplit(url).hostname:
        raise ConfigurationError(f"{ENDPOINT} is not the http or https URL of a collector")
    return url if of_traces else f"{url.rstrip('/')}/{_TRACES_PATH}"


def _headers(text: str) -> dict[str, str]:
    """Read `authorization=Bearer%20t,x-scope=1`."""
    pairs = (each.partition("=") for each in text.split(",") if "=" in each)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
