"""Config -> warnings about its sources and targets."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from relay.model import is_loopback
from relay.routes.config import Config
from relay.routes.diagnostics import Finding
from relay.routes.stray_characters import copying_mistake

AMOCRM_REPEATS_FOR = timedelta(hours=1)
"""kommo.com, "Digital pipeline: API: send webhook" (2026): up to four repeats within one hour."""

_QUOTED_HEADERS = frozenset({"if-match", "if-none-match", "if-range"})
"""Headers whose values are quoted: an entity tag is (RFC 9110, 8.8.3)."""


def unused(config: Config) -> Iterator[Finding]:
    """Targets that no route names."""
    used = {target for route in config.routes for target in route.targets}
    for name in config.targets:
        if name not in used:
            yield ("targets", name), "no route names it"


def unencrypted(config: Config) -> Iterator[Finding]:
    """Targets on another machine that are reached without TLS."""
    for name, target in config.targets.items():
        url = urlsplit(target.url)
        host = url.hostname or ""
        if url.scheme == "http" and not is_loopback(host) and not host.endswith(".localhost"):  # RFC 6761
            yield ("targets", name, "url"), "http to another machine can be read on the way: use https"


def odd_headers(config: Config) -> Iterator[Finding]:
    """Header values with stray characters in them."""
    for name, target in config.targets.items():
        for header, secret in target.headers.items():
            where = ("targets", name, "headers", header)
            mistake = copying_mistake(secret.reveal(), config.document.shown(where)) if secret.reveal() else "is empty"
            if mistake and not (header.lower() in _QUOTED_HEADERS and "quotes" in mistake):
                yield where, f"the value {mistake}"


def short_dedupe(config: Config) -> Iterator[Finding]:
    """Sources whose `dedupe` ends before amoCRM stops repeating a body."""
    for name, source in config.sources.items():
        if source.dedupe and source.dedupe < AMOCRM_REPEATS_FOR:
            yield ("sources", name, "dedupe"), "the digital pipeline repeats a webhook for up to an hour: use 1h"
