"""Body bytes <-> tree: leads[add][0][id]=7 <-> {"leads": {"add": {"0": {"id": "7"}}}}.

A tree is nested dicts with text at the leaves. A JSON body of the same shape may have lists, true, false, null and
integers of at most 53 bits; its other numbers become the text they were written as. Its keys may have the form's
brackets, {"leads[add][0][id]": "7"}, as n8n, Zapier and Vercel convert a form.

`a[]` takes the next free index, as PHP counts. A key whose brackets do not pair up is one plain name.

Two values may claim one place: a repeated key, or a text where another key has children. The last text wins over
earlier ones and children win over any text. The values that lost are kept under `_conflicts` at the top of the tree,
by bracket path: {"_conflicts": {"leads[add][0][id]": ["6"]}}. A key of that name in the body is moved there, too.
"""

import re
from binascii import a2b_qp, unhexlify
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import islice
from typing import TypeAlias
from urllib.parse import quote_plus

from relay.amocrm import keys, strict_json
from relay.amocrm.keys import NEXT, bracket_path
from relay.amocrm.strict_json import MAX_DEPTH
from relay.errors import UnreadableError
from relay.model import Json

Tree: TypeAlias = dict[str, Json]

CONFLICTS = "_conflicts"
MAX_PAIRS = 10_000
MAX_BRANCHES = 25_000
"""Branches of one body: each costs time and memory, and no real body has a thousand."""
MAX_STRAY_PERCENTS = 50_000
"""Percent signs in one value with invalid escapes: these take a slow path, and amoCRM sends none."""

CHARSETS = {
    "utf-8": "utf-8",
    "utf8": "utf-8",
    "cp1251": "cp1251",
    "windows-1251": "cp1251",
    "latin-1": "latin-1",
    "iso-8859-1": "latin-1",
}
"""Charset names that a sender or an operator may give, in lower case -> Python's."""
_COMPRESSED = {b"\x1f\x8b": "gzip", b"x\x9c": "zlib", b"x\xda": "zlib", b"\x28\xb5\x2f\xfd": "zstd"}
_JSON_MAY_START = frozenset(b"{[ \t\r\n\v\f")
_FIRST_BYTES = frozenset(magic[0] for magic in _COMPRESSED)
_ESCAPES = re.compile(rb"(?:%[0-9A-Fa-f]{2})+")
_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def decode(body: bytes, content_type: str = "", *, charset: str | None = None) -> Tree:
    """Decode a form or JSON body; UnreadableError says why it cannot be.

    Text is UTF-8 or, failing that, in the charset that `content_type` declares; `charset` overrides both.
    A byte order mark in front and line ends behind are not part of the body.
    """
    body = body.removeprefix(b"\xef\xbb\xbf").rstrip(b"\r\n")
    if not body:
        raise UnreadableError("empty body")
    if body[0] in _FIRST_BYTES:
        _refuse_compressed(body)
    charsets = _charsets(content_type, charset)
    for name in charsets:
        try:
            return _read(body, content_type, name)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
    tried = " or ".join(name.upper() for name in charsets)
    raise UnreadableError(f"not {tried}: byte 0x{byte:02x}; `relay reparse --charset` reads it in another charset")


def encode(tree: Mapping[str, Json]) -> bytes:
    """Encode a tree as a form, byte for byte as amoCRM does (PHP's http_build_query): null is left out."""
    return "&".join(f"{_quote(key)}={_quote(text)}" for key, text in flatten(tree)).encode()


def flatten(node: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield each leaf with its bracket path, in order: ("leads[add][0][id]", "7")."""
    match node:
        case Mapping():
            for key, child in node.items():
                yield from flatten(child, f"{path}[{key}]" if path else key)
        case list():
            for index, child in enumerate(node):
                yield from flatten(child, f"{path}[{index}]")
        case bool():
            yield path, str(int(node))
        case str() | int():
            yield path, str(node)


def put_at(tree: Tree, path: Sequence[str], node: Json) -> None:
    """Set `node` at `path`; create the branches on the way."""
    for part in path[:-1]:
        child = tree.get(part)
        if not isinstance(child, dict):
            child = tree[part] = {}
        tree = child
    tree[path[-1]] = node


def text(raw: bytes, charset: str = "utf-8") -> str:
    """Decode one key or value of a form; UnicodeDecodeError if it is of another charset."""
    return _text(raw, charset)


def _refuse_compressed(body: bytes) -> None:
    for magic, name in _COMPRESSED.items():
        if body.startswith(magic):
            raise UnreadableError(
                f"compressed ({name}), which amoCRM never sends: have the proxy in between decompress it"
            )


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
    return unflatten(value)


def unflatten(pairs: Tree) -> Tree:
    """The tree of an object whose keys may have brackets; without such keys the object is the tree.

    A list under `a[]` holds the values of a key that was repeated.
    """
    if not any("[" in key for key in pairs):
        return _with_conflicts(dict(pairs), {})
    builder = _TreeBuilder()
    for key, value in pairs.items():
        parents, leaf = keys.split(key)
        try:
            sound = strict_json.bounded(value, MAX_DEPTH - len(parents) - 1)
        except ValueError as error:
            raise UnreadableError(str(error)) from None
        for each in sound if leaf == NEXT and isinstance(sound, list) else [sound]:
            builder.put(parents, leaf, each)
    return builder.tree()


def _read_form(body: bytes, charset: str) -> Tree:
    if body.count(b"&") >= MAX_PAIRS:
        raise UnreadableError(f"more than {MAX_PAIRS} fields")
    builder, split = _TreeBuilder(), _splitter(charset)
    for pair in body.decode("latin-1").split("&"):  # one character per byte: faster to split
        if pair:
            key, _, value = pair.partition("=")
            parents, leaf = split(key)
            plain = value.isalnum() and value.isascii()  # most are: numbers and words
            builder.put(parents, leaf, value if plain else _text(value.encode("latin-1"), charset))
    return builder.tree()


def tree_of(names: Iterable[str], texts: Iterable[str]) -> Tree:
    """The tree of a form whose keys and texts are decoded already."""
    builder = _TreeBuilder()
    for key, text in zip(names, texts, strict=True):
        parents, leaf = keys.split(key)
        builder.put(parents, leaf, text)
    return builder.tree()


def _text(raw: bytes, charset: str) -> str:
    if b"+" in raw:
        raw = raw.replace(b"+", b" ")
    if b"%" in raw:
        raw = _unescape(raw)
    return raw.decode(charset).replace("\0", "\ufffd")


def _unescape(raw: bytes) -> bytes:
    """Decode percent escapes as urllib's unquote_to_bytes does, in a fraction of the time.

    Quoted-printable is the same code with another sign, and Python decodes that in C.
    """
    if _NO_ESCAPE.search(raw):
        if raw.count(b"%") > MAX_STRAY_PERCENTS:
            raise UnreadableError(f"more than {MAX_STRAY_PERCENTS} percent signs, and not all of them are escapes")
        return _ESCAPES.sub(lambda run: unhexlify(run[0].replace(b"%", b"")), raw)
    return a2b_qp(raw.replace(b"=", b"%3D").replace(b"%", b"="))


@lru_cache(maxsize=len(CHARSETS))
def _splitter(charset: str) -> Callable[[str], tuple[tuple[str, ...], str]]:
    """`_split` for one charset, cached: keys repeat from webhook to webhook, and splitting them is half of the work."""
    return lru_cache(maxsize=2048)(partial(_split, charset))


def _split(charset: str, raw: str) -> tuple[tuple[str, ...], str]:
    """leads[add][0][id] -> (("leads", "add", "0"), "id"); `raw` has one character per byte."""
    return keys.split(_text(raw.encode("latin-1"), charset))


class _TreeBuilder:
    """Build a tree pair by pair."""

    __slots__ = ("_branches", "_counted", "_lost", "_node", "_parents", "_tree")

    def __init__(self) -> None:
        self._tree: Tree = {}
        self._parents: tuple[str, ...] | None = ()
        self._node = self._tree
        self._branches = 0
        self._lost: dict[str, list[Json]] = {}
        self._counted: dict[int, tuple[int, int]] = {}

    def put(self, parents: tuple[str, ...], leaf: str, text: Json) -> None:
        if parents != self._parents:  # most are siblings of the key before
            self._node = self._branch(parents)
            self._parents = None if NEXT in parents else parents
        node = self._node
        if leaf == NEXT:
            leaf = self._next_index(node)
        elif leaf in node:
            text = self._settle((*parents, leaf), node[leaf], text)
        node[leaf] = text

    def tree(self) -> Tree:
        return _with_conflicts(self._tree, self._lost)

    def _branch(self, parents: tuple[str, ...]) -> Tree:
        node = self._tree
        for depth, name in enumerate(parents, start=1):
            part = self._next_index(node) if name == NEXT else name
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
        """Choose between two values: children win, else the later text."""
        winner, loser = (old, new) if isinstance(old, dict) else (new, old)
        self._lose(path, loser)
        return winner

    def _lose(self, path: tuple[str, ...], text: Json) -> None:
        self._lost.setdefault(bracket_path(path), []).append(text)

    def _next_index(self, node: Tree) -> str:
        """One past the highest index so far; reads only the keys added since the last `[]`."""
        seen, free = self._counted.get(id(node), (0, 0))
        for key in islice(reversed(node), len(node) - seen):
            if key.isascii() and key.isdigit():
                free = max(free, int(key) + 1)
        self._counted[id(node)] = len(node) + 1, free + 1
        return str(free)


def _with_conflicts(tree: Tree, lost: dict[str, list[Json]]) -> Tree:
    """Add the values that lost as `_conflicts`; a key of that name in the body is one of them."""
    if CONFLICTS in tree:
        lost.setdefault(CONFLICTS, []).append(tree.pop(CONFLICTS))
    if lost:
        tree[CONFLICTS] = lost
    return tree


def _quote(text: str) -> str:
    return quote_plus(text).replace("~", "%7E")
