"""Document -> its targets, each with its own settings over the defaults."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import SplitResult, urlsplit

from yarl import URL

from relay.model import Format, HealDelivery, Method, Order, RetryPolicy, Secret, Target, TextTemplate, signing_key
from relay.routes.batch import read_batch
from relay.routes.diagnostics import Unfit, Where
from relay.routes.egress import read_egress, refuse_private_host
from relay.routes.enrich import read_enrich
from relay.routes.oauth2 import read_oauth2
from relay.routes.reader import Reader
from relay.routes.target_templates import (
    hidden_texts,
    is_template,
    read_body,
    read_expression,
    read_header,
    read_query,
    read_url,
)
from relay.routes.target_tls import read_tls
from relay.routes.units import duration, rate, share

LONGEST_TIMEOUT = timedelta(minutes=5)

_EXPONENTIAL = ("initial", "factor", "max")
_HOST = re.compile(r"[\w-]+(\.[\w-]+)*\.?")
_HOST_AND_PORT = re.compile(r"[^\[\]]*|\[[^\[\]]*\](:[0-9]*)?")
_NOT_IN_URL = re.compile(r"[\s\x00-\x20\x7f\\]")
_NOT_IN_HEADER = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_SET_BY_RELAY = frozenset({"content-type", "content-length", "host"})
_OF_THE_CONNECTION = frozenset({"connection", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"})


def read_targets(reader: Reader) -> dict[str, Target]:
    """The targets by name, in file order."""
    defaults = _settings(reader, ("defaults",), Target(name="", url=""))
    return {name: _target(reader, name, defaults) for name in reader.keys(("targets",))}


def _target(reader: Reader, name: str, defaults: Target) -> Target:
    where = ("targets", name)
    url, url_template = read_url(reader, (*where, "url"), http_url)
    settings = _settings(reader, where, defaults)
    refuse_private_host(reader, (*where, "url"), url, settings.egress)
    headers, header_templates = _headers(reader, (*where, "headers"))
    body, content_type = read_body(reader, where)
    return replace(
        settings,
        name=name,
        url=url,
        url_template=url_template,
        query=read_query(reader, (*where, "query")),
        method=reader.take((*where, "method"), Method, Method.POST),
        headers=headers,
        header_templates=header_templates,
        body=body,
        content_type=content_type,
        hidden=hidden_texts(reader.document, where),
        secrets=reader.each((*where, "secret"), _signing_secret),
        tls=read_tls(reader, where, url),
        heal=reader.take((*where, "heal"), HealDelivery, HealDelivery.DELIVER),
        batch=read_batch(reader, where, Format.JSON if body else settings.format),
        enrich=read_enrich(reader, where, Format.JSON if body else settings.format),
        ok_if=read_expression(reader, (*where, "ok_if")),
        retry_after=read_expression(reader, (*where, "retry_after")),
        oauth2=read_oauth2(reader, where, headers=(*headers, *header_templates), url=http_url, egress=settings.egress),
        names=reader.take((*where, "names"), bool, False),
    )


def _settings(reader: Reader, where: Where, base: Target) -> Target:
    """`base` with the settings of the mapping at `where`."""

    def take(key: str, convert: Any, default: Any) -> Any:
        return reader.take((*where, key), convert, default)

    settings = replace(
        base,
        timeout=take("timeout", _timeout, base.timeout),
        concurrency=take("concurrency", int, base.concurrency),
        retry=_retry(reader, (*where, "retry"), base.retry),
        dead_on=take("dead_on", frozenset, base.dead_on),
        ok_on=take("ok_on", frozenset, base.ok_on),
        order=take("order", Order, base.order),
        rate=take("rate", rate, base.rate),
        format=take("format", Format, base.format),
        breaker_failures=reader.take((*where, "breaker", "failures"), int, base.breaker_failures),
        egress=read_egress(reader, where, base.egress),
    )
    _check_statuses(reader, where, settings)
    return settings


def _check_statuses(reader: Reader, where: Where, settings: Target) -> None:
    """Reject a status in both lists where one of them is set; inherited lists were checked where they are written."""
    both = sorted(settings.ok_on & settings.dead_on)
    here = [key for key in ("ok_on", "dead_on") if reader.document.has((*where, key))]
    if both and here:
        other = "dead_on" if here[0] == "ok_on" else "ok_on"
        named = f"{', '.join(map(str, both))} {'are' if len(both) > 1 else 'is'}"
        reader.wrong((*where, here[0]), f"{named} in {other}, too: write {other} without, or leave it out here")


def _retry(reader: Reader, where: Where, base: RetryPolicy) -> RetryPolicy:
    """`base` with the keys at `where`; a `schedule` there replaces inherited exponential keys, and vice versa."""
    exponential = [key for key in _EXPONENTIAL if reader.document.has((*where, key))]
    scheduled = reader.document.has((*where, "schedule"))
    if scheduled and exponential:
        reader.wrong((*where, "schedule"), f"cannot stand beside {exponential[0]}: write one or the other")

    def take(key: str, convert: Any, default: Any) -> Any:
        return reader.take((*where, key), convert, default)

    policy = RetryPolicy(
        initial=take("initial", duration, base.initial),
        factor=take("factor", float, base.factor),
        max=take("max", duration, base.max),
        jitter=take("jitter", share, base.jitter),
        max_age=take("max_age", duration, base.max_age),
        schedule=reader.each((*where, "schedule"), duration) if scheduled else () if exponential else base.schedule,
        attempts=take("attempts", int, base.attempts),
    )
    if exponential and policy.initial > policy.max:
        reader.wrong((*where, exponential[0]), "initial is longer than max")
    return policy


def _timeout(text: str) -> timedelta:
    timeout = duration(text)
    if timeout > LONGEST_TIMEOUT:
        raise Unfit("must be at most 5m")
    return timeout


def http_url(text: str) -> str:
    """Return a URL that requests can be sent to as it is; Unfit says what it lacks."""
    if _NOT_IN_URL.search(text):
        raise Unfit("a URL has no blanks, control characters or backslashes")
    try:
        parts = _split(text)
        port = parts.port
    except ValueError:
        raise Unfit("must be a URL like https://bot.example/amocrm") from None
    _check_url_parts(parts, port)
    if "#" in text:
        raise Unfit("a URL to deliver to has no #fragment")
    return text


def _split(text: str) -> SplitResult:
    """Split a URL; ValueError if its host is malformed."""
    parts = urlsplit(text)
    if not _HOST_AND_PORT.fullmatch(parts.netloc.rpartition("@")[2]):
        raise ValueError(text)  # older Pythons ignore text around the brackets: http://x[::1]y/
    return parts


def _check_url_parts(parts: SplitResult, port: int | None) -> None:
    if parts.scheme not in ("http", "https"):
        raise Unfit("must be a URL that starts with http:// or https://")
    if "@" in parts.netloc:
        raise Unfit("a URL with a user or password: put them in headers, as Authorization")
    if not _is_host(parts.hostname or "") or port == 0:
        raise Unfit("must name a host, like https://bot.example/amocrm")


def _is_host(text: str) -> bool:
    if ":" not in text:
        return _HOST.fullmatch(text) is not None and _has_ascii_form(text)
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _has_ascii_form(name: str) -> bool:
    """True if the name can be looked up: IDNA cannot encode some names."""
    try:
        return name.isascii() or bool(URL.build(scheme="http", host=name).raw_host)
    except ValueError:
        return False


def _headers(reader: Reader, where: Where) -> tuple[Mapping[str, Secret], Mapping[str, TextTemplate]]:
    """The constant ones, and those with a template."""
    headers: dict[str, Secret] = {}
    templates: dict[str, TextTemplate] = {}
    seen: dict[str, str] = {}
    for name in reader.keys(where):
        here = (*where, name)
        if reason := refused_header(name.lower(), seen):
            reader.wrong(here, reason)
        seen[name.lower()] = name
        if not is_template(reader, here):
            headers[name] = reader.take(here, header_value, Secret(""))
        elif template := read_header(reader, here):
            templates[name] = template
    return headers, templates


def refused_header(name: str, seen: Mapping[str, str]) -> str | None:
    """Say why this header, in lower case, cannot be set; `seen`: those before it, by their lower case."""
    if name in seen:
        return f"the same header as {seen[name]}"
    if name in _SET_BY_RELAY or name.startswith(("webhook-", "relay-")):
        return "the relay sets this header itself"
    return "this header belongs to the connection, not to the request" if name in _OF_THE_CONNECTION else None


def header_value(value: str | int) -> Secret:
    """Return the value of a header; Unfit if HTTP cannot carry it."""
    if _NOT_IN_HEADER.search(str(value)):
        raise Unfit("a header's value has no line breaks or control characters")
    return Secret(str(value))


def _signing_secret(text: str) -> Secret:
    try:
        key = signing_key(text)
    except ValueError:
        key = b""
    if not key:
        raise Unfit("must be base64, with or without whsec_ in front (make one with: openssl rand -base64 32)")
    return Secret(text)
