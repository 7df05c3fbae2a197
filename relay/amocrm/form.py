"""Body bytes <-> tree: leads[add][0][id]=7 <-> {"leads": {"add": {"0": {"id": "7"}}}}.

A tree is nested dicts with text at the leaves. A JSON body of the same shape may bring lists, true, false, null and
integers of at most 53 bits; its other numbers become the text they were written as. Its keys may have the form's
brackets, {"leads[add][0][id]": "7"}: that is what n8n, Zapier and Vercel make of a form.

`a[]` takes the next free index, as PHP counts. A key whose brackets do not pair up is one plain name.

Two values may claim one place: the same key twice, or a text where another key wants children. The last text wins
over the earlier ones and children win over any text. What lost is kept under `_conflicts` at the top of the tree, by
the bracket path it came with: {"_conflicts": {"leads[add][0][id]": ["6"]}}. A key of that name in the body is
itself noted there.
"""

import re
from binascii import a2b_qp, unhexlify
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import TypeAlias
from urllib.parse import quote_plus

from relay.amocrm import strict_json
from relay.amocrm.strict_json import MAX_DEPTH
from relay.errors import UnreadableError
from relay.model import Json

Tree: TypeAlias = dict[str, Json]

CONFLICTS = "_conflicts"
MAX_PAIRS = 10_000
MAX_BRANCHES = 25_000
"""Brackets that one body may open: what a branch costs is time and memory, and no real body has a thousand."""
MAX_BROKEN = 50_000
"""Percent signs in one value that has some which escape nothing: reading those is slow, and amoCRM sends none."""
MAX_KEY = 512
"""Bytes of one key, after unquoting."""

CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "cp1251": "cp1251",
    "windows-1251": "cp1251",
    "latin-1": "latin-1",
    "iso-8859-1": "latin-1",
}
"""Names that a sender or an operator may give, in lower case, and Python's."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"x\x9c": "zlib", b"x\xda": "zlib", b"\x28\xb5\x2f\xfd": "zstd"}
_JSON_MAY_START = frozenset(b"{[ \t\r\n\v\f")
_MAGIC_BYTES = frozenset(magic[0] for magic in _COMPRESSED)
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_NEXT = "\0"  # stands for the index `[]` will get; no key can hold it, because NUL becomes U+FFFD


def decode(body: bytes, content_type: str = "", *, charset: str | None = None) -> Tree:
    """The tree of a form or JSON body; UnreadableError says why there is none.

    Text is UTF-8 or, failing that, in the charset that `content_type` declares; `charset` overrides both.
    A byte-order mark in front and line ends behind are not part of the body.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    if not body:
        raise UnreadableError("empty body")
    if body[0] in _MAGIC_BYTES:
        _demand_plain(body)
    charsets = _charsets(content_type, charset)
    for name in charsets:
        try:
            return _read(body, content_type, name)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
    tried = " or ".join(name.upper() for name in charsets)
    raise UnreadableError(f"not {tried}: byte 0x{byte:02x}; `relay reparse --charset` reads it in another charset")


def encode(tree: Mapping[str, Json]) -> bytes:
    """The form body of a tree, byte for byte as PHP's http_build_query and so amoCRM writes it: null is left out."""
    return "&".join(f"{_quote(key)}={_quote(text)}" for key, text in flat(tree)).encode()


def flat(node: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Each leaf with its bracket path, in order: ("leads[add][0][id]", "7")."""
    match node:
        case Mapping():
            for key, child in node.items():
                yield from flat(child, f"{path}[{key}]" if path else key)
        case list():
            for index, child in enumerate(node):
                yield from flat(child, f"{path}[{index}]")
        case bool():
            yield path, str(int(node))
        case str() | int():
            yield path, str(node)


def place(tree: Tree, path: Sequence[str], node: Json) -> None:
    """Put `node` at `path`, making the branches on the way."""
    for part in path[:-1]:
        child = tree.get(part)
        if not isinstance(child, dict):
            child = tree[part] = {}
        tree = child
    tree[path[-1]] = node


def bracketed(path: Sequence[str]) -> str:
    """("leads", "add", "0") -> leads[add][0]."""
    return path[0] + "".join(f"[{part}]" for part in path[1:])


def _demand_plain(body: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if body.startswith(magic):
            what = "have what stands in between pass on plain text"
            raise UnreadableError(f"compressed ({name}), which amoCRM never sends: {what}")


@lru_cache(maxsize=64)
def _charsets(content_type: str, override: str | None) -> tuple[str, ...]:
    if override is not None:
        if override.lower() not in CHARSETS:
            raise UnreadableError(f"unknown charset {override!r} (known: {', '.join(CHARSETS)})")
        return (CHARSETS[override.lower()],)
    declared = content_type.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    return tuple(dict.fromkeys(["utf-8", CHARSETS.get(declared, "utf-8")]))


def _read(body: bytes, content_type: str, charset: str) -> Tree:
    if body[0] not in _JSON_MAY_START or body.lstrip()[:1] not in (b"{", b"["):
        return _read_form(body, charset)
    text = body.decode(charset)
    if body.count(b",") >= MAX_PAIRS:
        raise UnreadableError(f"more than {MAX_PAIRS} commas in JSON")
    try:
        value = strict_json.parse(text, inexact=str)
    except ValueError as error:
        if "json" in content_type.lower():
            raise UnreadableError(f"not JSON that can be kept: {error}") from None
        return _read_form(body, charset)
    if not isinstance(value, dict):
        raise UnreadableError("a JSON list; expected an object")
    return unfolded(value)


def unfolded(flat: Tree) -> Tree:
    """The tree of an object whose keys may have brackets; one without such keys is that tree already.

    A list under `a[]` holds the values of a key that came several times.
    """
    if not any("[" in key for key in flat):
        return _noted(dict(flat), {})
    grown = _Growing()
    for key, value in flat.items():
        parents, leaf = _path(key)
        try:
            sound = strict_json.bounded(value, MAX_DEPTH - len(parents) - 1)
        except ValueError as error:
            raise UnreadableError(str(error)) from None
        for each in sound if leaf == _NEXT and isinstance(sound, list) else [sound]:
            grown.put(parents, leaf, each)
    return grown.done()


def _read_form(body: bytes, charset: str) -> Tree:
    if body.count(b"&") >= MAX_PAIRS:
        raise UnreadableError(f"more than {MAX_PAIRS} fields")
    grown, split = _Growing(), _splitter(charset)
    for pair in body.decode("latin-1").split("&"):  # a character a byte: texts are split and told apart faster
        if pair:
            key, _, value = pair.partition("=")
            parents, leaf = split(key)
            as_it_is = value.isalnum() and value.isascii()  # most are: numbers and words
            grown.put(parents, leaf, value if as_it_is else _text(value.encode("latin-1"), charset))
    return grown.done()


def _text(raw: bytes, charset: str) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _unescaped(raw)
    return raw.decode(charset).replace("\0", "\ufffd")


def _unescaped(raw: bytes) -> bytes:
    """What urllib's unquote_to_bytes makes of it, in a fraction of the time.

    Quoted-printable is the same code with another sign, and Python reads that one in C.
    """
    if _NO_ESCAPE.search(raw):
        if raw.count(b"%") > MAX_BROKEN:
            raise UnreadableError(f"more than {MAX_BROKEN} percent signs, and not all of them are escapes")
        return _ESCAPES.sub(lambda run: unhexlify(run[0].replace(b"%", b"")), raw)
    return a2b_qp(raw.replace(b"=", b"%3D").replace(b"%", b"="))


@lru_cache(maxsize=len(CHARSETS))
def _splitter(charset: str) -> Callable[[str], tuple[tuple[str, ...], str]]:
    """`_split` for one charset; keys repeat from webhook to webhook, and splitting them is half of the work."""
    return lru_cache(maxsize=2048)(partial(_split, charset))


def _split(charset: str, raw: str) -> tuple[tuple[str, ...], str]:
    """leads[add][0][id] -> (("leads", "add", "0"), "id"); `raw` has a character a byte."""
    return _path(_text(raw.encode("latin-1"), charset))


def _path(key: str) -> tuple[tuple[str, ...], str]:
    if (size := len(key.encode())) > MAX_KEY:
        raise UnreadableError(f"a key of {size} bytes; at most {MAX_KEY}")
    *parents, leaf = _parts(key)
    if len(parents) >= MAX_DEPTH:
        raise UnreadableError(f"a key of {len(parents) + 1} parts; at most {MAX_DEPTH}")
    return tuple(parents), leaf


def _parts(key: str) -> list[str]:
    head, bracket, rest = key.partition("[")
    inner = rest[:-1].split("][")
    stray = head + "".join(inner)
    if not (head and bracket and rest.endswith("]")) or "[" in stray or "]" in stray:
        return [key]
    return [head, *inner] if "" not in inner else [head, *(part or _NEXT for part in inner)]


class _Growing:
    """A tree while pairs are put into it."""

    __slots__ = ("_branches", "_counted", "_lost", "_node", "_parents", "_tree")

    def __init__(self) -> None:
        self._tree: Tree = {}
        self._parents: tuple[str, ...] | None = ()
        self._node = self._tree
        self._branches = 0
        self._lost: dict[str, list[Json]] = {}
        self._counted: dict[int, tuple[int, int]] = {}

    def put(self, parents: tuple[str, ...], leaf: str, text: Json) -> None:
        if parents != self._parents:  # most stand beside the one before
            self._node = self._branch(parents)
            self._parents = None if _NEXT in parents else parents
        node = self._node
        if leaf == _NEXT:
            leaf = self._next_index(node)
        elif leaf in node:
            text = self._settle((*parents, leaf), node[leaf], text)
        node[leaf] = text

    def done(self) -> Tree:
        return _noted(self._tree, self._lost)

    def _branch(self, parents: tuple[str, ...]) -> Tree:
        node = self._tree
        for depth, name in enumerate(parents, start=1):
            part = self._next_index(node) if name == _NEXT else name
            child = node.get(part)
            if not isinstance(child, dict):
                if child is not None:
                    self._lose(parents[:depth], child)
                child = node[part] = {}
                self._branches += 1
            node = child
        if self._branches > MAX_BRANCHES:
            raise UnreadableError(f"more than {MAX_BRANCHES} branches")
        return node

    def _settle(self, path: tuple[str, ...], old: Json, new: Json) -> Json:
        """Which of two values stays: children, or else the later text."""
        winner, loser = (old, new) if isinstance(old, dict) else (new, old)
        self._lose(path, loser)
        return winner

    def _lose(self, path: tuple[str, ...], text: Json) -> None:
        self._lost.setdefault(bracketed(path), []).append(text)

    def _next_index(self, node: Tree) -> str:
        """One past the highest index so far; looks only at the keys that came since the last `[]`."""
        seen, free = self._counted.get(id(node), (0, 0))
        for key in islice(reversed(node), len(node) - seen):
            if key.isascii() and key.isdigit():
                free = max(free, int(key) + 1)
        self._counted[id(node)] = len(node) + 1, free + 1
        return str(free)


def _noted(tree: Tree, lost: dict[str, list[Json]]) -> Tree:
    """The tree with what lost; a `_conflicts` of the sender's own is no note of ours, so it is noted itself."""
    if CONFLICTS in tree:
        lost.setdefault(CONFLICTS, []).append(tree.pop(CONFLICTS))
    if lost:
        tree[CONFLICTS] = lost
    return tree


def _quote(text: str) -> str:
    return quote_plus(text).replace("~", "%7E")
