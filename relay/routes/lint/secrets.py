"""Config -> warnings about its secrets: written in the file, too short, or shared by sources."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

from yarl import URL

from relay.model import Json, Secret, signing_key
from relay.routes.config import Config
from relay.routes.diagnostics import Finding, Where, quoted
from relay.routes.stray_characters import BRACES, lacks_braces

SHORTEST_TOKEN = 16
"""Characters; the token is the only authentication of a webhook."""
SHORTEST_KEY = 24
"""Bytes; Standard Webhooks, "Signature scheme", asks for 24 to 64."""

SECRET_HEADERS = ("authorization", "cookie", "api-key", "token", "secret", "password")
"""How the names of headers end whose values are secrets."""

PLACEHOLDER = "change-me"
"""What recipes and documents put in the place of a secret."""

_SECRET_QUERIES = ("key", "token", "secret", "password", "signature")


def in_the_file(config: Config) -> Iterator[Finding]:
    """Secrets that are written in the file itself."""
    for where in _secret_places(config):
        if where not in config.document.written:
            yield where, "a secret in the file: write ${NAME} and set the variable, or ${file:/run/secrets/name}"


def too_short(config: Config) -> Iterator[Finding]:
    """Tokens and signing keys that are short enough to be guessed."""
    for name, source in config.sources.items():
        if any(len(token.reveal()) < SHORTEST_TOKEN for token in source.tokens):
            yield ("sources", name, "token"), "short enough to be guessed: make one with: openssl rand -hex 32"
    for name, target in config.targets.items():
        if any(len(signing_key(secret.reveal())) < SHORTEST_KEY for secret in target.secrets):
            yield ("targets", name, "secret"), "under 24 bytes of base64: make one with: openssl rand -base64 32"


def placeholders(config: Config) -> Iterator[Finding]:
    """Secrets that still have the text which recipes and `relay init` put where one belongs."""
    for where in _secret_places(config):
        if PLACEHOLDER in config.document.at(where):
            yield where, f"is still {PLACEHOLDER!r}: put the secret there"


def reused_tokens(config: Config) -> Iterator[Finding]:
    """Tokens that two sources have."""
    owners: dict[Secret, str] = {}
    for name, source in config.sources.items():
        for token in source.tokens:
            if owners.setdefault(token, name) != name:
                yield ("sources", name, "token"), f"the same token as {quoted(owners[token])}: give each source its own"


def variables_without_braces(config: Config) -> Iterator[Finding]:
    """`Bearer $TOKEN`, which is not expanded."""
    for where, text in _texts(config, (), config.document.value):
        if lacks_braces(text):
            yield where, f"$… is not expanded: {BRACES}"


def _texts(config: Config, where: Where, value: Json) -> Iterator[tuple[Where, str]]:
    """Every text of the file with its place and every `${…}` unresolved, except those of `tests`."""
    if where[:1] == ("tests",):
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(config, (*where, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _texts(config, (*where, index), item)
    elif isinstance(value, str):
        yield where, config.document.shown(where)


def _secret_places(config: Config) -> Iterator[Where]:
    for above in (("defaults",), *(("targets", name) for name in config.targets)):
        if config.document.has((*above, "proxy")) and URL(config.document.at((*above, "proxy"))).raw_password:
            yield (*above, "proxy")
    for name, account in config.accounts.items():
        yield ("accounts", name, "token") if account.token else ("accounts", name, "oauth", "client_secret")
    for name in config.sources:
        yield from _items(config, ("sources", name, "token"))
    for name, target in config.targets.items():
        yield from _items(config, ("targets", name, "secret"))
        if target.oauth2:
            yield ("targets", name, "oauth2", "client_secret")
        for header in target.headers:
            if header.lower().endswith(SECRET_HEADERS):
                yield ("targets", name, "headers", header)
        for key, value in target.query.items():
            if isinstance(value, Secret) and key.lower().endswith(_SECRET_QUERIES):
                yield ("targets", name, "query", key)
        if any(key.lower().endswith(_SECRET_QUERIES) for key, _value in parse_qsl(urlsplit(target.url).query)):
            yield ("targets", name, "url")


def _items(config: Config, where: Where) -> list[Where]:
    value = config.document.at(where) if config.document.has(where) else []
    return [(*where, index) for index in range(len(value))] if isinstance(value, list) else [where]
