"""Document, environment -> Document with every `${…}` replaced, or a problem that names what is missing.

`${NAME}`, `${NAME:-default}` and `${file:/run/secrets/name}` stand anywhere in a text value; `$${` is a plain `${`.
They are replaced after parsing, so a value cannot change the structure of the file.

Commands that send no requests work without the secrets: a text that lacks one is replaced by a stand-in, where only a
request would use it.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from relay.errors import ConfigurationError
from relay.model import Json, Secret
from relay.os_errors import os_error_text, permission_problem
from relay.routes.diagnostics import Problems, Unfit, Where
from relay.routes.yaml_document import Document, Reference

MAX_FILE_BYTES = 65_536

_PLACE = re.compile(r"\$\$\{|\$\{([^}]*)(\}?)")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)

_Replace: TypeAlias = Callable[[re.Match[str]], str]


class MissingSecret(Unfit):
    """A variable or a file is missing, empty or unreadable."""


def refuse_to_open(path: Path) -> None:
    """In place of `on_open`: a file counts as missing, whether it is there or not."""
    raise MissingSecret(f"the file {path} is not read for a text that comes from elsewhere")


def expand(
    document: Document,
    env: Mapping[str, str],
    problems: Problems,
    *,
    stand_ins: bool = False,
    on_open: Callable[[Path], object] = lambda _path: None,
) -> Document:
    """Replace every `${…}`; where one is missing, a problem names it and the text stays as written.

    With `stand_ins`, a missing one is no problem in tokens, URLs, headers, credentials and signing secrets. `on_open`
    is called with each file before it is opened.
    """
    expansion = _Expansion(document, env, problems, stand_ins, on_open)
    value = expansion.value((), document.value)
    return replace(document, value=value, written=expansion.written, pieces=expansion.pieces)


def expand_text(text: str, env: Mapping[str, str]) -> str:
    """Replace every `${…}` of a text that is in no document; ConfigurationError names what is missing."""
    try:
        return _PLACE.sub(lambda place: _resolved(place, env, lambda _path: None), text)
    except Unfit as unfit:
        raise ConfigurationError(str(unfit)) from None


class _Expansion:
    def __init__(
        self,
        document: Document,
        env: Mapping[str, str],
        problems: Problems,
        stand_ins: bool,
        on_open: Callable[[Path], object],
    ) -> None:
        self.document = document
        self.env = env
        self.problems = problems
        self.stand_ins = stand_ins
        self.on_open = on_open
        self.written: dict[Where, str] = {}
        self.pieces: dict[Where, tuple[str | Reference, ...]] = {}

    def value(self, where: Where, value: Json) -> Json:
        if isinstance(value, dict):
            return {self._key(where, key): self.value((*where, key), item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value((*where, index), item) for index, item in enumerate(value)]
        return self._text(where, value) if isinstance(value, str) and "${" in value else value

    def _key(self, where: Where, key: str) -> str:
        if "${" in key:
            here = (*where, key)
            self.problems.add(here, self.document.mark(here), "a key cannot use ${…}")
        return key

    def _text(self, where: Where, text: str) -> str:
        show = self._shown_url if _is_url(where) else _without_default
        self.written[where] = _PLACE.sub(show, text)
        try:
            pieces = tuple(self._pieces(text, show, self._resolved))
        except Unfit as unfit:
            stand_in = _stand_in(where) if self.stand_ins and isinstance(unfit, MissingSecret) else None
            if stand_in is None:
                self.problems.add(where, self.document.mark(where), str(unfit))
                return text
            self.pieces[where] = tuple(self._pieces(text, show, lambda place: self._resolved_or(stand_in, place)))
            return stand_in  # the pieces keep what stands around, which may be a template
        self.pieces[where] = pieces
        return "".join(each if isinstance(each, str) else each.secret.reveal() for each in pieces)

    def _pieces(self, text: str, show: _Replace, resolve: _Replace) -> Iterator[str | Reference]:
        """Split a text at its `${…}`; `$${` is text."""
        end, literal = 0, ""
        for place in _PLACE.finditer(text):
            literal, end = literal + text[end : place.start()], place.end()
            if place[0] == "$${":
                literal += "${"
                continue
            yield from filter(None, [literal])
            yield Reference(Secret(resolve(place)), show(place))
            literal = ""
        yield from filter(None, [literal + text[end:]])

    def _resolved(self, place: re.Match[str]) -> str:
        return _resolved(place, self.env, self.on_open)

    def _resolved_or(self, stand_in: str, place: re.Match[str]) -> str:
        try:
            return self._resolved(place)
        except Unfit:
            return "absent" if place.start() else stand_in

    def _shown_url(self, place: re.Match[str]) -> str:
        """Show a default that applies: it is written in the file, and decides where requests go."""
        variable = _VARIABLE.fullmatch(place[1] or "")
        return _without_default(place) if variable is None or self.env.get(variable[1]) else variable[2] or place[0]


def _stand_in(where: Where) -> str | None:
    """A valid text for this place, unique to it; None where it could change what is routed."""
    own = hashlib.sha256(repr(where).encode()).digest()
    if where[2:4] == ("expect", "requests"):
        return "absent"
    if where[:1] == ("notify",):
        return _stand_in_of_receiver(where[-1])
    match where[1:2] if where[:1] == ("defaults",) else where[2:3]:
        case ("token",):
            return f"absent-{own.hex()}"
        case ("url",):
            return "https://absent.invalid/"
        case ("proxy",):
            return "http://absent.invalid"
        case ("no_proxy",):
            return "absent.invalid"
        case ("headers",) | ("query",) | ("body",):
            return "absent"
        case ("secret",):
            return base64.b64encode(own).decode()
        case ("tls",):
            return "/absent.pem"
        case ("oauth",):
            return "https://absent.invalid/" if where[3:] == ("redirect_uri",) else "absent"
        case ("guard",):
            return "https://absent.invalid"
        case ("oauth2",):
            return "https://absent.invalid/" if where[3:] == ("token_url",) else "absent"
    return None


def _stand_in_of_receiver(key: str | int) -> str:
    match key:
        case "url" | "api":
            return "https://absent.invalid/"
        case "proxy":
            return "http://absent.invalid"
        case "smtp" | "no_proxy":
            return "absent.invalid"
        case "from" | "to" | int():
            return "absent@absent.invalid"
        case "ca" | "cert" | "key":
            return "/absent.pem"
        case "chat_id":
            return "0"
    return "absent"


def _is_url(where: Where) -> bool:
    return where[:1] == ("targets",) and where[2:] == ("url",)


def _without_default(place: re.Match[str]) -> str:
    return re.sub(":-.*", "", place[0].removesuffix("}"), flags=re.DOTALL) + "}" if place[2] else place[0]


def _resolved(place: re.Match[str], env: Mapping[str, str], on_open: Callable[[Path], object]) -> str:
    if place[0] == "$${":
        return "${"
    inside, closed = place[1], place[2]
    if closed and inside.startswith("file:"):
        return _from_file(Path(inside.removeprefix("file:")), on_open)
    variable = _VARIABLE.fullmatch(inside)
    if not closed or not variable:
        raise Unfit("write ${NAME}, ${NAME:-default} or ${file:/absolute/path}; a plain ${ is written $${")
    return _from_environment(variable[1], variable[2], env)


def _from_environment(name: str, default: str | None, env: Mapping[str, str]) -> str:
    value = env.get(name) or default  # an empty variable is a forgotten one
    if not value:
        raise MissingSecret(f"the variable {name} is not set or empty")
    return _storable(value, f"the variable {name}")


def _from_file(path: Path, on_open: Callable[[Path], object]) -> str:
    if not path.is_absolute():
        raise Unfit(f"${{file:{path}}} needs an absolute path")
    on_open(path)
    try:
        if not path.is_file():
            raise MissingSecret(f"the file {path} does not exist or is no file")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        problem = permission_problem(path) or f"the file {path} cannot be read: {os_error_text(error)}"
        raise MissingSecret(problem) from None
    if len(data) > MAX_FILE_BYTES:
        raise Unfit(f"the file {path} is over {MAX_FILE_BYTES} bytes")
    text = data.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")
    if not text:
        raise MissingSecret(f"the file {path} is empty")
    return _storable(text, f"the file {path}")


def _storable(text: str, name: str) -> str:
    # Python decodes bytes that are not UTF-8 as lone surrogates, which cannot be encoded
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Unfit(f"{name} is not UTF-8")
    return text
