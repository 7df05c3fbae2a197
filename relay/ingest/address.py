"""The path of a request -> source and token, or what is wrong with it and how it should look.

`judge` is for what failed: the ordinary request never comes here.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from relay.ingest.answers import Reject
from relay.model import Secret
from relay.routes.config import Config
from relay.signals import Rejection

MOST_SEGMENTS = 32  # of a path that are looked at; each costs a digest
MOST_METHOD = 10  # characters of a method that are shown

_SLASH = re.compile("(/|%2[fF])")
_LIKE_A_TOKEN = re.compile("[A-Za-z0-9._~-]{1,512}")
_MASK = "***"


def source_and_token(parts: Sequence[str]) -> tuple[str, str] | None:
    """Of `/hooks/S/T`, also with doubled slashes or one at the end; None for any other path.

    `parts`: the path as yarl splits it, `("/", "hooks", "S", "T", "")`.
    """
    match [part for part in parts[1:] if part]:
        case ["hooks", source, token]:
            return source, token
    return None


def judge(method: str, path: str, config: Config, *, wrong: str = "", status: int = 404) -> Reject:
    """Why there is no webhook: the path is not a hook path, or is one but the request is wrong for that other reason.

    It was meant for us if `hooks`, a source or a token is in its path, which is shown without what may be a secret.
    Tokens are looked up by their digests, so the time tells nothing of them.
    """
    seen = _Seen.of(path, config)
    if not seen.meant:
        return Reject(status, Rejection.STRANGER, wrong or "not a hook path")
    detail = f"{wrong or seen.wrong()} (right: POST {seen.right()})"
    shown = method[:MOST_METHOD] if method.isascii() and method.isalpha() else _MASK
    return Reject(status, Rejection.MISADDRESSED, detail, address=f"{shown} {seen.masked}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Segment:
    text: str
    kind: Literal["hooks", "source", "token", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A path, segment by segment, without the empty ones."""

    segments: tuple[_Segment, ...]
    masked: str
    escaped: bool
    source: str | None

    @classmethod
    def of(cls, path: str, config: Config) -> "_Seen":
        pieces = _SLASH.split(path, maxsplit=MOST_SEGMENTS)
        segments = [_segment(text, config) for text in pieces[::2]]
        shown = [segment.text if segment.kind in ("hooks", "source") else _masked(segment) for segment in segments]
        slashes = pieces[1::2]
        return cls(
            segments=tuple(segment for segment in segments if segment.text),
            masked="".join(_woven(shown, slashes)),
            escaped=any(slash != "/" for slash in slashes),
            source=_source_of(segments, config),
        )

    @property
    def meant(self) -> bool:
        return any(segment.kind != "other" for segment in self.segments)

    def right(self) -> str:
        return f"/hooks/{self.source or '<source>'}/<token>"

    def wrong(self) -> str:
        """The first thing that has to be mended."""
        kinds = [segment.kind for segment in self.segments]
        if "hooks" not in kinds:
            return "/hooks is missing: does a proxy cut it off?"
        hooks = kinds.index("hooks")
        if self.segments[hooks].text != "hooks":
            return "hooks is written in small letters"
        if self.escaped:
            return "its slashes are escaped, as %2F"
        if hooks:
            return "something stands before /hooks: does a proxy add a prefix?"
        if len(kinds) > 3:
            return "something stands after the token: put it into the query, like ?try=1"
        match kinds[1:]:
            case []:
                return "source and token are missing"
            case ["token"]:
                return "the source is missing before the token"
        return "the token is missing"


def _segment(text: str, config: Config) -> _Segment:
    text = unquote(text)
    if _LIKE_A_TOKEN.fullmatch(text) and Secret(text) in config.source_of_token:
        return _Segment(text=text, kind="token")
    if text.lower() == "hooks":
        return _Segment(text=text, kind="hooks")
    return _Segment(text=text, kind="source" if text in config.sources else "other")


def _masked(segment: _Segment) -> str:
    return _MASK if segment.text else ""


def _woven(texts: Sequence[str], slashes: Sequence[str]) -> Iterator[str]:
    for number, text in enumerate(texts):
        yield text
        yield from slashes[number : number + 1]


def _source_of(segments: Sequence[_Segment], config: Config) -> str | None:
    """The one it names; else the first that has its token."""
    for kind in ("source", "token"):
        for segment in segments:
            if segment.kind == kind:
                return segment.text if kind == "source" else config.source_of_token[Secret(segment.text)]
    return None
