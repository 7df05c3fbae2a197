"""Config -> warnings about its accounts, sources and targets."""

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


def unused_accounts(config: Config) -> Iterator[Finding]:
    """Accounts that no source names."""
    used = {source.account for source in config.sources.values()}
    for name in config.accounts:
        if name not in used:
            yield ("accounts", name), f"no source has it: write account: {name} at the source it posts to"


def names_of_nothing(config: Config) -> Iterator[Finding]:
    """Targets with `names`, where no source has an account to look them up in."""
    if any(source.account for source in config.sources.values()):
        return
    for name, target in config.targets.items():
        if target.names:
            yield ("targets", name, "names"), "are looked up in amoCRM, and no source has an account: always empty"


def enriched_by_nothing(config: Config) -> Iterator[Finding]:
    """Targets with `enrich`, where no source has an account to fetch anything from."""
    if any(source.account for source in config.sources.values()):
        return
    for name, target in config.targets.items():
        if target.enrich:
            yield ("targets", name, "enrich"), "is fetched from amoCRM, and no source has an account: always null"


def unencrypted(config: Config) -> Iterator[Finding]:
    """Targets on another machine that are reached without TLS."""
    for name, target in config.targets.items():
        where = ("targets", name)
        if _can_be_read(target.url):
            yield (*where, "url"), "http to another machine can be read on the way: use https"
        if target.oauth2 and _can_be_read(target.oauth2.token_url):
            yield (*where, "oauth2", "token_url"), "http to another machine shows it the client_secret: use https"


def _can_be_read(url: str) -> bool:
    return urlsplit(url).scheme == "http" and not _is_local(url)


def exempt_from_nothing(config: Config) -> Iterator[Finding]:
    """`no_proxy` where the file has no `proxy`, not even one that says none."""
    if config.document.has(("defaults", "proxy")):
        return
    proxied = {name for name in config.targets if config.document.has(("targets", name, "proxy"))}
    if config.document.has(("defaults", "no_proxy")) and not proxied:
        yield ("defaults", "no_proxy"), "no target has a proxy: write proxy, too"
    for name in config.targets:
        if name not in proxied and config.document.has(("targets", name, "no_proxy")):
            yield ("targets", name, "no_proxy"), "the target has no proxy: write proxy, too"


def proxied_loopback(config: Config) -> Iterator[Finding]:
    """Targets on this machine that are asked for at a proxy, which would look for them on its own."""
    for name, target in config.targets.items():
        proxy = target.egress.proxy_to(target.url)
        if proxy and _is_local(target.url) and not _is_local(proxy.url):
            yield ("targets", name, "url"), "the proxy would look for it on its own machine: add its host to no_proxy"


def _is_local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return is_loopback(host) or host.endswith(".localhost")  # RFC 6761


def odd_headers(config: Config) -> Iterator[Finding]:
    """Header values with stray characters in them."""
    for name, target in config.targets.items():
        for header, secret in target.headers.items():
            where = ("targets", name, "headers", header)
            mistake = copying_mistake(secret.reveal(), config.document.shown(where)) if secret.reveal() else "is empty"
            if mistake and not (header.lower() in _QUOTED_HEADERS and "quotes" in mistake):
                yield where, f"the value {mistake}"


def odd_credentials(config: Config) -> Iterator[Finding]:
    """Credentials of `oauth2` with stray characters in them."""
    for name, target in config.targets.items():
        if target.oauth2:
            for key, secret in (("client_id", target.oauth2.client_id), ("client_secret", target.oauth2.client_secret)):
                where = ("targets", name, "oauth2", key)
                if mistake := copying_mistake(secret.reveal(), config.document.shown(where)):
                    yield where, f"the value {mistake}"


def odd_account_secrets(config: Config) -> Iterator[Finding]:
    """Tokens and client secrets of accounts with stray characters in them."""
    for name, account in config.accounts.items():
        secrets = {("token",): account.token, ("oauth", "client_secret"): account.oauth and account.oauth.client_secret}
        for key, secret in secrets.items():
            where = ("accounts", name, *key)
            if secret and (mistake := copying_mistake(secret.reveal(), config.document.shown(where))):
                yield where, f"the value {mistake}"


def short_dedupe(config: Config) -> Iterator[Finding]:
    """Sources whose `dedupe` ends before amoCRM stops repeating a body."""
    for name, source in config.sources.items():
        if source.dedupe and source.dedupe < AMOCRM_REPEATS_FOR:
            yield ("sources", name, "dedupe"), "the digital pipeline repeats a webhook for up to an hour: use 1h"
