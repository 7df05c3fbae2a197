"""Config -> warnings about its sources and targets."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from relay.model import is_loopback
from relay.routes.carried import carried
from relay.routes.config import Config
from relay.routes.diagnostics import Finding

REPEATED_FOR = timedelta(hours=1)
"""kommo.com, "Digital pipeline: API: send webhook" (2026): up to four repeats within one hour."""

_QUOTED_RIGHTLY = frozenset({"if-match", "if-none-match", "if-range"})
"""RFC 9110, 8.8.3: an entity tag is in quotes."""


def unused_targets(config: Config) -> Iterator[Finding]:
    """Targets that no route names."""
    used = {target for route in config.routes for target in route.targets}
    for name in config.targets:
        if name not in used:
            yield ("targets", name), "no route feeds it"


def clear_text(config: Config) -> Iterator[Finding]:
    """Targets on another machine without TLS."""
    for name, target in config.targets.items():
        url = urlsplit(target.url)
        host = url.hostname or ""
        if url.scheme == "http" and not is_loopback(host) and not host.endswith(".localhost"):  # RFC 6761
            yield ("targets", name, "url"), "http to another machine can be read on the way: use https"


def odd_headers(config: Config) -> Iterator[Finding]:
    """Header values with something in them that was hardly meant."""
    for name, target in config.targets.items():
        for header, secret in target.headers.items():
            where = ("targets", name, "headers", header)
            said = carried(secret.reveal(), config.document.shown(where)) if secret.reveal() else "is empty"
            if said and not (header.lower() in _QUOTED_RIGHTLY and "quotes" in said):
                yield where, f"the value {said}"


def brief_dedupe(config: Config) -> Iterator[Finding]:
    """Sources that forget a body before amoCRM stops repeating it."""
    for name, source in config.sources.items():
        if source.dedupe and source.dedupe < REPEATED_FOR:
            yield ("sources", name, "dedupe"), "the digital pipeline may repeat for an hour: use 1h"
