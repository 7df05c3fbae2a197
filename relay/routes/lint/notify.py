"""Config -> warnings about its notifications."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from relay.model import HealMode, is_loopback
from relay.model.notify import Encryption, HttpReceiver, Kind, Mail, Notify, Slack, Telegram
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, Where
from relay.routes.stray_characters import copying_mistake


def notified_of_nothing(config: Config) -> Iterator[Finding]:
    """Kinds that cannot come with these routes."""
    guarded = bool(config.accounts) or any(source.guard for source in config.sources.values())
    heals = any(source.heal.mode is not HealMode.OFF for source in config.sources.values())
    for where, each in _receivers(config):
        asked = each.kinds != frozenset(Kind)  # who lists every kind means what comes, like who lists none
        if asked and Kind.SILENCE in each.kinds and not each.silence:
            yield (*where, "on"), "silence tells nothing without silence beside it: write silence: {crm: 6h}, too"
        if each.silence and Kind.SILENCE not in each.kinds:
            yield (*where, "silence"), "tells nothing: add silence to on"
        if asked and Kind.GUARD in each.kinds and not guarded:
            yield (*where, "on"), "guard tells nothing: there is no account"
        if asked and Kind.HEAL in each.kinds and not heals:
            yield (*where, "on"), "heal tells nothing: no source heals"
        if each.quiet and (never := each.quiet.exempt - each.kinds):
            yield (*where, "quiet", "except"), f"{', '.join(sorted(never))} is not in on: it is never sent"


def notified_unencrypted(config: Config) -> Iterator[Finding]:
    """Receivers on another machine that are reached without TLS."""
    for where, each in _receivers(config):
        match each.to:
            case Mail(encryption=Encryption.NONE, host=host, user=user) if not is_loopback(host):
                also = " with user and password" if user else ""
                yield (*where, "to", "mail"), f"mail to another machine can be read on the way{also}: use starttls"
            case Telegram(api=url) if _is_plain(url):
                yield (*where, "to", "telegram", "api"), "http to another machine shows it the token: use https"
            case Slack(url=secret) | HttpReceiver(url=secret) if _is_plain(secret.reveal()):
                word = "slack" if isinstance(each.to, Slack) else "webhook"
                yield (*where, "to", word, "url"), "http to another machine can be read on the way: use https"


def odd_receiver_secrets(config: Config) -> Iterator[Finding]:
    """Passwords of mail servers, and headers, with stray characters in them."""
    for where, each in _receivers(config):
        secrets = {}
        if isinstance(each.to, Mail) and each.to.password:
            secrets[(*where, "to", "mail", "password")] = each.to.password
        if isinstance(each.to, HttpReceiver):
            secrets = {
                (*where, "to", "webhook", "headers", name): each.to.headers[name.lower()]
                for name in config.document.at((*where, "to", "webhook")).get("headers", {})
            }
        for here, secret in secrets.items():
            if mistake := copying_mistake(secret.reveal(), config.document.shown(here)):
                yield here, f"the value {mistake}"


def _receivers(config: Config) -> Iterator[tuple[Where, Notify]]:
    for number, each in enumerate(config.notify):
        yield ("notify", number), each


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme == "http" and not (is_loopback(host) or host.endswith(".localhost"))
